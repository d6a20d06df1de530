"""`meshnode ask` where several answer, and what `meshnode dag show` tells of it afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshnode.cli.dag import describe_vertex, read_parents
from meshnode.cli.together import describe_progress, describe_together
from meshnode.errors import CommandRejected
from meshnode.views import Contribution, Progress, Together, Usage, VertexDetail
from tests.support.cli import FakeRemote, run_command
from tests.support.views import make_answer, make_id, make_small_dag

DONE = Contribution(
    stage="answer",
    round=0,
    seat=0,
    name="ada",
    author=make_id("ada"),
    model="echo",
    vertex="ab" * 32,
    usage=Usage(prompt_tokens=4, completion_tokens=7),
    cost_uruv=150,
    total_ms=1_200,
)
REVISED = Contribution(
    stage="revision", round=1, seat=1, name="bob\x1b", model="m", vertex="cd" * 32, total_ms=5
)
FAILED = Contribution(stage="answer", round=0, seat=2, name="cyd", problem="it is busy")


@pytest.fixture
def remote(monkeypatch):
    node = FakeRemote()
    monkeypatch.setattr("meshnode.cli.ask.connect", lambda _: node)
    return node


def make_joint(**changes):
    fields = {"method": "vote", "rounds": 1, "contributions": (DONE, REVISED, FAILED)}
    together = Together(**{**fields, "cost_uruv": 150, "votes": 1, "voters": 2, **changes})
    return make_answer(together=together, usage=Usage(prompt_tokens=9, completion_tokens=None))


def test_everybody_who_added_something_has_a_line():
    assert describe_together(make_joint()) == [
        "-- answer by ada: echo, 7 tokens, 1.2 s, vertex abababababab, 0.00015 ruv",
        "-- revision 1 by bob\ufffd: m, ? tokens, 5 ms, vertex cdcdcdcdcdcd",
        "-- answer by cyd: failed, it is busy",
        "-- vote: 1 of 2 answers agree",
        "-- together: 9 tokens read, ? written, 0.00015 ruv",
    ]
    free = describe_together(make_joint(votes=None, voters=None, cost_uruv=0))
    assert free[-1] == "-- together: 9 tokens read, ? written"
    assert not any("vote" in line for line in free)
    assert describe_together(make_answer()) == []


def test_progress_is_one_clean_line():
    item = Progress(stage="answer", state="asked", detail="ada\nis asked")
    assert describe_progress(item) == ".. ada is asked"


def test_options_reach_the_node(capsys, remote):
    remote.answer = make_joint()
    words = ("--ensemble", "3", "--debate", "2", "--judge", "vote", "--context", "ab12")
    outcome = run_command(capsys, "ask", "Where?", *words, "--context", "cd34")
    assert outcome.code == 0
    (asked,) = remote.asked
    assert (asked["ensemble"], asked["debate"], asked["judge"]) == (3, 2, "vote")
    assert tuple(asked["context"]) == ("ab12", "cd34")
    assert "-- vote: 1 of 2 answers agree" in outcome.err
    assert "vote" not in outcome.out


def test_a_question_for_one_says_nothing_of_others(capsys, remote):
    remote.answer = make_answer()
    run_command(capsys, "ask", "Where?")
    (asked,) = remote.asked
    assert not {"ensemble", "debate", "judge", "context"} & set(asked)


@pytest.mark.parametrize("words", [("--ensemble", "7"), ("--debate", "4"), ("--judge", "dice")])
def test_what_cannot_be_is_a_mistake_in_the_command(capsys, remote, words):
    assert run_command(capsys, "ask", "Where?", *words).code == 2
    assert not remote.asked


class SomeSource:
    """Holds these vertices and no others."""

    def __init__(self, held):
        self.held = {vertex.id: vertex for vertex in held}

    async def vertices(self, *, limit, kind):
        return list(self.held.values())[:limit]

    async def vertex(self, vertex_id):
        if vertex_id not in self.held:
            raise CommandRejected("not held here")
        return VertexDetail(vertex=self.held[vertex_id], body=None, wire="")

    async def read_blob(self, blob_id):
        raise CommandRejected("not held here")

    async def describe_network(self):
        return "some"


async def test_parents_are_shown_with_what_they_say():
    alice, _, _, first, second, _ = make_small_dag()
    known = await read_parents(SomeSource([alice, first]), second)
    lines = describe_vertex(VertexDetail(vertex=second, body=None, wire=""), known)
    place = next(number for number, line in enumerate(lines) if line.endswith(first.id))
    assert lines[place + 1].strip() == "result by alice: summary of a1"
    assert set(known) == {first.id}
    assert await read_parents(SomeSource([first]), replace(second, lane=1)) == {}
