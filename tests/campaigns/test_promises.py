"""The tracing of a soak: it finds a vertex that is lost, and says all that is known of it."""

from __future__ import annotations

import pytest

import meshnode
from meshnode.transport.memory import MemoryNetwork
from tests.support.promises import Promises
from tests.support.views import make_id, make_vertex
from tests.support.whereabouts import ask_about, look_in_journal, read_words

FIRST, SECOND, THIRD, AGAIN = (make_vertex(name, "bob", seq) for seq, name in enumerate("abcd", 1))


@pytest.fixture
def promises() -> Promises:
    """Three of bob's, said at 1, 2 and 3 seconds, each acknowledged 10 ms later."""
    book = Promises(began_s=0.5)
    for at_s, info in enumerate((FIRST, SECOND, THIRD), 1):
        book.keep("bob", info, submitted_s=at_s, acknowledged_s=at_s + 0.01)
    return book


def say(*infos, like=None) -> dict[str, tuple[str, str]]:
    """What is known to have been said, by those or in the words of another."""
    return {info.id: (info.author, (like or info).summary) for info in infos}


def test_promise_is_kept_by_the_vertex_itself(promises):
    trace = promises.trace({FIRST.id, SECOND.id, THIRD.id}, {})
    assert (trace.final, trace.repeated, trace.untraced, trace.doubled) == (3, {}, [], [])


def test_promise_is_kept_by_what_its_author_says_in_its_stead(promises):
    said = say(FIRST, SECOND, THIRD) | say(AGAIN, like=SECOND)
    trace = promises.trace({FIRST.id, THIRD.id, AGAIN.id}, said)
    assert (trace.final, trace.repeated) == (2, {SECOND.id: AGAIN.id})
    assert trace.untraced == trace.doubled == []


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({}, id="nothing"),
        pytest.param(say(SECOND), id="itself, which is not final"),
        pytest.param(say(AGAIN), id="something else"),
        pytest.param(
            say(make_vertex("d", "eve", 4, summary=SECOND.summary)), id="the same by another"
        ),
        pytest.param(say(make_vertex("e", "bob", 9, summary=SECOND.summary)), id="not final"),
    ],
)
def test_promise_is_broken_by_silence_whatever_else_is_final(promises, said):
    trace = promises.trace({FIRST.id, THIRD.id, AGAIN.id}, said)
    assert [promise.vertex for promise in trace.untraced] == [SECOND.id]


def test_promise_is_broken_where_what_was_said_once_counts_twice(promises):
    finals = {FIRST.id, SECOND.id, THIRD.id, AGAIN.id}
    (found,) = promises.trace(finals, say(AGAIN, like=SECOND)).doubled
    assert (found[0].vertex, found[1]) == (SECOND.id, (SECOND.id, AGAIN.id))


def test_two_promises_in_the_same_words_are_told_apart_by_nobody(promises):
    assert promises.ambiguous == []
    promises.keep(
        "bob", make_vertex("f", "bob", 9, summary="summary of a"), submitted_s=9, acknowledged_s=9
    )
    assert len(promises) == 4
    assert promises.ambiguous == [f"bob said 'summary of a' as {FIRST.id} and {make_id('f')}"]


def test_what_is_lost_is_told_with_its_author_and_the_kill_behind_it(promises):
    promises.note_start("bob", 0.2)
    promises.note_kill("eve", 2.02)
    promises.note_kill("bob", 2.52)
    promises.note_start("bob", 2.9)
    (lost,) = promises.trace({FIRST.id}, {}).untraced[:1]
    text = promises.describe(lost, {FIRST.id})
    assert text.startswith(f"{SECOND.id} ('summary of b') by bob ({SECOND.author[:16]}), seq 2")
    assert "acknowledged at 1.510 s, 10 ms after it was submitted" in text
    assert "up again 1.810 s before, killed 510 ms after it for 0.4 s (within 2000 ms)" in text
    assert f"the one promised before it ({FIRST.id[:16]}, -1000 ms) is final itself" in text
    assert f"the one promised after it ({THIRD.id[:16]}, +1000 ms) is not final itself" in text


@pytest.mark.parametrize(
    ("kill_s", "told"),
    [
        (None, "never killed after it"),
        (1.5, "never killed after it"),
        (9.01, "killed 7000 ms after it until the end (not within 2000 ms)"),
    ],
)
def test_kill_that_is_far_away_is_told_as_such(promises, kill_s, told):
    if kill_s is not None:
        promises.note_kill("bob", kill_s)
    assert told in promises.describe(promises.trace({FIRST.id}, {}).untraced[0], {FIRST.id})


async def test_nodes_and_journals_are_asked_where_a_vertex_is(tmp_path):
    home, unknown = tmp_path / "home", "ab" * 32
    async with meshnode.open_node(
        home=home, transport=MemoryNetwork(), engine="none", suite="ed25519", name="solo"
    ) as node:
        info = await node.publish("here")
        place = await node.finality(info.id, wait_ms=60_000)
        assert (await read_words(info.author, [node]))[info.id] == (info.author, info.summary)
        told = await ask_about(info.id, [node, node])
        one = f"solo: final in {place.commit_index}, held at lamport {info.lamport}"
        assert told == f"{one}, {one}"
        assert await ask_about(unknown, [node]) == "solo: not final, not held"
    stored = f"stores it at lamport {info.lamport}, in commit {place.commit_index}"
    assert look_in_journal(home, info.id) == f"{stored}, history begins above 0"
    assert look_in_journal(home, unknown) == "does not store it, history begins above 0"
    assert look_in_journal(tmp_path / "nowhere", unknown) == "has no journal"
