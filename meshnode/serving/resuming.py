"""An answer that broke off, continued by the same model elsewhere: opt-in, and never unnoticed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshnode.serving.target import Target
from meshnode.views import Delta, Finished

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Seam:
    """The end of a part of an answer."""

    target: Target
    """Who gave that part."""
    text: str
    reasoning: str


def make_resumed_request(request: dict[str, Any], seams: Sequence[Seam]) -> dict[str, Any]:
    """A request whose last message is the answer so far, to be gone on with."""
    if not seams:
        return request
    partial: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(seam.text for seam in seams),
        "partial": True,
    }
    reasoning = "".join(seam.reasoning for seam in seams)
    if reasoning:
        partial["reasoning_content"] = reasoning
    messages = request.get("messages")
    return {**request, "messages": [*(messages if isinstance(messages, list) else []), partial]}


def mark_seam(seam: Seam, target: Target) -> Delta:
    """A piece without text that tells where another replica goes on."""
    mark = {"broke_off": seam.target.name, "peer": target.peer, "name": target.name}
    return Delta(
        text="",
        chunk={"object": "chat.completion.chunk", "choices": [], "meshnode": {"resumed": mark}},
    )


def add_seams(item: Finished, seams: Sequence[Seam]) -> Finished:
    """The whole answer of several replicas. Each signs its own part, so nobody vouches for all."""
    if not seams:
        return item
    text, places = "", []
    for seam in seams:
        text += seam.text
        places.append(len(text))
    answer = item.answer
    reasoning = "".join(seam.reasoning for seam in seams)
    message = answer.message
    if message is not None or reasoning:
        rest = message or {"role": "assistant"}
        message = {
            **rest,
            "content": text + answer.text,
            "reasoning_content": reasoning + str(rest.get("reasoning_content") or ""),
        }
    return Finished(
        answer=dataclasses.replace(
            answer,
            text=text + answer.text,
            verified=False,
            seams=tuple(places),
            message=message,
        )
    )
