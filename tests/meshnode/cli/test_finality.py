"""When an answer became final: told after it, and never in its way."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.cli.finality import WAIT_MS, Wait, describe_finality, describe_wait
from meshnode.errors import NoDaemon
from meshnode.views import Finality
from tests.support.cli import FakeRemote, run_command
from tests.support.views import make_finality, make_id


@pytest.fixture
def remote(monkeypatch):
    node = FakeRemote()
    monkeypatch.setattr("meshnode.cli.ask.connect", lambda home: node)
    return node


def test_ask_tells_when_its_result_became_final(capsys, remote):
    outcome = run_command(capsys, "ask", "capital?")
    assert outcome.out == "Paris.\n"
    assert outcome.err.splitlines()[-1].startswith("-- final in ")
    assert outcome.err.splitlines()[-1].endswith("(commit 42)")
    assert remote.waited == [(remote.answer.vertex, WAIT_MS)]


def test_ask_says_that_its_result_is_not_final_yet(capsys, remote):
    remote.place = Finality(vertex="", final=False)
    outcome = run_command(capsys, "ask", "capital?")
    assert outcome.code == 0
    line = outcome.err.splitlines()[-1]
    assert line.startswith("-- not final yet after ")
    assert f"`meshnode dag show {remote.answer.vertex[:12]}` tells" in line


def test_ask_as_json_has_the_finality_of_its_result(capsys, remote):
    found = run_command(capsys, "ask", "x", "--json").document["finality"]
    assert (found["final"], found["commit_index"]) == (True, 42)
    assert found["after_ms"] >= 0
    remote.place = Finality(vertex="", final=False)
    found = run_command(capsys, "ask", "x", "--json").document["finality"]
    assert (found["final"], found["commit_index"], found["after_ms"]) == (False, None, None)


@pytest.mark.parametrize(
    ("failure", "word"),
    [(NoDaemon("the node has ended"), "has ended"), (asyncio.CancelledError(), "not waited for")],
)
def test_an_answer_stands_whatever_becomes_of_waiting(capsys, remote, failure, word):
    remote.failures["finality"] = failure
    outcome = run_command(capsys, "ask", "capital?")
    assert (outcome.code, outcome.out) == (0, "Paris.\n")
    assert f"-- not final yet ({word}" in outcome.err or word in outcome.err
    assert run_command(capsys, "ask", "x", "--json").document["finality"]["final"] is False


def test_a_wait_is_told_in_the_units_of_its_length():
    wait = Wait(make_id("a1"), make_finality(), 310)
    assert describe_wait(wait) == "-- final in 310 ms (commit 42)"


def test_a_vertex_has_its_commit_or_none():
    assert describe_finality(make_finality()).startswith("commit 42, 20")
    assert "as its leader" in describe_finality(make_finality(leader=True))
    again = describe_finality(make_finality(repeated_by=make_id("b2")))
    assert again.startswith(f"commit 42, as {make_id('b2')[:12]}, which says it again")
    assert "not yet" in describe_finality(make_finality(final=False))


def test_what_became_of_something_forgotten_is_not_claimed_to_be_known():
    found = Finality(vertex=make_id("old"), final=False, forgotten=True)
    assert "older than the history that this node holds" in describe_finality(found)
