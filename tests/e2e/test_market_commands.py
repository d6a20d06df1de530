"""The market as people use it: two real nodes, and the commands of the guide."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.program import Machine, open_machine
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

MODEL = "echo/text"
OFFER = """\
provider = "bob"
model_variant = "echo/text"
context_limit = 32768
price_per_token = 0.000002
sla_guarantee = 99
tokens = 200_000

[hardware_spec]
cpu = "a small one"
"""


def read(machine: Machine, *arguments: str) -> Any:
    return json.loads(machine.succeed(*arguments, "--json"))


def test_offer_of_a_file_is_bought_and_both_chains_tell_it(tmp_path):
    (tmp_path / "offer.toml").write_text(OFFER, encoding="utf-8")
    (tmp_path / "LICENSE").write_text("You may.", encoding="utf-8")
    offer = ("--file", str(tmp_path / "offer.toml"))
    with ExitStack() as stack:
        alice, bob = (stack.enter_context(open_machine(tmp_path / name)) for name in ("a", "b"))
        alice.up("--name", "alice", "--engine", "none")
        ticket = alice.succeed("invite", "--grant", "150")
        loopback = ("--api", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0")
        bob.succeed("join", "-", "--name", "bob", "--engine", "none", *loopback, stdin=ticket)

        alice.succeed("market", "list", MODEL)
        wait_until(lambda: read(bob, "wallet", "balance")["free_uruv"] > 0, timeout_s=60)
        bob.succeed("wallet", "stake", "100")
        terms = ("--terms", str(tmp_path / "LICENSE"), "--terms-version", "1")
        bob.succeed("market", "attest", *offer, *terms, "--yes")
        bob.succeed("market", "offer", *offer)

        bought = read(alice, "market", "bid", MODEL, "--price", "0.003", "--tokens", "50000")
        (trade,) = bought["trades"]
        assert (trade["lots"], trade["price_uruv"]) == (50, 2_000)
        path = str(tmp_path / "bob.jsonl")
        bob.succeed("market", "audit", "--export", path)
        wait_until(
            lambda: read(alice, "market", "audit", "--verify", path)["agreed"] is True,
            timeout_s=60,
        )
