"""From which snapshot a core starts."""

from __future__ import annotations

import pytest

from consensus.checkpoint import Members, SnapshotHeader, encode_header
from dag.canonical import encode
from dag.errors import MalformedMessage
from dag.genesis import Validator
from dag.index import NOWHERE
from dag.types import Horizon
from meshnode.core.recovered import (
    HEAD_KEY,
    PRUNED_KEY,
    Certified,
    Recovered,
    StoredSnapshot,
    decode_chain,
    decode_pruned,
    encode_chain,
)
from tests.support.horizons import level
from tests.support.lane_dag import LaneDag


def make(index: int, floor: Horizon | None = None) -> StoredSnapshot:
    members = Members((Validator(bytes(32), 1),), "bft3")
    header = SnapshotHeader(
        2, bytes(32), index, bytes(32), 0, 0, members, None, floor or level(index), ()
    )
    return StoredSnapshot(index, encode_chain([Certified(encode_header(header), ())]), ())


@pytest.mark.parametrize(
    ("delivered", "pruned", "start"),
    [(25, b"", 20), (20, b"x", 20), (15, b"x", 10), (5, b"x", 10), (5, b"", None)],
)
def test_the_newest_snapshot_is_chosen_behind_which_nothing_is_told_again(delivered, pruned, start):
    recovered = Recovered(
        values={PRUNED_KEY: pruned}, delivered=delivered, snapshots=(make(10), make(20))
    )
    chosen = recovered.choose_start()
    assert (None if chosen is None else chosen.header.index) == start
    assert recovered.find_horizon() == level(20)


def test_without_books_of_the_application_the_recorded_commit_counts():
    snapshots = (make(10), make(20))
    assert Recovered(snapshots=snapshots).choose_start() is None
    values = {HEAD_KEY: encode((12, bytes(32), 0))}
    chosen = Recovered(values=values, snapshots=snapshots).choose_start()
    assert chosen is not None
    assert chosen.header.index == 10


def test_a_chain_has_at_least_one_header():
    with pytest.raises(MalformedMessage):
        decode_chain(encode(()))


def test_speech_below_the_horizon_comes_first_and_the_rest_as_it_came():
    """A block that came late, by name, may carry what lies above: it is not moved before it."""
    dag = LaneDag()
    dag.note(2)
    note = dag.note(0)
    first = dag.block(0, (), [note.ref])
    late = dag.note(1, parents=[])
    second = dag.block(0, [first.ref], [late.ref])
    came = (second, first, note, late, *dag.vertices[:4])
    horizon = Horizon(late.vertex.lamport, second.vertex.lamport)
    recovered = Recovered(vertices=came, snapshots=(make(10, horizon),))
    old = sorted((*dag.vertices[:4], late), key=lambda signed: signed.ref)
    assert note.vertex.lamport > horizon.speech
    assert recovered.arrange() == (*old, second, first, note)


def test_a_record_of_what_was_deleted_is_read_back_or_refused():
    assert decode_pruned(b"") == NOWHERE
    assert decode_pruned(encode(Horizon(4, 9))) == Horizon(4, 9)
    with pytest.raises(MalformedMessage):
        decode_pruned(b"x")
