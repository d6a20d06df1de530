"""What validators hold of this one's blocks: asked at every start, before the first new block.

A node that was restored from an old copy could sign a second block for a round. So it asks every
validator it is connected to for its own last vertices, and takes an answer as given once all it
names is here. How many answers are enough is the pacemaker's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.types import LANE_BLOCKS
from meshnode.core.inputs import Standing
from meshnode.core.messages import GetLast

if TYPE_CHECKING:
    from collections.abc import Callable

    from dag.vertex import SignedVertex
    from meshnode.core.inputs import Vertices
    from meshnode.core.outbox import Outbox
    from meshnode.core.requests import Request, Requests


class OwnPast:
    """One question to each validator, and what its answer waits for."""

    def __init__(
        self,
        author: bytes,
        outbox: Outbox,
        requests: Requests,
        *,
        is_stored: Callable[[bytes], bool],
        is_to_come: Callable[[int, SignedVertex], bool],
        on_answered: Callable[[int, int], None],
    ) -> None:
        """`on_answered` is called with the time and the position of a validator.

        `is_to_come` tells whether an own vertex that somebody names has to be waited for.
        """
        self._author = author
        self._outbox = outbox
        self._requests = requests
        self._is_stored = is_stored
        self._is_to_come = is_to_come
        self._on_answered = on_answered
        self._peers: dict[str, int] = {}
        self._lacking: dict[int, dict[bytes, None]] = {}
        """By validator: own blocks it has named that are not here yet."""
        self._done: dict[int, None] = {}

    def ask(self, now_ms: int, peer: str, validator: int) -> None:
        """Ask a validator that has become ready."""
        self._peers[peer] = validator
        self._ask(now_ms, peer)

    def _ask(self, now_ms: int, peer: str) -> None:
        number = self._requests.next_number()
        self._outbox.send((peer,), GetLast(number, self._author))
        self._requests.open(
            now_ms, number, peer, (), on_answer=self._on_answer, on_end=self._on_end
        )

    def drop_peer(self, peer: str) -> None:
        """A connection has ended; what it has not answered it is asked again when it is back."""
        self._peers.pop(peer, None)

    def end(self) -> None:
        """The committee has changed: its positions mean nothing to answers that come later."""
        self._peers.clear()

    def _on_answer(self, now_ms: int, request: Request, message: Vertices) -> None:
        validator = self._peers.get(request.peer)
        if validator is None:
            return
        lacking = self._lacking.setdefault(validator, {})
        for candidate in message.candidates:
            vertex = candidate.signed.vertex
            own = vertex.author == self._author and vertex.lane == LANE_BLOCKS
            is_true = own and candidate.standing is Standing.VERIFIED
            if is_true and self._is_to_come(now_ms, candidate.signed):
                lacking[candidate.signed.id] = None
        if message.last:
            self._done[validator] = None
            self.check(now_ms)

    def _on_end(self, now_ms: int, request: Request) -> None:
        """Ask again who has not answered in time."""
        validator = self._peers.get(request.peer)
        if validator is not None and validator not in self._done:
            self._ask(now_ms, request.peer)

    def check(self, now_ms: int) -> None:
        """Something was admitted: an answer may be complete by it."""
        for validator in list(self._done):
            lacking = self._lacking.get(validator)
            if lacking is not None and all(map(self._is_stored, lacking)):
                del self._lacking[validator]
                self._on_answered(now_ms, validator)
