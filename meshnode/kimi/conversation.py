"""A conversation that fits a model's context.

The rule: before each question the oldest exchanges, a question with its answer, are left out until
what remains, the question and the longest answer fit. The system prompt and the newest question
always stay. How many were left out is told, never hidden.
"""

from __future__ import annotations

from typing import Any, Final

from meshnode.engines.context import measure
from meshnode.errors import CommandRejected

CONTEXT_TOKENS_DEFAULT: Final = 8_192
"""For models that do not say how much they can read."""
EXCHANGES_MAX: Final = 400
BYTES_PER_TOKEN: Final = 3
"""English has four to five bytes to a token, Chinese three to five. What is denser than this the
provider refuses, and then one exchange more is left out."""
MESSAGE_TOKENS: Final = 8


class Conversation:
    """What was said, in order."""

    def __init__(self, system: str = "") -> None:
        self._system = [{"role": "system", "content": system}] if system else []
        self._exchanges: list[tuple[dict[str, Any], dict[str, Any]]] = []

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Everything that is remembered."""
        said = [message for exchange in self._exchanges for message in exchange]
        return [*self._system, *said]

    def ask(
        self, question: str, *, context_tokens: int, answer_tokens: int
    ) -> tuple[list[dict[str, Any]], int]:
        """The messages of a question, and how many exchanges were forgotten to make room.

        Raises `CommandRejected` for a question that does not fit alone.
        """
        room = (context_tokens or CONTEXT_TOKENS_DEFAULT) - answer_tokens
        asked = {"role": "user", "content": question}
        forgotten = max(0, len(self._exchanges) - EXCHANGES_MAX)
        del self._exchanges[:forgotten]
        while True:
            messages = [*self.messages, asked]
            tokens = _estimate(messages)
            if tokens <= room:
                return messages, forgotten
            if not self._exchanges:
                raise CommandRejected(
                    f"the question has about {tokens} tokens where {max(room, 0)} fit, beside an "
                    f"answer of {answer_tokens}",
                    hint="shorten it, or allow a shorter answer with --max-tokens",
                )
            del self._exchanges[0]
            forgotten += 1

    def forget_oldest(self) -> bool:
        """Leave out the oldest exchange; False where there is none."""
        if self._exchanges:
            del self._exchanges[0]
            return True
        return False

    def remember(self, question: str, answer: str) -> None:
        """Keep an exchange that has ended."""
        said = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
        self._exchanges.append(said)

    def reset(self) -> None:
        """Forget everything but the system prompt."""
        self._exchanges.clear()


def _estimate(messages: list[dict[str, Any]]) -> int:
    return measure(messages).text_bytes // BYTES_PER_TOKEN + MESSAGE_TOKENS * len(messages)
