"""`/v1/responses`: answers as response objects, streamed and whole."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from meshnode.gateway.door.chat import make_usage
from meshnode.gateway.door.facts import make_facts
from meshnode.gateway.door.frames import make_named_frame
from meshnode.gateway.door.responses_output import Output, make_id
from meshnode.gateway.openai_problems import make_openai_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshnode.engines.base import Chunk
    from meshnode.errors import MeshError
    from meshnode.gateway.door.responses_output import Event
    from meshnode.views import Answer, Started

    OnWhole = Callable[[dict[str, Any], dict[str, Any]], None]

_CUT_OFF: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
_DEFAULTS: Final[dict[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""Fields that a response repeats of its request, and what they are without it."""


class _Response:
    """A response object on its way."""

    def __init__(self, body: dict[str, Any], on_whole: OnWhole) -> None:
        """`on_whole` gets the object and the answer as a chat message."""
        self._id = make_id("resp")
        self._created_s = int(time.time())
        self._model = str(body.get("model") or "")
        self._asked = {
            name: default if body.get(name) is None else body[name]
            for name, default in _DEFAULTS.items()
        }
        self._on_whole = on_whole
        self._output = Output()

    def _make(self, status: str, **fields: Any) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created_s,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self._output.model or self._model,
            "output": [],
            "usage": None,
            **self._asked,
            **fields,
        }

    def _make_whole(self, answer: Answer) -> dict[str, Any]:
        output = self._output
        reason = _CUT_OFF.get(output.finish_reason)
        whole = self._make(
            "incomplete" if reason else "completed",
            incomplete_details={"reason": reason} if reason else None,
            model=output.model or answer.model,
            output=output.make_items(),
            usage=_make_usage(answer, output.usage),
            meshnode=make_facts(answer),
        )
        self._on_whole(whole, output.make_message())
        return whole


class ResponseStream(_Response):
    """Events with names and numbers."""

    def __init__(self, body: dict[str, Any], on_whole: OnWhole) -> None:
        super().__init__(body, on_whole)
        self._sequence = 0

    def start(self, started: Started) -> bytes:
        """The response as it begins."""
        self._output.model = started.model
        begun = self._make("in_progress")
        return self._frame({"type": "response.created", "response": begun}) + self._frame(
            {"type": "response.in_progress", "response": begun}
        )

    def take(self, chunk: Chunk) -> bytes:
        """The events of a chunk."""
        return b"".join(self._frame(event) for event in self._output.take(chunk))

    def finish(self, answer: Answer) -> bytes:
        """The last item and the whole response."""
        frames = [self._frame(event) for event in self._output.close()]
        whole = self._make_whole(answer)
        frames.append(self._frame({"type": f"response.{whole['status']}", "response": whole}))
        return b"".join(frames)

    def fail(self, error: MeshError) -> bytes:
        """The response that failed, with what had come."""
        problem = make_openai_problem(error)["error"]
        failed = self._make(
            "failed",
            error={"code": problem["code"], "message": problem["message"]},
            output=self._output.make_items(),
        )
        return self._frame({"type": "response.failed", "response": failed})

    def _frame(self, event: Event) -> bytes:
        event["sequence_number"] = self._sequence
        self._sequence += 1
        return make_named_frame(event["type"], event)


class ResponseWhole(_Response):
    """One object."""

    def take(self, chunk: Chunk) -> None:
        """Add a chunk."""
        for _ in self._output.take(chunk):
            pass

    def make(self, answer: Answer) -> dict[str, Any]:
        """The body of the answer."""
        return self._make_whole(answer)


def _make_usage(answer: Answer, reported: dict[str, Any] | None) -> dict[str, Any]:
    usage = make_usage(answer, reported)
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {
            "cached_tokens": _find_detail(usage, "prompt_tokens_details", "cached_tokens")
        },
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {
            "reasoning_tokens": _find_detail(usage, "completion_tokens_details", "reasoning_tokens")
        },
        "total_tokens": usage["total_tokens"],
    }


def _find_detail(usage: dict[str, Any], group: str, name: str) -> int:
    """A count in its group, or beside it, where some servers put it."""
    details = usage.get(group)
    value = details.get(name) if isinstance(details, dict) else usage.get(name)
    return value if isinstance(value, int) else 0
