"""A newcomer joins a mesh whose old history is gone: the short form of `make snapjoin`."""

from __future__ import annotations

import pytest

from tests.support.campaign import run_campaign


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(320)
def test_a_newcomer_joins_where_nobody_holds_the_old_history():
    shown = run_campaign("snapshot_join", "--short", timeout_s=300)
    assert "join by snapshot" in shown
    assert shown.endswith("ok\n")
