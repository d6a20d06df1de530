"""`/v1/completions`: a prompt is one message of a user; the answer is text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meshnode.gateway.door.calls import make_call
from meshnode.gateway.door.chat import ChatStream, ChatWhole
from meshnode.gateway.door.facts import make_facts
from meshnode.gateway.door.frames import make_frame
from meshnode.gateway.refusals import InvalidRequest

if TYPE_CHECKING:
    from meshnode.engines.base import Chunk
    from meshnode.gateway.door.calls import Call
    from meshnode.views import Answer

COMPLETION: Final = "text_completion"
_REFUSED: Final = {
    "suffix": "a chat model cannot fill a gap",
    "logprobs": "a number of them is of the old form; ask /v1/chat/completions",
    "best_of": "one answer is made for each choice",
}


def read_completion(body: dict[str, Any]) -> Call:
    """The question of a completion. Raises `InvalidRequest`."""
    for name, reason in _REFUSED.items():
        if body.get(name) not in (None, 0, 1, ""):
            raise InvalidRequest(f"'{name}' cannot be had here: {reason}", param=name)
    left_out = {"prompt", "echo", *_REFUSED}
    rest = {name: value for name, value in body.items() if name not in left_out}
    return make_call(rest, [{"role": "user", "content": read_prompt(body)}])


def read_prompt(body: dict[str, Any]) -> str:
    """The prompt, a text or a list of one. Raises `InvalidRequest`."""
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        raise InvalidRequest(
            "'prompt' is not a text",
            param="prompt",
            hint="one prompt at a time, as text: tokens of a model mean nothing to another",
        )
    return prompt


class CompletionStream(ChatStream):
    """Pieces of text in the order of chat chunks."""

    def __init__(self, call: Call, *, preface: str = "") -> None:
        """`preface` comes first: the prompt, where it is to be repeated."""
        super().__init__(call)
        self._preface = preface

    def _frame(self, shown: dict[str, Any]) -> bytes:
        choices = [self._make_text(choice) for choice in shown["choices"]]
        kept = {name: value for name, value in shown.items() if name != "object"}
        return make_frame({**kept, "object": COMPLETION, "choices": choices})

    def _make_text(self, choice: dict[str, Any]) -> dict[str, Any]:
        text = choice["delta"].get("content")
        text = text if isinstance(text, str) else ""
        preface, self._preface = self._preface, ""
        return {
            "index": choice["index"],
            "text": preface + text,
            "logprobs": None,
            "finish_reason": choice["finish_reason"],
        }


class CompletionWhole:
    """One text."""

    def __init__(self, *, preface: str = "") -> None:
        self._whole = ChatWhole()
        self._preface = preface

    def take(self, chunk: Chunk) -> None:
        """Add a chunk."""
        self._whole.take(chunk)

    def make(self, answer: Answer) -> dict[str, Any]:
        """The body of the answer."""
        body = self._whole.make(answer)
        choices = [
            {
                "index": choice["index"],
                "text": self._preface + (choice["message"]["content"] or ""),
                "logprobs": None,
                "finish_reason": choice["finish_reason"],
            }
            for choice in body["choices"]
        ]
        return {
            "id": body["id"],
            "object": COMPLETION,
            "created": body["created"],
            "model": body["model"],
            "choices": choices,
            "usage": body["usage"],
            "meshnode": make_facts(answer),
        }
