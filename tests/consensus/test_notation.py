"""Cases in short names become signed blocks."""

from __future__ import annotations

import pytest

from consensus.committee import Committee
from consensus.notation import (
    InvalidCase,
    Name,
    build,
    find_names,
    make_validators,
    parse_layers,
    parse_name,
)


def parents_of(drafts, text: str) -> list[str]:
    (draft,) = [draft for draft in drafts if str(draft.name) == text]
    return [str(parent) for parent in draft.parents]


def test_names_are_read_with_their_letter():
    assert parse_name("2.13a") == Name(13, 2, "a")
    assert str(Name(13, 2, "a")) == "2.13a"
    assert find_names("own and 0.5 of round 5, 2.4a") == [Name(5, 0), Name(4, 2, "a")]
    with pytest.raises(InvalidCase, match="no block name"):
        parse_name("2-3")


def test_layers_are_read_left_to_right_own_previous_first():
    drafts = parse_layers(
        4,
        [
            {"r": "1-2", "all": "*"},
            {"r": 2, "b": {"3a": "* -0.1"}},
            {"r": "3", "b": {"3": "* -3.2 3.2a", "1": "0.2 1.2 2.1"}},
            {"r": 4, "all": "*", "by": [0]},
        ],
    )
    assert parents_of(drafts, "2.2") == ["2.1", "0.1", "1.1", "3.1"]
    assert parents_of(drafts, "3.2a") == ["3.1", "1.1", "2.1"]
    assert parents_of(drafts, "3.3") == ["3.2a", "0.2", "1.2", "2.2"]
    assert parents_of(drafts, "1.3") == ["1.2", "0.2", "2.1"]
    assert parents_of(drafts, "0.4") == ["1.3", "3.3"]
    assert parents_of(drafts, "0.1") == ["0.0", "1.0", "2.0", "3.0"]


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ([{"r": 1, "all": "*"}, {"r": 1, "all": "*"}], "twice"),
        ([{"r": 1, "b": {"x": "*"}}], "names no author"),
        ([{"r": 1, "b": {"0": "3.9"}}], "stands nowhere"),
    ],
)
def test_layers_that_make_no_sense_are_refused(layers, why: str):
    with pytest.raises(InvalidCase, match=why):
        parse_layers(4, layers)


def test_author_outside_the_committee_is_refused():
    committee = Committee(0, make_validators([1, 1]))
    with pytest.raises(InvalidCase, match="2 members"):
        build(committee, parse_layers(2, [{"r": 1, "b": {"5": ""}}]))


def test_ids_of_twins_ascend_with_their_letters():
    committee = Committee(0, make_validators([1]))
    layers = [{"r": 1, "b": {"0b": "*", "0": "*", "0c": "*", "0a": "*"}}]
    built = build(committee, parse_layers(1, layers))
    by_letter = sorted(built, key=lambda item: item.name.letter)
    ids = [item.signed.id for item in by_letter]
    assert ids == sorted(ids)
    assert len(dict.fromkeys(ids)) == 4
