"""A snapshot proves itself: its header by votes, its parts by digests, its committee by a chain."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.block import CommitVote
from consensus.checkpoint import (
    PART_BYTES_MAX,
    PARTS_MAX,
    SNAPSHOT_VERSION,
    Members,
    Part,
    SnapshotHeader,
    check_part,
    compute_root,
    decode_header,
    describe_committee,
    encode_header,
    is_checkpoint,
    make_committee,
    split_state,
    verify_certificate,
    verify_chain,
)
from consensus.committee import Committee
from consensus.errors import InvalidCheckpoint
from dag.errors import InvalidMessage, MessageTooLarge
from dag.genesis import Validator
from dag.types import COUNTER_MAX, Horizon, Kind
from tests.support.block_dag import BlockDag
from tests.support.horizons import level

DAG = BlockDag(5)
VALIDATORS = DAG.committee.validators
FIRST = Committee(0, VALIDATORS[:4])
SECOND = Committee(1, VALIDATORS[1:])


def make_header(
    committee: Committee = FIRST, index: int = 10, members: Members | None = None, **fields
) -> SnapshotHeader:
    header = SnapshotHeader(
        version=SNAPSHOT_VERSION,
        network=DAG.network,
        index=index,
        commit_digest=b"c" * 32,
        time_ms=5,
        epoch=committee.epoch,
        committee=members or describe_committee(committee),
        next_committee=None,
        floor=level(7),
        parts=tuple(part for part, _ in split_state("order", b"state")),
    )
    return msgspec.structs.replace(header, **fields)


def vote(header: SnapshotHeader, authors, **options):
    """A block of each author that votes for a header; authors are the DAG's, not positions."""
    cast = (CommitVote(header.index, header.commit_digest, compute_root(header)),)
    given: dict[str, Any] = {"votes": cast, "epoch": header.epoch} | options
    return [DAG.block(author, 1, admit=False, **given) for author in authors]


def test_checkpoints_are_every_so_many_commits():
    assert [index for index in range(8) if is_checkpoint(index, 3)] == [3, 6]


def test_header_survives_the_wire_and_its_root_fixes_all_of_it():
    header = make_header(next_committee=describe_committee(SECOND))
    assert decode_header(encode_header(header)) == header
    roots = [
        compute_root(msgspec.structs.replace(header, **change))
        for change in (
            {},
            {"index": 11},
            {"next_committee": None},
            {"floor": Horizon(7, 8)},
            {"floor": Horizon(8, 7)},
            {"time_ms": 6},
            {"parts": ()},
        )
    ]
    assert len(dict.fromkeys(roots)) == len(roots)


PART = Part("order/0000", b"d" * 32, 5)


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 1},
        {"network": b"short"},
        {"commit_digest": b"short"},
        {"index": 0},
        {"index": COUNTER_MAX + 1},
        {"time_ms": -1},
        {"floor": Horizon(-1, 0)},
        {"floor": Horizon(0, -1)},
        {"epoch": -1},
        {"epoch": COUNTER_MAX, "next_committee": describe_committee(SECOND)},
        {"members": Members((), "bft3")},
        {"members": Members((Validator(b"a" * 32, 1),) * 2, "bft3")},
        {"next_committee": Members((Validator(b"a" * 32, 0),), "bft3")},
        {"parts": (PART, PART)},
        {"parts": (Part("", b"d" * 32, 5),)},
        {"parts": (Part("n" * 49, b"d" * 32, 5),)},
        {"parts": (Part("é", b"d" * 32, 5),)},
        {"parts": (Part("n", b"short", 5),)},
        {"parts": (Part("n", b"d" * 32, -1),)},
        {"parts": (Part("n", b"d" * 32, PART_BYTES_MAX + 1),)},
        {"parts": tuple(Part(f"n/{i:04}", b"d" * 32, 1) for i in range(PARTS_MAX + 1))},
    ],
)
def test_header_is_refused_when_unsound(fields):
    with pytest.raises(InvalidCheckpoint):
        decode_header(encode_header(make_header(**fields)))


def test_largest_header_is_read_and_a_larger_one_is_not():
    members = Members(tuple(Validator(bytes([i]) * 32, 2**40) for i in range(128)), "bft5")
    parts = tuple(Part(f"{'n' * 43}/{i:04}", b"d" * 32, PART_BYTES_MAX) for i in range(PARTS_MAX))
    header = make_header(members=members, next_committee=members, parts=parts)
    assert decode_header(encode_header(header)) == header
    with pytest.raises(MessageTooLarge):
        decode_header(encode_header(make_header(parts=parts * 2)))


