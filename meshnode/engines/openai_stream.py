"""The reading side of a streamed chat completion: bytes in, checked chunks out, no I/O.

The stream of the dialect is a run of `data: {chunk}` events that ends with `data: [DONE]`. What
servers do beside that is settled here: errors inside a stream that began with status 200, usage in
three different places, streams that just stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.chunks import choices_of, find_usage
from meshnode.engines.sse import EVENT_BYTES_MAX, SseParser
from meshnode.engines.upstream_errors import error_from_object

if TYPE_CHECKING:
    from meshnode.engines.base import Chunk
    from meshnode.engines.sse import SseEvent
    from meshnode.secret import Secret


ANSWER_BYTES_MAX = 64 << 20


class CompletionStream:
    """The state of one streamed answer."""

    def __init__(
        self,
        backend: str,
        *,
        secret: Secret,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
        event_bytes_max: int = EVENT_BYTES_MAX,
    ) -> None:
        self._backend = backend
        self._secret = secret
        self._parser = SseParser(event_bytes_max=event_bytes_max)
        self._answer_bytes_max = answer_bytes_max
        self._answer_bytes = 0
        self._open_choices: dict[int, bool] = {}
        """Per choice index, whether it still lacks its finish reason."""
        self._last: Chunk | None = None
        self._usage: dict[str, Any] | None = None
        self.failure: EngineError | None = None
        """What broke the stream off after the last chunks that were returned."""
        self.done = False
        """Whether the server said that nothing follows."""

    @property
    def complete(self) -> bool:
        """Whether every choice of the answer has its finish reason."""
        return bool(self._open_choices) and not any(self._open_choices.values())

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks completed by these bytes. Raises `EngineError`.

        Where good chunks come before a bad one, they are returned, and `failure` holds the error.
        """
        self._answer_bytes += len(data)
        if self._answer_bytes > self._answer_bytes_max:
            raise EngineError(
                EngineFault.MALFORMED,
                f"the answer of {self._backend} is larger than {self._answer_bytes_max} bytes",
            )
        return self._take(self._parser.feed(data))

    def finish(self) -> list[Chunk]:
        """What is left when the stream ends. Raises `EngineError` when the answer is cut short."""
        chunks = self._take(self._parser.finish())
        if self.failure is not None:
            raise self.failure
        if not self.complete:
            raise EngineError(
                EngineFault.TRUNCATED, f"the answer of {self._backend} ended without a finish"
            )
        if self._usage is not None and self._last is not None and "usage" not in self._last:
            # The port promises usage in the last chunk; this server sent it before its last one.
            chunks.append(self._last | {"choices": [], "usage": self._usage})
        return chunks

    def _take(self, events: list[SseEvent]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for event in events:
            if self.done or event.data.strip() == "[DONE]":
                self.done = True
                break
            try:
                chunks.append(self.take(event.data, is_error=event.event == "error"))
            except EngineError as error:
                if not chunks:
                    raise
                self.failure = error
                break
        return chunks

    def take(self, data: str, *, is_error: bool = False) -> Chunk:
        """The chunk in one piece of JSON. Raises `EngineError`, also for an error object."""
        chunk = decode_object(data, self._backend)
        if chunk.get("error") or is_error:
            raise error_from_object(self._backend, chunk, secret=self._secret)
        self.accept(chunk)
        return chunk

    def accept(self, chunk: Chunk) -> None:
        """Check a chunk and bring it into the form the port promises; fields are only added."""
        if chunk.get("choices") is None:
            chunk["choices"] = []
        if not isinstance(chunk["choices"], list):
            raise malformed(self._backend, "its 'choices' are not a list")
        for choice in choices_of(chunk):
            self._note_choice(choice)
        if chunk.get("usage") is None:
            chunk.pop("usage", None)
        usage = find_usage(chunk)
        if usage is not None:
            self._usage = chunk["usage"] = usage
        self._last = chunk

    def _note_choice(self, choice: Any) -> None:
        if not isinstance(choice, dict):
            raise malformed(self._backend, "a choice is not an object")
        index = choice.setdefault("index", 0)
        if type(index) is not int or not 0 <= index < 128:
            raise malformed(self._backend, "a choice has no valid index")
        if not isinstance(choice.get("delta") or {}, dict):
            raise malformed(self._backend, "a delta is not an object")
        reason = choice.get("finish_reason")
        if reason is not None and not isinstance(reason, str):
            raise malformed(self._backend, "a finish reason is not a text")
        if reason == "error":
            raise error_from_object(self._backend, choice, secret=self._secret)
        self._open_choices[index] = self._open_choices.get(index, True) and not reason


def malformed(backend: str, what: str) -> EngineError:
    """The error for an answer that breaks the dialect."""
    return EngineError(EngineFault.MALFORMED, f"{backend} sent a malformed answer: {what}")


def decode_object(data: bytes | str, backend: str) -> dict[str, Any]:
    """A JSON object. Raises `EngineError` for anything else."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise malformed(backend, "not JSON") from None
    if not isinstance(value, dict):
        raise malformed(backend, "not a JSON object")
    return value


def chunk_of_completion(completion: dict[str, Any], backend: str) -> Chunk:
    """A whole `chat.completion` as one chunk, from servers that do not stream."""
    choices = completion.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise malformed(backend, "its 'choices' are not a list of objects")
    turned = []
    for choice in choices:
        rest = {key: value for key, value in choice.items() if key != "message"}
        turned.append(rest | {"delta": choice.get("message") or {}})
    return completion | {"object": "chat.completion.chunk", "choices": turned}
