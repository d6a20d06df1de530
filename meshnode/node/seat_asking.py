"""A node that was invited as a validator asks for its seat, once in its life."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from dag.bodies import DECISION_DECODER, SeatRequest
from dag.canonical import encode
from dag.types import Kind
from meshnode.errors import CommandRejected, DeadlineExceeded, InvalidMessage

if TYPE_CHECKING:
    from meshnode.shell.runtime import Runtime

ASKING_MS: Final = 24 * 3_600_000
"""A node that reaches nobody may say nothing yet: the request waits with it."""
OWN_DECISIONS_MAX: Final = 1_000
"""How far back the own request is looked for; a second one has no effect but to be counted."""


async def ask_for_seat(runtime: Runtime, inviter: bytes, invitation: bytes) -> None:
    """Publish the request, unless it was published before or there is a seat already.

    Where the node ends first, its next start asks.
    """
    if _has_seat(runtime) or await _has_asked(runtime):
        return
    keys = next(member.keys for member in runtime.view().members if member.id == inviter)
    body = encode(SeatRequest(invitation, keys.ed25519_key, keys.mldsa65_key))
    with suppress(CommandRejected, DeadlineExceeded):
        await runtime.publish(Kind.DECISION, body, timeout_ms=ASKING_MS)


def _has_seat(runtime: Runtime) -> bool:
    return any(one.author == runtime.author for one in runtime.view().consensus.validators)


async def _has_asked(runtime: Runtime) -> bool:
    stored = await runtime.scan(limit=OWN_DECISIONS_MAX, kind=Kind.DECISION, author=runtime.author)
    return any(_is_request(item.signed.vertex.body) for item in stored)


def _is_request(body: bytes) -> bool:
    try:
        return isinstance(DECISION_DECODER.decode(body), SeatRequest)
    except InvalidMessage:
        return False
