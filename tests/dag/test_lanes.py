"""Each lane has its own horizon: what counts, what is looked at, and what stays."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.errors import InvalidVertex
from dag.intake import Intake
from dag.outcomes import Admitted, BelowHorizon, Quarantined
from dag.ranges import END, START, cut_ref
from dag.types import LANE_BLOCKS, LANE_SPEECH, Horizon, Ref
from meshnode.core.store import make_intake
from tests.support.dag_builder import START_MS
from tests.support.intake_steps import admitted, change, offer
from tests.support.lane_dag import LaneDag

NOW = START_MS + 60_000


class Uncounted:
    """An author whose vertices are left out of digests."""

    has_uncounted = True

    def __init__(self, author: bytes) -> None:
        self._author = author

    def is_uncounted(self, author: bytes) -> bool:
        return author == self._author


def fill(dag: LaneDag, horizon: Horizon | None = None) -> Intake:
    intake = make_intake(dag.builder.genesis)
    if horizon is not None:
        intake.advance_horizon(horizon)
    offer(intake, *dag.vertices)
    return intake


def grow(count: int = 6) -> tuple[LaneDag, list[Ref], list[Ref]]:
    """A chain of blocks that leaves behind what it carries."""
    dag = LaneDag()
    blocks: list[Ref] = []
    notes: list[Ref] = []
    for number in range(count):
        if number % 3 == 0:
            notes.append(dag.note(0).ref)
        blocks.append(dag.block(number % 2, blocks[-1:], notes[-1:]).ref)
    return dag, blocks, notes


def test_a_horizon_is_the_lamports_of_both_lanes():
    horizon = Horizon(3, 7)
    assert (horizon.get(LANE_SPEECH), horizon.get(LANE_BLOCKS)) == (3, 7)
    assert (horizon.lowest, horizon.highest) == (3, 7)
    assert horizon.join(Horizon(5, 6)) == Horizon(5, 7)


def test_old_blocks_count_no_more_and_what_they_carried_does():
    dag, blocks, notes = grow()
    intake = fill(dag)
    index = intake.index
    passed = index.advance_horizon(Horizon(0, blocks[3].lamport))
    assert [entry.ref for entry in passed] == blocks[:4]
    assert index.count_above == len(dag.vertices) - 4 == len(index.ranges)
    assert [index.find(cut_ref(ref)) for ref in (*blocks, *notes)] == [*blocks, *notes]
    assert index.ranges.find(cut_ref(blocks[0])) is None
    forgotten = intake.prune(Horizon(9, blocks[3].lamport))
    assert list(forgotten) == [ref.id for ref in blocks[:4]]
    assert index.find(cut_ref(blocks[0])) is None
    assert index.advance_horizon(Horizon(0, 1)) == ()


def test_what_only_old_blocks_stand_on_is_a_head_again():
    dag, blocks, notes = grow(5)
    early = fill(dag)
    heads = early.heads.collect_digest_refs
    assert notes[-1] not in heads(early.index, early.authors)
    horizon = Horizon(0, blocks[-1].lamport)
    early.advance_horizon(horizon)
    late = fill(dag, horizon)
    assert not any(ref.id in late.index for ref in blocks)
    assert notes[-1] in heads(early.index, early.authors)
    assert heads(early.index, early.authors) == late.heads.collect_digest_refs(
        late.index, late.authors
    )


def test_a_parent_named_as_a_block_is_present_by_the_age_of_blocks_and_no_other_is():
    dag, blocks, notes = grow(4)
    child = dag.block(2, blocks[-1:], notes[-1:])
    intake = make_intake(dag.builder.genesis)
    offer(intake, *dag.vertices[:3])
    intake.advance_horizon(Horizon(0, blocks[-1].lamport))
    (waits,) = offer(intake, child)
    assert isinstance(waits, Quarantined)
    assert waits.missing == (notes[-1],)
    assert intake.index.find_unknown((blocks[-1], notes[-1])) == (blocks[-1], notes[-1])
    notes_first = [signed for signed in dag.vertices if signed.ref in notes]
    assert offer(intake, *notes_first)[-1] == admitted(notes_first[-1], child)


def test_blocks_that_wait_for_old_blocks_enter_when_the_horizon_rises():
    dag, blocks, _ = grow(4)
    intake = make_intake(dag.builder.genesis)
    speech = [signed for signed in dag.vertices if signed.vertex.lane == LANE_SPEECH]
    by_ref = {signed.ref: signed for signed in dag.vertices}
    offer(intake, *speech, *[by_ref[ref] for ref in blocks[1:]])
    assert len(intake.quarantine) == 3
    entered = intake.advance_horizon(Horizon(0, blocks[1].lamport))
    assert [signed.ref for signed in entered.vertices] == blocks[2:]
    assert len(intake.quarantine) == 0
    assert offer(intake, by_ref[blocks[0]]) == [BelowHorizon()]


def misname(dag: LaneDag, block: Ref, speech: Iterable[Ref]) -> Ref:
    """A lane-1 vertex that names an old block as if somebody had said it."""
    return dag.block(2, [dag.builder.last(0, LANE_BLOCKS).ref], (*speech, block)).ref


def test_an_old_block_that_is_named_as_speech_is_needed_as_long_as_speech_is():
    dag, blocks, notes = grow(5)
    liar = misname(dag, blocks[1], notes[-1:])
    by_ref = {signed.ref: signed for signed in dag.vertices}
    everybody = fill(dag)
    pruned = make_intake(dag.builder.genesis)
    speech = [signed for signed in dag.vertices if signed.vertex.lane == LANE_SPEECH]
    horizon = Horizon(0, blocks[2].lamport)
    pruned.advance_horizon(horizon)
    offer(pruned, *speech, *[by_ref[ref] for ref in blocks[3:]])
    assert offer(pruned, by_ref[blocks[1]]) == [BelowHorizon()], "nobody needs it yet"
    (waits,) = offer(pruned, by_ref[liar])
    assert isinstance(waits, Quarantined)
    assert waits.missing == (blocks[1],)
    (found,) = offer(pruned, by_ref[blocks[1]])
    assert found == admitted(by_ref[blocks[1]], by_ref[liar])
    for intake in (everybody, pruned):
        intake.advance_horizon(horizon)
        intake.prune(horizon)
        assert blocks[1].id in intake.index
        above = Horizon(blocks[1].lamport, blocks[2].lamport)
        intake.advance_horizon(above)
        intake.prune(above)
        assert blocks[1].id not in intake.index


def test_what_waits_below_the_horizon_stays_only_while_something_above_needs_it():
    dag, blocks, notes = grow(5)
    liar = misname(dag, blocks[1], notes[-1:])
    by_ref = {signed.ref: signed for signed in dag.vertices}
    intake = make_intake(dag.builder.genesis)
    profiles = dag.vertices[:3]
    offer(intake, *profiles, by_ref[blocks[1]], by_ref[blocks[2]], by_ref[liar])
    assert len(intake.quarantine) == 3
    intake.advance_horizon(Horizon(0, blocks[3].lamport))
    assert blocks[1].id in intake.quarantine
    assert blocks[2].id not in intake.quarantine
    intake.advance_horizon(Horizon(blocks[1].lamport, blocks[3].lamport))
    assert blocks[1].id not in intake.quarantine


def test_what_is_wrong_says_in_which_lane_it_is_not_looked_at():
    dag, blocks, _ = grow(3)
    last = dag.block(1, blocks[-1:])
    false = Ref(blocks[-1].lamport - 1, blocks[-1].id)
    parents = (last.vertex.parents[0], false)
    wrong = dag.builder.sign(1, change(last.vertex, parents=parents, lamport=false.lamport + 1))
    intake = make_intake(dag.builder.genesis)
    offer(intake, *dag.vertices[:-1])
    with pytest.raises(InvalidVertex, match="parent-lamport") as caught:
        offer(intake, wrong)
    assert caught.value.parent == (false.lamport, LANE_BLOCKS)
    intake.advance_horizon(Horizon(0, false.lamport))
    assert isinstance(offer(intake, wrong)[0], Admitted)


@st.composite
def lane_dags(draw: st.DrawFn) -> LaneDag:
    """Notes and blocks by anybody, over any of what there is."""
    dag = LaneDag(draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(2, 16))):
        author = draw(st.integers(0, len(dag.builder.people) - 1))
        lanes = {lane: [s.ref for s in dag.vertices if s.vertex.lane == lane] for lane in (0, 1)}
        some = {
            lane: draw(st.lists(st.sampled_from(refs), max_size=3, unique=True)) if refs else []
            for lane, refs in lanes.items()
        }
        if draw(st.booleans()):
            dag.note(author, some[0] or None)
        else:
            dag.block(author, some[1], some[0])
    return dag


def compare(intake: Intake, uncounted: bytes) -> tuple[object, ...]:
    index, heads = intake.index, intake.heads
    return (
        index.count_above,
        index.ranges.compute_fingerprint(START, END),
        heads.collect_digest_refs(index, intake.authors),
        heads.collect_digest_refs(index, Uncounted(uncounted)),
    )


@given(lane_dags(), st.data())
def test_who_has_pruned_and_who_never_held_it_compare_alike(dag: LaneDag, data: st.DataObject):
    lamports = st.integers(0, max(signed.vertex.lamport for signed in dag.vertices))
    horizon = Horizon(data.draw(lamports), data.draw(lamports))
    old = fill(dag)
    old.advance_horizon(Horizon(horizon.speech // 2, horizon.blocks // 2))
    old.advance_horizon(horizon)
    archive = fill(dag)
    archive.advance_horizon(horizon)
    old.prune(Horizon(data.draw(lamports), data.draw(lamports)))
    new = fill(dag, horizon)
    uncounted = dag.builder.people[0].author
    assert compare(old, uncounted) == compare(new, uncounted) == compare(archive, uncounted)
    fresh = LaneDagTail(dag)
    for intake in (old, new, archive):
        offer(intake, *fresh.vertices)
    assert compare(old, uncounted) == compare(new, uncounted) == compare(archive, uncounted)


class LaneDagTail:
    """What comes later, on top of everything."""

    def __init__(self, dag: LaneDag) -> None:
        start = len(dag.vertices)
        dag.note(0)
        blocks = [s.ref for s in dag.vertices if s.vertex.lane == LANE_BLOCKS]
        for author in range(len(dag.builder.people)):
            blocks.append(dag.block(author, blocks[-2:], dag.builder.speech_heads).ref)
        self.vertices = dag.vertices[start:]
