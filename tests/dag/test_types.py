"""Kinds have names, and refs an order."""

from __future__ import annotations

from dag.types import Kind, Ref, get_kind_name


def test_kind_name_is_known_or_opaque():
    assert get_kind_name(Kind.RESULT) == "result"
    assert get_kind_name(99) == "opaque-99"


def test_refs_sort_by_lamport_then_id():
    refs = [Ref(2, b"a"), Ref(1, b"b"), Ref(1, b"a")]
    assert sorted(refs) == [Ref(1, b"a"), Ref(1, b"b"), Ref(2, b"a")]
