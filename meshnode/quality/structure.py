"""Level 0: what is wrong with an answer by its form alone.

It needs no second opinion, and so it is cheap enough for every answer. Counts are compared with
those of the model's own tokenizer where one is at hand; two per cent and two tokens are left to the
end mark and to text that tokenizes otherwise as a whole than piece by piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

COUNT_TOLERANCE_BP: Final = 200
COUNT_SLACK: Final = 2
"""Tokens beside the share."""
_ENDINGS: Final = ("stop", "length", "tool_calls")
_REFUSALS: Final = (
    "i can't help",
    "i cannot help",
    "i can't assist",
    "i cannot assist",
    "i'm sorry, but i can",
    "i am sorry, but i can",
    "i'm unable to",
    "i am unable to",
    "as an ai language model, i can",
)
_REFUSAL_CHARS: Final = 200
"""A refusal stands at the beginning."""


class Flaw(StrEnum):
    """What is wrong with an answer."""

    EMPTY = "empty"
    UNFINISHED = "unfinished"
    """It ended without one of the reasons for which answers end."""
    CUT_SHORT = "cut_short"
    """It says that it reached the limit, and did not."""
    TOO_LONG = "too_long"
    MISCOUNTED = "miscounted"
    """It claims a number of tokens that it does not have."""
    NOT_JSON = "not_json"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer as it arrived, and what was asked for."""

    text: str
    finish_reason: str
    tokens_claimed: int | None = None
    tokens_counted: int | None = None
    """By the model's own tokenizer; None where that is not at hand."""
    tokens_max: int | None = None
    wants_json: bool = False


def find_flaws(said: Said) -> tuple[Flaw, ...]:
    """Everything that is wrong with the form of an answer."""
    # Counted is evidence, claimed only a word: it serves where nothing better is at hand.
    tokens = said.tokens_claimed if said.tokens_counted is None else said.tokens_counted
    calls_tools = said.finish_reason == "tool_calls"
    found = {
        Flaw.EMPTY: not said.text.strip() and not calls_tools,
        Flaw.UNFINISHED: said.finish_reason not in _ENDINGS,
        Flaw.CUT_SHORT: said.finish_reason == "length"
        and tokens is not None
        and said.tokens_max is not None
        and tokens + _get_slack(said.tokens_max) < said.tokens_max,
        Flaw.TOO_LONG: tokens is not None
        and said.tokens_max is not None
        and tokens > said.tokens_max + _get_slack(said.tokens_max),
        Flaw.MISCOUNTED: said.tokens_claimed is not None
        and said.tokens_counted is not None
        and abs(said.tokens_claimed - said.tokens_counted) > _get_slack(said.tokens_counted),
        Flaw.NOT_JSON: said.wants_json and not calls_tools and not _is_json_object(said.text),
        Flaw.REFUSED: _is_refusal(said.text),
    }
    return tuple(flaw for flaw, is_there in found.items() if is_there)


def _get_slack(tokens: int) -> int:
    return COUNT_SLACK + tokens * COUNT_TOLERANCE_BP // 10_000


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def _is_refusal(text: str) -> bool:
    beginning = (
        text.lstrip()[:_REFUSAL_CHARS].lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    )
    return beginning.startswith(_REFUSALS)
