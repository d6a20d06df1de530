"""Order inside a commit: by class, then by a digest nobody chooses; bytes in a block mean nothing."""

from __future__ import annotations

import random

from dag.canonical import encode
from dag.order import Commit
from dag.types import Kind
from dag.vertex import SignedVertex
from market.commands import (
    COMMANDS_MAX,
    Batch,
    CancelAll,
    CancelOrder,
    Close,
    PlaceOrder,
    ReplaceOrder,
    Stake,
    compute_command_id,
)
from market.orders import Side
from market.sequencing import Unreadable, arrange, read_commands
from tests.support.market_scene import get_account, make_vertex

ORDER = PlaceOrder(bytes(32), Side.BID, 1_000, 5, 0)
COMMIT = Commit(1, bytes([3]) * 32, bytes(32), bytes(32), (), 5)


def make_vertices() -> list[SignedVertex]:
    commands = (ORDER, Close(bytes(32)), CancelAll(), Stake(5))
    return [
        make_vertex(get_account(number), seq, encode(Batch(commands)))
        for number in range(3)
        for seq in range(3)
    ]


def test_commands_go_by_class_and_not_by_their_place():
    issued, _ = read_commands(make_vertices())
    classes = [type(each.command) for each in arrange(COMMIT, issued)]
    assert classes == [Stake] * 9 + [CancelAll] * 9 + [Close] * 9 + [PlaceOrder] * 9


def test_sequence_is_the_same_for_every_permutation_of_the_vertices():
    vertices = make_vertices()
    expected = list(arrange(COMMIT, read_commands(vertices)[0]))
    for seed in range(5):
        random.Random(seed).shuffle(vertices)
        assert list(arrange(COMMIT, read_commands(vertices)[0])) == expected


def test_sequence_cannot_be_known_before_the_commit():
    issued, _ = read_commands(make_vertices())
    other = Commit(1, bytes([4]) * 32, bytes(32), bytes(32), (), 5)
    assert list(arrange(COMMIT, issued)) != list(arrange(other, issued))


def test_commands_are_named_by_their_vertex_and_their_place_in_it():
    vertices = make_vertices()
    issued, _ = read_commands(vertices)
    names = [compute_command_id(each.id, place) for each in vertices for place in range(4)]
    assert [each.id for each in issued] == names
    assert [each.account for each in issued] == [
        each.vertex.author for each in vertices for _ in range(4)
    ]


def test_what_names_an_order_of_the_same_commit_comes_after_it():
    first = make_vertex(get_account(1), 1, encode(Batch((ORDER, CancelAll()))))
    order = compute_command_id(first.id, 0)
    changes = (CancelOrder(order), CancelOrder(bytes(32)), ReplaceOrder(order, 5, 5))
    second = make_vertex(get_account(1), 2, encode(Batch(changes)))
    issued, _ = read_commands([second, first])
    kinds = [type(each.command) for each in arrange(COMMIT, issued)]
    assert sorted(kinds[:2], key=repr) == [CancelAll, CancelOrder]
    assert kinds[2:] == [PlaceOrder, CancelOrder, ReplaceOrder]


def test_only_market_kinds_of_lane_zero_are_read():
    body = encode(Batch((Stake(5),)))
    account = get_account(1)
    for kind in (Kind.NOTE, Kind.RESULT, Kind.PROFILE):
        assert read_commands([make_vertex(account, 0, body, kind)]) == ([], [])
    assert len(read_commands([make_vertex(account, 0, body, Kind.RECEIPT)])[0]) == 1


def test_body_without_a_batch_is_unreadable():
    account = get_account(1)
    bodies = [b"", b"\xff", encode(Batch(())), encode(Batch((CancelAll(),) * (COMMANDS_MAX + 1)))]
    vertices = [make_vertex(account, seq, body) for seq, body in enumerate(bodies)]
    issued, unreadable = read_commands(vertices)
    assert issued == []
    assert unreadable == [
        Unreadable(vertex, account) for vertex in sorted(each.id for each in vertices)
    ]
