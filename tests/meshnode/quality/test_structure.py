"""What is wrong with an answer by its form."""

from __future__ import annotations

import pytest

from meshnode.quality.structure import Flaw, Said, find_flaws


def said(**fields) -> Said:
    return Said(**{"text": "Fine words.", "finish_reason": "stop"} | fields)


def test_sound_answer_has_no_flaw():
    assert find_flaws(said(tokens_claimed=3, tokens_counted=3, tokens_max=3)) == ()


@pytest.mark.parametrize(
    ("fields", "flaw"),
    [
        ({"text": " \n"}, Flaw.EMPTY),
        ({"finish_reason": ""}, Flaw.UNFINISHED),
        ({"finish_reason": "length", "tokens_claimed": 40, "tokens_max": 64}, Flaw.CUT_SHORT),
        (
            {
                "finish_reason": "length",
                "tokens_claimed": 64,
                "tokens_counted": 40,
                "tokens_max": 64,
            },
            Flaw.CUT_SHORT,
        ),
        ({"tokens_counted": 99, "tokens_max": 64}, Flaw.TOO_LONG),
        ({"tokens_claimed": 1_023, "tokens_counted": 1_000}, Flaw.MISCOUNTED),
        ({"tokens_claimed": 977, "tokens_counted": 1_000}, Flaw.MISCOUNTED),
        ({"text": "[1]", "wants_json": True}, Flaw.NOT_JSON),
        ({"text": "{'a': 1}", "wants_json": True}, Flaw.NOT_JSON),
        ({"text": "[" * 9_999, "wants_json": True}, Flaw.NOT_JSON),
        ({"text": "I\u2019m sorry, but I can't do that."}, Flaw.REFUSED),
    ],
)
def test_flaw_is_found(fields, flaw):
    assert flaw in find_flaws(said(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"tokens_claimed": 1_022, "tokens_counted": 1_000},
        {"tokens_claimed": 12, "tokens_counted": 10},
        {"finish_reason": "length", "tokens_claimed": 63, "tokens_max": 64},
        {"finish_reason": "length"},
        {"finish_reason": "length", "tokens_max": 64},
        {"text": "", "finish_reason": "tool_calls", "wants_json": True},
        {"text": '{"a": [1]}', "wants_json": True},
        {"text": "One may say: I cannot help but smile."},
    ],
)
def test_what_may_be_so_is_no_flaw(fields):
    assert find_flaws(said(**fields)) == ()