@given(st.binary(max_size=200))
def test_any_bytes_give_typed_error(data):
    with pytest.raises(InvalidMessage):
        decode_header(data)


def test_state_is_cut_into_parts_that_name_their_bytes():
    data = bytes(range(256)) * (2 * PART_BYTES_MAX // 256) + b"rest"
    pieces = split_state("order", data)
    assert [part.name for part, _ in pieces] == ["order/0000", "order/0001", "order/0002"]
    assert b"".join(piece for _, piece in pieces) == data
    for part, piece in pieces:
        check_part(part, piece)
        with pytest.raises(InvalidCheckpoint, match="bytes of part"):
            check_part(part, piece[:-1])
        with pytest.raises(InvalidCheckpoint, match="bytes of part"):
            check_part(part, b"x" + piece[1:])
    other = split_state("orders", b"")
    assert [part.size_bytes for part, _ in other] == [0]


@pytest.mark.parametrize("profile", ["bft3", "bft5", "cft"])
def test_committee_survives_as_a_record(profile):
    committee = Committee(3, VALIDATORS, profile)
    again = make_committee(3, describe_committee(committee))
    assert (again.validators, again.profile) == (committee.validators, committee.profile)


def test_quorum_of_votes_certifies_a_header():
    header = make_header()
    verify_certificate(header, vote(header, [0, 1, 3]), FIRST)
    verify_certificate(header, vote(header, range(4)), FIRST)


def test_certificate_is_refused_when_it_proves_nothing():
    header = make_header()
    other = make_header(index=20)
    good = vote(header, [0, 1, 2])
    foreign = BlockDag(6).block(
        0, 1, votes=(CommitVote(10, b"c" * 32, compute_root(header)),), admit=False
    )
    for blocks, why in (
        (good[:2], "hold 2 of 3"),
        ([*good[:2], good[0]], "counts once"),
        ([*good[:2], *vote(header, [0], time_ms=1)], "counts once"),
        ([*good[:2], *vote(other, [2])], "does not vote"),
        ([*good[:2], *vote(header, [2], votes=(CommitVote(10, b"c" * 32),))], "does not vote"),
        ([*good[:2], *vote(header, [4])], "not in the committee"),
        ([*good[:2], *vote(header, [2], epoch=1)], "is after"),
        ([*good[:2], *vote(header, [2], kind=Kind.NOTE)], "is no block"),
        ([*good[:2], foreign], "another network"),
        (good * 2, "6 votes of 4"),
    ):
        with pytest.raises(InvalidCheckpoint, match=why):
            verify_certificate(header, blocks, FIRST)
    for untrusted in (SECOND, Committee(0, VALIDATORS), Committee(0, VALIDATORS[:4], "cft")):
        with pytest.raises(InvalidCheckpoint, match="not the trusted one"):
            verify_certificate(header, good, untrusted)


def test_chain_leads_from_committee_to_committee():
    ending = make_header(next_committee=describe_committee(SECOND))
    after = make_header(SECOND, 30)
    third = Committee(2, VALIDATORS[2:])
    more = make_header(SECOND, 31, next_committee=describe_committee(third))
    chain = [
        (make_header(index=5), vote(make_header(index=5), [0, 1, 2])),
        (ending, vote(ending, [0, 1, 2])),
        (after, vote(after, [2, 3, 4])),
        (more, vote(more, [1, 2, 4])),
    ]
    assert verify_chain(DAG.network, FIRST, []) is FIRST
    assert verify_chain(DAG.network, FIRST, chain[:2]) is FIRST
    last = verify_chain(DAG.network, FIRST, chain)
    assert (last.epoch, last.validators) == (1, SECOND.validators)


def test_chain_with_a_gap_is_refused():
    ending = make_header(next_committee=describe_committee(SECOND))
    after = make_header(SECOND, 30)
    signed = (ending, vote(ending, [0, 1, 2]))
    later = (after, vote(after, [2, 3, 4]))
    for chain, why in (
        ([later], "not the trusted one"),
        ([(make_header(), vote(make_header(), [0, 1, 2])), later], "not the trusted one"),
        ([signed, signed], "ascend"),
        ([signed, (make_header(index=9), [])], "ascend"),
        ([signed, (make_header(Committee(1, VALIDATORS), 30), [])], "not the trusted one"),
        ([(make_header(network=bytes(32)), [])], "another network"),
    ):
        with pytest.raises(InvalidCheckpoint, match=why):
            verify_chain(DAG.network, FIRST, chain)
