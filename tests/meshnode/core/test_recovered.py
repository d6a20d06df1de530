"""From which snapshot a core starts."""

from __future__ import annotations

import pytest

from consensus.checkpoint import Members, SnapshotHeader, encode_header
from dag.canonical import encode
from dag.errors import MalformedMessage
from dag.genesis import Validator
from meshnode.core.recovered import (
    HEAD_KEY,
    PRUNED_KEY,
    Certified,
    Recovered,
    StoredSnapshot,
    decode_chain,
    encode_chain,
)


def make(index: int) -> StoredSnapshot:
    members = Members((Validator(bytes(32), 1),), "bft3")
    header = SnapshotHeader(1, bytes(32), index, bytes(32), 0, 0, members, None, index, ())
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
    assert recovered.find_horizon() == 20


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
