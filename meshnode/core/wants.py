"""Vertices whose author is not known yet: they wait, bounded, until its profile is admitted.

Nothing about them is verified, so each is charged to the peer that sent it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from dag.errors import Offence
from dag.identity import VerifiedVertex, trust_stored
from dag.vertex import SignedVertex, compute_signed_message
from meshnode.core.effects import Verify, VerifyItem
from meshnode.core.inputs import Checks, Outcome, Vertices
from meshnode.core.messages import GET_IDS_MAX, GetProfiles

if TYPE_CHECKING:
    from dag.keys import PublicKeys
    from meshnode.core.outbox import Outbox
    from meshnode.core.requests import Offend, Request, Requests
    from meshnode.core.settings import Limits

Offer = Callable[[int, str, VerifiedVertex], None]


class Wants:
    """What waits for profiles, and the questions for them."""

    def __init__(
        self,
        outbox: Outbox,
        requests: Requests,
        limits: Limits,
        *,
        get_keys: Callable[[bytes], PublicKeys | None],
        offer: Offer,
        offend: Offend,
    ) -> None:
        self._outbox = outbox
        self._requests = requests
        self._limits = limits
        self._get_keys = get_keys
        self._offer = offer
        self._offend = offend
        self._waiting: dict[str, dict[bytes, SignedVertex]] = {}
        self._bytes: dict[str, int] = {}
        self._invited: dict[bytes, bytes] = {}
        """First profiles that wait for their inviter's: by vertex, who that is."""
        self._asked: dict[tuple[str, bytes], None] = {}
        self._to_ask: dict[str, dict[bytes, None]] = {}

    def __len__(self) -> int:
        return sum(len(vertices) for vertices in self._waiting.values())

    def add(self, peer: str, signed: SignedVertex, author: bytes | None = None) -> None:
        """Keep a vertex, and ask its sender for the first profile of an author.

        That is the vertex's own author, or, where `author` is another, who invited that one; then
        the vertex's signatures hold already.
        """
        author = author or signed.vertex.author
        waiting = self._waiting.setdefault(peer, {})
        size_bytes = self._bytes.get(peer, 0) + len(signed.wire)
        if (
            len(waiting) >= self._limits.wants_per_peer_max
            or size_bytes > self._limits.wants_bytes_max
        ):
            return
        if signed.id not in waiting:
            waiting[signed.id] = signed
            self._bytes[peer] = size_bytes
        if author != signed.vertex.author:
            self._invited[signed.id] = author
        if (peer, author) not in self._asked:
            self._asked[peer, author] = None
            self._to_ask.setdefault(peer, {})[author] = None

    def flush(self, now_ms: int) -> None:
        """Ask for the profiles that the last input made necessary."""
        if not self._to_ask:
            return
        for peer, authors in self._to_ask.items():
            names = tuple(authors)
            for start in range(0, len(names), GET_IDS_MAX):
                part = names[start : start + GET_IDS_MAX]
                number = self._requests.next_number()
                self._outbox.send((peer,), GetProfiles(number, part))
                self._requests.open(
                    now_ms, number, peer, part, on_answer=self._on_answer, on_end=self._on_end
                )
        self._to_ask = {}

    def release(self, now_ms: int, author: bytes) -> None:
        """An author's profile was admitted: check what waited for it."""
        keys = self._get_keys(author)
        assert keys is not None, "an admitted profile is in the registry"
        for peer in list(self._waiting):
            taken = self._take(peer, author)
            vertices = [signed for signed in taken if signed.vertex.author == author]
            for signed in taken:
                if signed.vertex.author != author:
                    self._offer(now_ms, peer, trust_stored(signed))
            if vertices:
                items = tuple(
                    VerifyItem(keys, compute_signed_message(signed.id), signed.signature)
                    for signed in vertices
                )
                self._outbox.run(Verify(items), partial(self._on_checked, peer, vertices))

    def check(self, peer: str, signed: SignedVertex, keys: PublicKeys) -> None:
        """Check one vertex whose author became known between admission and now."""
        item = VerifyItem(keys, compute_signed_message(signed.id), signed.signature)
        self._outbox.run(Verify((item,)), partial(self._on_checked, peer, [signed]))

    def _on_checked(
        self, peer: str, vertices: list[SignedVertex], now_ms: int, outcome: Outcome
    ) -> None:
        assert isinstance(outcome, Checks)
        for signed, valid in zip(vertices, outcome.verdicts, strict=True):
            if valid:
                self._offer(now_ms, peer, trust_stored(signed))
            else:
                detail = f"vertex {signed.id.hex()[:16]} is not its author's"
                self._offend(now_ms, peer, Offence.BAD_SIGNATURE, detail)

    def _on_answer(self, now_ms: int, request: Request, message: Vertices) -> None:
        if any(author in request.ids for author in message.missing):
            detail = "it has no profile of an author whose vertex it sent"
            self._offend(now_ms, request.peer, Offence.NOT_SERVED, detail)

    def _on_end(self, _now_ms: int, request: Request) -> None:
        waiting = self._waiting.get(request.peer, {})
        known = {signed.vertex.author for signed in waiting.values() if signed.id in self._invited}
        for author in request.ids:
            self._asked.pop((request.peer, author), None)
            # A profile that came may itself wait for the one of who invited its author.
            if self._get_keys(author) is None and author not in known:
                self._take(request.peer, author)

    def _take(self, peer: str, author: bytes) -> list[SignedVertex]:
        waiting = self._waiting.get(peer, {})
        taken = [
            signed
            for signed in waiting.values()
            if self._invited.get(signed.id, signed.vertex.author) == author
        ]
        for signed in taken:
            del waiting[signed.id]
            self._invited.pop(signed.id, None)
            self._bytes[peer] -= len(signed.wire)
        return taken

    def drop_peer(self, peer: str) -> None:
        """Forget what a peer sent; whoever else has it will offer it again."""
        for vertex_id in self._waiting.pop(peer, {}):
            self._invited.pop(vertex_id, None)
        self._bytes.pop(peer, None)
        self._to_ask.pop(peer, None)
        for key in [key for key in self._asked if key[0] == peer]:
            del self._asked[key]
