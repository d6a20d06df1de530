"""Server-sent events of JSON: one encoder, no copy more than needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from meshnode.gateway.openai_problems import make_openai_problem

if TYPE_CHECKING:
    from meshnode.errors import MeshError

DONE: Final = b"data: [DONE]\n\n"
PING: Final = b": ping\n\n"
encode_json: Final = msgspec.json.Encoder().encode


def make_frame(data: dict[str, Any]) -> bytes:
    """An event without a name."""
    return b"data: %b\n\n" % encode_json(data)


def make_named_frame(name: str, data: dict[str, Any]) -> bytes:
    """An event with a name."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), encode_json(data))


def make_error_frame(error: MeshError) -> bytes:
    """An error in the middle of an answer; nothing follows it, not even `[DONE]`."""
    return make_frame(make_openai_problem(error))
