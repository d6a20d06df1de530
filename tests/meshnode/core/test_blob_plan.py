"""Planning a transfer: windows, strikes, lies, second holders, and the end."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshnode.core.blob_manifest import CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, Manifest, make_full
from meshnode.core.blob_plan import (
    HOLDERS_MAX,
    KNOWN_MAX,
    STRIKES_MAX,
    WINDOW_CHUNKS_MAX,
    AskChunk,
    LeaveHolder,
    Patience,
    TransferPlan,
)

PATIENCE = Patience(patience_ms=1_000, hedge_ms=300)


def make_plan(chunks=10, *, chunk_bytes=CHUNK_BYTES_MIN, **options):
    manifest = Manifest(1, chunks * chunk_bytes, chunk_bytes, bytes(32 * chunks))
    options.setdefault("patience", PATIENCE)
    return TransferPlan(manifest, **options)


def list_asked(actions, holder):
    return [each.index for each in actions if isinstance(each, AskChunk) and each.holder == holder]


def list_left(actions):
    return [each.holder for each in actions if isinstance(each, LeaveHolder)]


def test_holder_is_asked_for_a_window_and_then_chunk_by_chunk():
    plan = make_plan()
    assert list_asked(plan.add_holder("a", make_full(10), now_ms=0), "a") == [0, 1, 2, 3]
    assert list_asked(plan.take_chunk("a", 1, valid=True, now_ms=1), "a") == [4]
    assert plan.missing == make_full(10) & ~2


def test_larger_chunks_have_a_smaller_window():
    plan = make_plan(chunk_bytes=CHUNK_BYTES_MAX)
    assert list_asked(plan.add_holder("a", make_full(10), now_ms=0), "a") == [0, 1]


def test_default_patience_is_taken_where_none_is_given():
    plan = make_plan(patience=None)
    plan.add_holder("a", make_full(10), now_ms=5)
    assert plan.next_deadline_ms(now_ms=5) == 5 + Patience().hedge_ms


def test_two_holders_share_what_is_missing():
    plan = make_plan(8)
    first = plan.add_holder("a", make_full(8), now_ms=0)
    second = plan.add_holder("b", make_full(8), now_ms=0)
    assert list_asked(first, "a") + list_asked(second, "b") == list(range(8))


def test_transfer_begins_at_its_place_and_goes_round():
    plan = make_plan(6, start=4)
    assert list_asked(plan.add_holder("a", make_full(6), now_ms=0), "a") == [4, 5, 0, 1]


def test_what_is_there_is_not_asked_for_again():
    plan = make_plan(4, held=0b0101)
    assert list_asked(plan.add_holder("a", make_full(4), now_ms=0), "a") == [1, 3]


def test_finished_transfer_leaves_its_holders():
    plan = make_plan(1)
    plan.add_holder("a", 1, now_ms=0)
    assert not plan.is_finished
    actions = plan.take_chunk("a", 0, valid=True, now_ms=1)
    assert list_left(actions) == ["a"]
    assert plan.is_finished
    assert not plan.is_stuck
    assert plan.next_deadline_ms(now_ms=1) is None


def test_holder_of_nothing_that_is_missing_is_left_and_may_come_back():
    plan = make_plan(2, held=0b01)
    actions = plan.add_holder("a", 0b01, now_ms=0)
    assert actions == [LeaveHolder("a", "it has nothing more to give")]
    assert plan.is_stuck
    assert plan.is_welcome("a")


def test_wrong_bytes_are_a_lie_and_another_holder_is_asked():
    plan = make_plan(2)
    plan.add_holder("liar", 0b11, now_ms=0)
    plan.add_holder("other", 0b11, now_ms=0)
    actions = plan.take_chunk("liar", 0, valid=False, now_ms=1)
    assert list_asked(actions, "other") == [0, 1]
    assert LeaveHolder("liar", "chunk 0 is not what its digest says", lied=True) in actions
    assert not plan.is_welcome("liar")
    assert plan.missing == 0b11


def test_what_was_not_asked_for_is_a_lie():
    plan = make_plan(8)
    plan.add_holder("a", make_full(8), now_ms=0)
    (left,) = plan.take_chunk("a", 7, valid=True, now_ms=1)
    assert (left.holder, left.lied) == ("a", True)
    plan.add_holder("b", make_full(8), now_ms=1)
    (left,) = plan.note_gone("b", 7, now_ms=1)
    assert (left.holder, left.lied) == ("b", True)


def test_chunks_of_a_lost_holder_go_to_another():
    plan = make_plan(6)
    plan.add_holder("a", make_full(6), now_ms=0)
    assert list_asked(plan.add_holder("b", make_full(6), now_ms=0), "b") == [4, 5]
    assert list_asked(plan.lose_holder("a", now_ms=1), "b") == [0, 1]
    assert plan.lose_holder("a", now_ms=1) == []
    assert plan.is_welcome("a")


def test_news_of_a_holder_that_was_left_is_ignored():
    plan = make_plan(2)
    assert plan.take_chunk("gone", 0, valid=True, now_ms=0) == []
    assert plan.note_gone("gone", 0, now_ms=0) == []
    assert plan.missing == 0b11


def test_silent_holder_gets_strikes_and_its_chunks_go_to_another():
    plan = make_plan(4)
    plan.add_holder("slow", make_full(4), now_ms=0)
    assert plan.add_holder("b", 0b0011, now_ms=0) == []
    assert plan.next_deadline_ms(now_ms=300) == 1_000
    asked = list_asked(plan.tick(now_ms=1_000), "b")
    assert asked == [0, 1]
    assert plan.is_welcome("c")
    plan.tick(now_ms=1_999)
    assert "slow" in plan.holders
    plan.tick(now_ms=2_000)
    assert list_left(plan.tick(now_ms=3_000)) == ["slow"]
    assert not plan.is_welcome("slow")


def test_late_holder_is_asked_again_once_it_gives_something():
    plan = make_plan(10)
    plan.add_holder("slow", make_full(10), now_ms=0)
    assert plan.tick(now_ms=1_000) == []
    assert plan.is_stuck
    assert list_asked(plan.take_chunk("slow", 0, valid=True, now_ms=1_500), "slow") == [4]
    assert not plan.is_stuck
    assert plan.tick(now_ms=2_499) == []


def test_chunk_that_came_twice_is_counted_and_kept_once():
    plan = make_plan(1)
    plan.add_holder("a", 1, now_ms=0)
    plan.add_holder("b", 1, now_ms=0)
    assert plan.holders == ("a", "b")
    assert list_asked(plan.tick(now_ms=300), "b") == [0]
    assert list_left(plan.take_chunk("b", 0, valid=True, now_ms=301)) == ["b"]
    assert list_left(plan.take_chunk("a", 0, valid=True, now_ms=302)) == ["a"]
    assert plan.wasted == 1


def test_chunk_is_asked_of_two_holders_at_most():
    plan = make_plan(1)
    for holder in "abc":
        plan.add_holder(holder, 1, now_ms=0)
    actions = plan.tick(now_ms=300)
    assert [(each.holder, each.index) for each in actions] == [("b", 0)]
    assert plan.tick(now_ms=900) == []


def test_holder_that_lacks_what_it_said_it_has_is_left_with_its_last_strike():
    plan = make_plan(10)
    plan.add_holder("a", make_full(10), now_ms=0)
    assert list_asked(plan.note_gone("a", 0, now_ms=1), "a") == [4]
    plan.note_gone("a", 1, now_ms=1)
    (left,) = plan.note_gone("a", 2, now_ms=1)
    assert left == LeaveHolder("a", "it lacks chunks that it said it has")
    assert not plan.is_welcome("a")


def test_holders_in_use_are_bounded():
    plan = make_plan(100)
    for number in range(HOLDERS_MAX):
        plan.add_holder(f"h{number}", make_full(100), now_ms=0)
    assert not plan.has_room
    assert not plan.is_welcome("another")


def test_holders_that_are_remembered_are_bounded():
    plan = make_plan(1)
    for number in range(KNOWN_MAX):
        plan.add_holder(f"h{number}", 0, now_ms=0)
    assert plan.has_room
    assert not plan.is_welcome("another")
    assert plan.is_welcome("h1")


def test_holder_is_not_added_twice():
    plan = make_plan(4)
    plan.add_holder("a", make_full(4), now_ms=0)
    with pytest.raises(AssertionError):
        plan.add_holder("a", make_full(4), now_ms=0)


# --- holders of every kind -----------------------------------------------------------------------


@dataclass
class Actor:
    """A holder with a habit."""

    habit: str
    have: int
    served: int = 0


HABITS = ("honest", "liar", "silent", "vanishing", "forgetful", "slow")
STEP_MS = 100


def answer(actor, index, waited_ms):
    """'valid', 'invalid', 'gone', 'lost', or '' for nothing yet."""
    match actor.habit:
        case "honest":
            return "valid"
        case "liar":
            return "invalid"
        case "forgetful":
            return "gone"
        case "vanishing":
            return "valid" if actor.served < 2 else "lost"
        case "slow":
            return "valid" if waited_ms >= 3 * STEP_MS else ""
        case _:
            return ""


@settings(max_examples=300, deadline=None)
@given(
    chunks=st.integers(1, 40),
    start=st.integers(0, 100),
    habits=st.lists(st.sampled_from(HABITS), max_size=HOLDERS_MAX - 1),
    data=st.data(),
)
def test_transfer_ends_with_one_honest_holder_whatever_the_others_do(chunks, start, habits, data):
    held = data.draw(st.integers(0, make_full(chunks)))
    plan = make_plan(chunks, held=held, start=start)
    actors = {"honest": Actor("honest", make_full(chunks))}
    for number, habit in enumerate(habits):
        have = data.draw(st.integers(0, make_full(chunks)))
        actors[f"{habit}{number}"] = Actor(habit, have)
    order = data.draw(st.permutations(list(actors)))
    run = Run(plan, actors, held)
    for name in order:
        run.do(plan.add_holder(name, actors[name].have, now_ms=0))
    for step in range(1, 400):
        if plan.is_finished:
            break
        run.advance(step * STEP_MS)
    assert plan.is_finished
    assert run.got == make_full(chunks) & ~held
    assert plan.wasted <= chunks
    assert not plan.is_stuck


class Run:
    """Drives a plan against its actors, and checks what it asks for."""

    def __init__(self, plan, actors, held):
        self.plan, self.actors, self.held = plan, actors, held
        self.open: dict[tuple[str, int], int] = {}
        self.got = 0
        self.now_ms = 0

    def do(self, actions):
        for action in actions:
            if isinstance(action, LeaveHolder):
                habit = self.actors[action.holder].habit
                assert not action.lied or habit == "liar", "only liars are reported"
                self.forget(action.holder)
                continue
            actor = self.actors[action.holder]
            assert actor.have >> action.index & 1, "only what a holder has is asked of it"
            assert not self.held >> action.index & 1, "what is there is never asked for"
            assert (action.holder, action.index) not in self.open
            self.open[action.holder, action.index] = self.now_ms
        for holder in self.actors:
            mine = [key for key in self.open if key[0] == holder]
            assert len(mine) <= WINDOW_CHUNKS_MAX
        assert all(holder in self.plan.holders for holder, _ in self.open)

    def forget(self, holder):
        self.open = {key: since for key, since in self.open.items() if key[0] != holder}

    def advance(self, now_ms):
        self.now_ms = now_ms
        for (holder, index), since_ms in list(self.open.items()):
            if (holder, index) not in self.open:
                continue
            reply = answer(self.actors[holder], index, now_ms - since_ms)
            if not reply:
                continue
            del self.open[holder, index]
            if reply == "lost":
                self.forget(holder)
                self.do(self.plan.lose_holder(holder, now_ms=now_ms))
            elif reply == "gone":
                self.do(self.plan.note_gone(holder, index, now_ms=now_ms))
            else:
                self.actors[holder].served += 1
                valid = reply == "valid"
                self.got |= int(valid) << index
                self.do(self.plan.take_chunk(holder, index, valid=valid, now_ms=now_ms))
        self.do(self.plan.tick(now_ms=now_ms))


@given(st.integers(1, 20))
def test_transfer_ends_without_honest_holders_by_asking_nobody(chunks):
    plan = make_plan(chunks)
    now_ms = 0
    plan.add_holder("silent", make_full(chunks), now_ms=now_ms)
    for _ in range(STRIKES_MAX):
        now_ms += PATIENCE.patience_ms
        plan.tick(now_ms=now_ms)
    assert plan.is_stuck
    assert plan.holders == ()
    assert plan.next_deadline_ms(now_ms=now_ms) is None
