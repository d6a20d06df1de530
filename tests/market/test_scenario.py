"""Cases of the notation: those of the vectors pass, wrong ones fail where they are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dag.errors import MeshError
from market import scenario
from market.scenario import Case, InvalidCase, Mismatch, parse_document, play

CASES = Path(__file__).parent / "vectors/cases.json"
NOTES = Path(__file__).parents[2] / "docs/market-notation.md"
OFFER = {"do": "limit", "id": 1, "owner": 1, "side": "offer", "price": 40, "lots": 2}


def parse(*steps: dict[str, Any], **rest: Any) -> Case:
    document = {"cases": [{"id": "case", "steps": steps, **rest}]}
    return parse_document(json.dumps(document).encode()).cases[0]


@pytest.mark.parametrize("case", parse_document(CASES.read_bytes()).cases, ids=lambda case: case.id)
def test_case_of_the_vectors_passes(case: Case):
    assert play(case) is None


def test_example_of_the_documentation_passes():
    example = NOTES.read_text(encoding="utf-8").split("```json\n")[1].split("```")[0]
    cases = parse_document(example.encode()).cases
    assert cases
    assert [play(case) for case in cases] == [None] * len(cases)


def test_mismatch_names_the_step_the_trades_or_the_book():
    wrong = {**OFFER, "expect": [["rest", 1, 3]]}
    assert play(parse(OFFER, wrong)) == Mismatch(
        "step 2", [["rest", 1, 3]], [["reject", "duplicate_id"]]
    )
    assert play(parse(OFFER, trades=[[1, 2, 3, 4]])) == Mismatch("trades", [[1, 2, 3, 4]], [])
    assert play(parse(OFFER, book=[])) == Mismatch("book", [], [[1, "offer", 40, 2]])
    assert play(parse(OFFER, OFFER)) is None


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"price": "40"}, r"Expected `int`, got `str` - at `\$.cases\[0\].steps\[0\].price`"),
        ({"do": "sell"}, r"Invalid value 'sell'"),
        ({"side": "ask"}, r"Invalid enum value 'ask'"),
        ({"colour": 1}, r"unknown field `colour`"),
        ({"id": None}, r"at `\$.cases\[0\].steps\[0\].id`"),
    ],
)
def test_document_is_refused_with_the_place_of_its_fault(change: dict[str, Any], match: str):
    with pytest.raises(InvalidCase, match=match):
        parse({**OFFER, **change})


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b'{"cases": [{}]}'])
def test_document_is_refused_when_it_is_none(data: bytes):
    with pytest.raises(InvalidCase, match=r"docs/market-notation\.md"):
        parse_document(data)


def test_document_is_refused_when_it_has_too_many_cases(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scenario, "CASES_MAX", 1)
    with pytest.raises(InvalidCase, match="at most 1 cases, not 2"):
        parse_document(b'{"cases": [{"id": "a", "steps": []}, {"id": "b", "steps": []}]}')


@pytest.mark.parametrize(
    "case",
    [
        parse({**OFFER, "attributes": {"colour": 1}}),
        parse({**OFFER, "attributes": {"context_tokens": 1}}),
        parse(OFFER, instrument={"fills_max": 0}),
        parse(OFFER, instrument={"dimensions": [{"name": "a", "promises": []}]}),
    ],
)
def test_case_that_cannot_be_played_raises(case: Case):
    with pytest.raises(MeshError):
        play(case)
