"""Responses that are kept for `previous_response_id`: in memory, bounded, each for its own client."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meshnode.gateway.refusals import UnknownResponse

if TYPE_CHECKING:
    from collections.abc import Callable

RESPONSES_MAX: Final = 1_000
BYTES_MAX: Final = 64 * 2**20
AGE_S: Final = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A response, and the conversation up to its end."""

    owner: str
    """Whose it is: nobody else can read it or go on from it."""
    response: dict[str, Any]
    messages: tuple[dict[str, Any], ...]
    """Shared with the responses before it, so that a long conversation is kept once."""
    added: tuple[dict[str, Any], ...]
    """What this request brought."""
    size_bytes: int
    """Of what it adds."""
    made_s: float


class ResponseStore:
    """The newest responses of all clients."""

    def __init__(self, *, read_clock_s: Callable[[], float] = time.monotonic) -> None:
        self._read_clock_s = read_clock_s
        self._kept: dict[str, Kept] = {}
        self._size_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def read_clock_s(self) -> float:
        """When something is made."""
        return self._read_clock_s()

    def keep(self, kept: Kept) -> None:
        """Keep a response; the oldest give way."""
        self._kept[kept.response["id"]] = kept
        self._size_bytes += kept.size_bytes
        limit_s = self._read_clock_s() - AGE_S
        for response_id, each in list(self._kept.items()):
            crowded = len(self._kept) > RESPONSES_MAX or self._size_bytes > BYTES_MAX
            if not crowded and each.made_s >= limit_s:
                return
            self._drop(response_id)

    def find(self, response_id: str, owner: str) -> Kept:
        """A response of this client. Raises `UnknownResponse`."""
        kept = self._kept.get(response_id)
        if kept is None or kept.owner != owner or kept.made_s < self._read_clock_s() - AGE_S:
            raise UnknownResponse(
                f"there is no response '{response_id[:80]}' here",
                param="previous_response_id",
                hint="this node keeps them in memory for an hour; send the whole conversation",
            )
        return kept

    def delete(self, response_id: str, owner: str) -> None:
        """Forget a response. Raises `UnknownResponse`."""
        self.find(response_id, owner)
        self._drop(response_id)

    def _drop(self, response_id: str) -> None:
        self._size_bytes -= self._kept.pop(response_id).size_bytes
