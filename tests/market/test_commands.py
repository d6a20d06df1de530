"""Commands: canonical bytes, and ids that name vertex and place."""

from __future__ import annotations

import pytest

from dag.canonical import encode
from dag.errors import MalformedMessage
from market.commands import (
    BATCH_DECODER,
    Batch,
    CancelAll,
    PlaceOrder,
    Stake,
    Transfer,
    compute_command_id,
)
from market.orders import Side, TimeInForce


def test_batch_is_read_back():
    order = PlaceOrder(bytes(32), Side.BID, None, 5, 0, TimeInForce.IOC, budget=5_000)
    batch = Batch((Transfer(bytes(32), 5, "for tea"), Stake(1), CancelAll(), order))
    assert BATCH_DECODER.decode(encode(batch)) == batch


def test_id_names_vertex_and_place():
    ids = {compute_command_id(vertex, place) for vertex in (bytes(32), b"v") for place in (0, 1)}
    assert len(ids) == 4


@pytest.mark.parametrize(
    "value",
    [[[[99, 5]]], [[[2]]], [[[2, 5, 6]]], [[[2, "5"]]], [[[2, 5.0]]], [5], [], [[]] * 2],
)
def test_batch_does_not_decode_when_it_is_something_else(value: object):
    with pytest.raises(MalformedMessage):
        BATCH_DECODER.decode(encode(value))
