"""How many tokens a question and an answer count: a rule that both sides can follow alone.

A model's own tokenizer is not at hand on both sides, and how an answer is cut into chunks is the
provider's choice. So four bytes of text are a token here, whatever the chunks: nobody gains by
cutting finer, and both ends come to the same number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meshnode.engines.chunks import choices_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshnode.engines.base import Chunk

TOKEN_BYTES: Final = 4
"""About what a token of English text takes."""
_TEXT_FIELDS: Final = ("content", "reasoning_content", "reasoning")


def count_question(body: bytes) -> int:
    """Tokens of a question, by the JSON it is asked in."""
    return -(-len(body) // TOKEN_BYTES)


class AnswerCounter:
    """Tokens of an answer, piece by piece."""

    def __init__(self) -> None:
        self._bytes = 0

    def add(self, chunk: Chunk) -> int:
        """Tokens that a chunk adds."""
        before = -(-self._bytes // TOKEN_BYTES)
        self._bytes += sum(len(text.encode(errors="replace")) for text in _list_texts(chunk))
        return -(-self._bytes // TOKEN_BYTES) - before


def _list_texts(chunk: Chunk) -> Iterator[str]:
    for choice in choices_of(chunk):
        delta = choice.get("delta")
        if isinstance(delta, dict):
            yield from _list_strings(delta, _TEXT_FIELDS)
            calls = delta.get("tool_calls")
            for call in calls if isinstance(calls, list) else ():
                function = call.get("function") if isinstance(call, dict) else None
                if isinstance(function, dict):
                    yield from _list_strings(function, ("name", "arguments"))


def _list_strings(record: dict[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        value = record.get(name)
        if isinstance(value, str):
            yield value
