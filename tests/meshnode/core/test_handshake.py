"""Credentials in parts, and what belongs to the handshake."""

from __future__ import annotations

import pytest

from meshnode.core.admission import CREDENTIALS_REQUEST
from meshnode.core.handshake import CREDENTIALS_BYTES_MAX, is_handshake, split_credentials
from meshnode.core.inputs import Vertices
from meshnode.core.messages import Hello, Ping, Proof


@pytest.mark.parametrize(
    ("sizes", "counts"),
    [
        ((), []),
        ((10, 10), [2]),
        ((CREDENTIALS_BYTES_MAX,), [1]),
        ((CREDENTIALS_BYTES_MAX, 1), [1, 1]),
        ((30_000, 18_000, 1, 30_000), [2, 2]),
    ],
)
def test_credentials_are_split_where_a_part_would_be_too_large(
    sizes: tuple[int, ...], counts: list[int]
):
    wires = tuple(bytes(size) for size in sizes)
    parts = split_credentials(wires)
    assert [len(part) for part in parts] == counts
    assert tuple(wire for part in parts for wire in part) == wires


def test_handshake_is_hello_credentials_and_proof():
    hello = Hello(1, bytes(32), bytes(32), bytes(32), "", ())
    assert is_handshake(hello)
    assert is_handshake(Proof(b""))
    assert is_handshake(Vertices(CREDENTIALS_REQUEST, ()))
    assert not is_handshake(Vertices(0, ()))
    assert not is_handshake(Ping(1))
