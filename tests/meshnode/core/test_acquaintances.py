"""Who need not be shown credentials again."""

from __future__ import annotations

from meshnode.core.acquaintances import Acquaintances


def test_authors_are_known_until_a_handshake_fails():
    known = Acquaintances(4)
    known.add(b"a")
    assert b"a" in known
    assert b"b" not in known
    known.discard(b"a")
    known.discard(b"a")
    assert b"a" not in known


def test_those_not_seen_for_longest_are_forgotten_first():
    known = Acquaintances(2)
    known.add(b"a")
    known.add(b"b")
    known.add(b"a")
    known.add(b"c")
    assert [author in known for author in (b"a", b"b", b"c")] == [True, False, True]
