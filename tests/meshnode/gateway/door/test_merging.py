"""Chunks of any fields become one message by the rules that clients use."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from meshnode.gateway.door import merging
from meshnode.gateway.door.merging import merge


def merge_all(*pieces):
    target: dict = {}
    for piece in pieces:
        merge(target, piece)
    return target


def test_texts_join_numbers_replace_objects_and_lists_merge():
    assert merge_all(
        {"a": "x", "n": 1, "o": {"p": "q"}, "l": [{"t": 1}], "flag": False},
        {"a": "y", "n": 2, "o": {"p": "r", "s": None}, "l": [{"t": 2}], "flag": True},
    ) == {
        "a": "xy",
        "n": 2,
        "o": {"p": "qr", "s": None},
        "l": [{"t": 1}, {"t": 2}],
        "flag": True,
    }


def test_entries_with_an_index_are_one_entry():
    assert merge_all(
        {"calls": [{"index": 1, "id": "b", "f": {"a": "{"}}]},
        {"calls": [{"index": 0, "id": "a"}, {"index": 1, "id": "", "f": {"a": "}"}}]},
        {"calls": [{"index": True}, "odd"]},
    ) == {
        "calls": [
            {"index": 1, "id": "b", "f": {"a": "{}"}},
            {"index": 0, "id": "a"},
            {"index": True},
            "odd",
        ]
    }


def test_null_takes_nothing_away_and_gives_way():
    assert merge_all({"a": None}, {"a": "x"}, {"a": None}) == {"a": "x"}


def test_names_are_not_repeated_and_kinds_may_change():
    assert merge_all({"role": "assistant"}, {"role": "assistant"}) == {"role": "assistant"}
    assert merge_all({"a": "x"}, {"a": 1}, {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_lists_by_index_are_bounded(monkeypatch):
    monkeypatch.setattr(merging, "ENTRIES_MAX", 2)
    pieces = [{"calls": [{"index": index}]} for index in range(5)]
    assert len(merge_all(*pieces)["calls"]) == 2


@given(st.text(max_size=20), st.lists(st.integers(0, 20), max_size=6))
def test_text_is_the_same_however_it_was_cut(text, cuts):
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[start:end] for start, end in itertools.pairwise(places)]
    merged = merge_all(*({"content": piece} for piece in pieces))
    assert merged.get("content", "") == text


def test_pieces_are_not_changed():
    piece = {"o": {"p": "q"}, "l": [{"index": 0, "t": "a"}]}
    merge_all(piece, {"o": {"p": "r"}, "l": [{"index": 0, "t": "b"}]})
    assert piece == {"o": {"p": "q"}, "l": [{"index": 0, "t": "a"}]}
