"""What families of models can do and what they refuse, by the start of a model's name.

This is no list of models: what can be asked for is what a provider lists. The table says only how
a request to a family has to look; a Kimi model that is newer than the table is taken to follow the
newest rules, and a model of another vendor to have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from meshnode.engines.model_names import normalise_model

K = 1_024
INSTRUCT_ANSWER_TOKENS = 4_096
THINKING_ANSWER_TOKENS = 16_384
"""A cap on the answer counts its reasoning, which alone may take more than a short answer's cap."""


class Thinking(StrEnum):
    """How a family reasons before it answers."""

    UNKNOWN = "unknown"
    NONE = "none"
    SWITCH = "switch"
    """On by default; a request may turn it off."""
    ALWAYS = "always"
    EFFORT = "effort"
    """Always, with an effort that a request may choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The rules of one family."""

    family: str = ""
    """The start of the names it holds for; empty for what no table knows."""
    sampling: Mapping[str, tuple[float, ...]] = field(
        default_factory=lambda: MappingProxyType({}), hash=False
    )
    """Sampling fields that cannot be set, with the values they have."""
    temperature_max: float | None = None
    temperature_default: float | None = None
    tool_choices: tuple[str, ...] = ()
    """Words that `tool_choice` may be; empty for any, a named function included."""
    thinking: Thinking = Thinking.UNKNOWN
    efforts: tuple[str, ...] = ()
    answer_tokens: int = INSTRUCT_ANSWER_TOKENS
    context_tokens: int = 0
    """Where the provider's list does not say."""

    @property
    def is_kimi(self) -> bool:
        """Whether the rules of Kimi hold at all."""
        return bool(self.family)

    @property
    def thinks(self) -> bool:
        """Whether answers begin with reasoning unless a request says otherwise."""
        return self.thinking in (Thinking.SWITCH, Thinking.ALWAYS, Thinking.EFFORT)


_FIXED: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "temperature": (1.0,),
        "top_p": (0.95,),
        "n": (1,),
        "presence_penalty": (0,),
        "frequency_penalty": (0,),
    }
)
_FIXED_SWITCHED = MappingProxyType(dict(_FIXED) | {"temperature": (0.6, 1.0)})
_AUTO_ONLY = ("auto", "none")

_FAMILIES = (
    Capabilities(
        # Newer than this table: sampling is fixed since K2.5, and what else is new is not refused.
        family="kimi-",
        sampling=_FIXED,
        thinking=Thinking.UNKNOWN,
        answer_tokens=THINKING_ANSWER_TOKENS,
    ),
    Capabilities(family="kimi-latest", temperature_max=1.0, answer_tokens=INSTRUCT_ANSWER_TOKENS),
    Capabilities(family="kimi-linear", temperature_max=1.0, thinking=Thinking.NONE),
    Capabilities(family="moonshot-v1", temperature_max=1.0, thinking=Thinking.NONE),
    Capabilities(
        family="kimi-k2",
        temperature_max=1.0,
        temperature_default=0.6,
        tool_choices=_AUTO_ONLY,
        thinking=Thinking.NONE,
        context_tokens=128 * K,
    ),
    Capabilities(
        family="kimi-k2-thinking",
        temperature_max=1.0,
        temperature_default=1.0,
        tool_choices=_AUTO_ONLY,
        thinking=Thinking.ALWAYS,
        answer_tokens=THINKING_ANSWER_TOKENS,
        context_tokens=256 * K,
    ),
    Capabilities(
        family="kimi-k2.",
        sampling=_FIXED_SWITCHED,
        tool_choices=_AUTO_ONLY,
        thinking=Thinking.SWITCH,
        answer_tokens=THINKING_ANSWER_TOKENS,
        context_tokens=256 * K,
    ),
    Capabilities(
        family="kimi-k2.7-code",
        sampling=_FIXED,
        tool_choices=_AUTO_ONLY,
        thinking=Thinking.ALWAYS,
        answer_tokens=THINKING_ANSWER_TOKENS,
        context_tokens=256 * K,
    ),
    Capabilities(
        family="kimi-k3",
        sampling=_FIXED,
        tool_choices=("auto", "none", "required"),
        thinking=Thinking.EFFORT,
        efforts=("low", "high", "max"),
        answer_tokens=THINKING_ANSWER_TOKENS,
        context_tokens=1_024 * K,
    ),
)
_BY_PREFIX = sorted(_FAMILIES, key=lambda known: len(known.family), reverse=True)
_ANY = Capabilities()


def find_capabilities(model: str) -> Capabilities:
    """The rules of a model: those of the longest prefix of its name that the table has."""
    name = normalise_model(model)
    return next((known for known in _BY_PREFIX if name.startswith(known.family)), _ANY)
