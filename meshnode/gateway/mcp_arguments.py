"""What the tools of the Model Context Protocol take, decoded strictly: models write it."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from market.instruments import LOTS_MAX
from meshnode.gateway.bodies import Body

QUESTION_CHARS_MAX: Final = 1_000_000

_Vertex = Annotated[str, Meta(min_length=1, max_length=64)]
_Prompt = Annotated[str, Meta(min_length=1, max_length=QUESTION_CHARS_MAX)]
_System = Annotated[
    str, Meta(max_length=QUESTION_CHARS_MAX, description="Instructions before the question.")
]
_Model = Annotated[
    str, Meta(min_length=1, max_length=256, description="A model's id; 'auto' takes any.")
]
_Tokens = Annotated[int, Meta(ge=1, le=1_000_000, description="Longest answer, in tokens.")]
_Knowledge = Annotated[
    tuple[_Vertex, ...],
    Meta(max_length=6, description="Ids of vertices whose text precedes the question."),
]
_Timeout = Annotated[int, Meta(ge=1, le=600, description="Seconds for everything.")]
_AskRuv = Annotated[
    str,
    Meta(
        max_length=40,
        description="Buy the answer on the market for at most so many ruv, such as '0.25'; "
        "without it the answer is free.",
    ),
]
_Id = Annotated[
    str, Meta(max_length=64, description="An id or its beginning: that vertex, with its text.")
]
_Kind = Annotated[
    str, Meta(max_length=32, description="result, note, proposal, ballot, profile or another.")
]
_Author = Annotated[str, Meta(max_length=256, description="A member's id, or its name.")]
_Limit = Annotated[int, Meta(ge=1, le=100, description="How many at most.")]
_Listed = Annotated[
    str,
    Meta(min_length=1, max_length=256, description="A listed model: its id, or its variant."),
]
_Depth = Annotated[int, Meta(ge=1, le=50, description="Levels of each side.")]
_Days = Annotated[int, Meta(ge=1, le=90, description="How far back, for paid providers.")]
_Lots = Annotated[int, Meta(ge=1, le=LOTS_MAX, description="Lots of 1,000 billed tokens.")]
_BidRuv = Annotated[
    str, Meta(max_length=40, description="The most ruv that all of it may cost, such as '2.5'.")
]
_Price = Annotated[
    str,
    Meta(
        max_length=40,
        description="The most ruv for one lot; without it what is offered now is bought.",
    ),
]
_KeepOpen = Annotated[
    bool, Meta(description="Leave in the book what is not met at once; needs price_ruv.")
]


class StatusArguments(Body, frozen=True, kw_only=True):
    """Nothing."""


class AskArguments(Body, frozen=True, kw_only=True):
    """A question to the mesh."""

    prompt: _Prompt
    system: _System | None = None
    model: _Model = "auto"
    max_tokens: _Tokens | None = None
    knowledge: _Knowledge = ()
    timeout_s: _Timeout = 120
    max_ruv: _AskRuv | None = None


class DagArguments(Body, frozen=True, kw_only=True):
    """Which vertices."""

    id: _Id | None = None
    kind: _Kind | None = None
    author: _Author | None = None
    limit: _Limit = 20


class BookArguments(Body, frozen=True, kw_only=True):
    """Which book; without a model, what is listed."""

    model: _Listed | None = None
    depth: _Depth = 10


class UsageArguments(Body, frozen=True, kw_only=True):
    """How far back, and how much."""

    days: _Days = 7
    limit: _Limit = 20


class BidArguments(Body, frozen=True, kw_only=True):
    """What is bid for."""

    model: _Listed
    lots: _Lots
    max_ruv: _BidRuv
    price_ruv: _Price | None = None
    keep_open: _KeepOpen = False
