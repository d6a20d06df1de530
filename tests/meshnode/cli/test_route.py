"""`route`: whom a question would go to, and where questions went."""

from __future__ import annotations

import dataclasses

import pytest

from meshnode.cli import route
from tests.support.cli import FakeRemote, run_command
from tests.support.fake_node import PLACEMENT, ROUTE, ROUTE_CANDIDATE

REFUSED = dataclasses.replace(
    ROUTE_CANDIDATE,
    name="carol",
    peer="12D3KooY",
    chosen=False,
    eligible=False,
    obstacle="model",
    detail="serves other",
    model="",
)
SUSPECT = dataclasses.replace(
    ROUTE_CANDIDATE, name="dave", chosen=False, suspect=True, penalty_us=5_000_000
)
NOWHERE = dataclasses.replace(
    ROUTE, chosen=None, reason="none_eligible", retry_after_ms=2_000, candidates=(REFUSED,)
)


class RoutingRemote(FakeRemote):
    """Answers with what it is given."""

    def __init__(self):
        super().__init__()
        self.found = ROUTE
        self.rows = [PLACEMENT]

    async def route(self, prompt, *, model):
        self.asked.append({"prompt": prompt, "model": model})
        return self.found

    async def placements(self, *, limit):
        self.asked.append({"limit": limit})
        return self.rows


@pytest.fixture
def remote(monkeypatch):
    node = RoutingRemote()
    monkeypatch.setattr(route, "connect", lambda home: node)
    return node


def test_explain_shows_every_candidate_with_its_terms(capsys, remote):
    remote.found = dataclasses.replace(ROUTE, candidates=(ROUTE_CANDIDATE, SUSPECT, REFUSED))
    done = run_command(capsys, "route", "explain", "Why?", "--model", "echo")
    assert done.code == 0
    assert remote.asked == [{"prompt": "Why?", "model": "echo"}]
    for words in ("->", "bob", "20 ms", "dave", "5.0 s", "1/4"):
        assert words in done.out, words
    assert "dave: suspect, asked only when nobody else is left\n" in done.out
    assert "carol: left out, serves other\n" in done.out
    assert "goes to bob: least cost" in done.out


def test_explain_says_why_a_question_goes_nowhere(capsys, remote):
    remote.found = NOWHERE
    assert (
        "goes nowhere: none eligible; again in 2.0 s" in run_command(capsys, "route", "explain").out
    )
    remote.found = dataclasses.replace(NOWHERE, candidates=())
    assert "no peer is connected" in run_command(capsys, "route", "explain").out


def test_explain_writes_json(capsys, remote):
    assert run_command(capsys, "route", "explain", "--json").document["chosen"] == ROUTE.chosen


def test_log_lists_what_was_decided(capsys, remote):
    remote.rows = [PLACEMENT, dataclasses.replace(PLACEMENT, allowed=False, owner="", model="")]
    done = run_command(capsys, "route", "log", "--limit", "2")
    assert remote.asked == [{"limit": 2}]
    for words in ("asking", "echo", "allowed", "refused", "least_cost"):
        assert words in done.out, words
    document = run_command(capsys, "route", "log", "--json").document
    assert document["placements"][0] == PLACEMENT.to_json()


def test_log_says_that_there_is_nothing(capsys, remote):
    remote.rows = []
    assert "no question was placed yet" in run_command(capsys, "route", "log").out
