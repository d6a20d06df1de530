"""What the stock library does; each scenario has its counterpart in `test_hardening_*`.

Not shown, because showing it takes many seconds or a network to break: D7 (a write torn after a
zero window of 5 s), D8 (hundreds of cancelled writes), D9 (a frozen peer), D10 (10 s of
slowloris), D14 (a dial without a deadline).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = (
    "d1_one_malformed_stream_kills_the_stock_host",
    "d2_one_failing_stream_handler_kills_the_stock_host",
    "d3_the_stock_host_never_gives_an_inbound_slot_back",
    "d4_the_stock_host_offers_a_protocol_that_proves_no_key",
    "d5_the_stock_muxer_buffers_far_beyond_its_window",
    "d6_the_stock_host_keeps_every_silent_stream",
    "d11_simultaneous_dials_leave_two_stock_connections",
    "d12_a_stock_host_that_is_not_closed_leaves_tasks_behind",
    "d13_the_stock_host_refuses_to_dial_again_after_one_failure",
    "d15_two_stock_hosts_listen_on_one_port",
    "d16_stock_reads_give_up_after_a_hundred_segments",
    "d18_the_stock_host_does_not_dial_through_a_relay",
    "d22_the_stock_host_dials_on_its_own_account",
)
ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def outcomes():
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.stock_defects"]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", NAMES)
def test_stock_library_fails_as_described(outcomes, name):
    assert outcomes[name] == ""


def test_every_scenario_is_looked_at(outcomes):
    assert tuple(outcomes) == NAMES
