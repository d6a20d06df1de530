"""A connection's author is a claim that HELLO makes."""

from __future__ import annotations

from meshnode.core.link import Link, Phase
from meshnode.core.messages import Hello


def test_author_is_empty_before_hello():
    link = Link("p", True, "/a", 0, bytes(32), 3_000)
    assert link.phase is Phase.HANDSHAKE
    assert link.author == b""
    link.hello = Hello(1, bytes(32), b"a" * 32, bytes(32), "x", ())
    assert link.author == b"a" * 32
