"""Fetching and its requests on their own, over a store that is a plain dict."""

from __future__ import annotations

from meshnode.core.effects import Send
from meshnode.core.fetching import Fetching
from meshnode.core.inputs import Candidate, Standing, Vertices
from meshnode.core.messages import Get
from meshnode.core.outbox import Outbox
from meshnode.core.requests import Requests
from meshnode.core.settings import Limits


class Bench:
    """Fetching on its own, with a store that is a plain dict."""

    def __init__(self, **limits):
        self.outbox = Outbox()
        self.offences = []
        self.unserved = []
        self.stored = {}
        self.on_offence = None
        self.requests = Requests(self.outbox, 2_000, self.offend)
        self.fetching = Fetching(
            self.outbox,
            self.requests,
            Limits(**limits),
            self.is_needed,
            offend=self.offend,
            on_unserved=self.note_unserved,
        )

    def note_unserved(self, _now_ms, peer):
        self.unserved.append(peer)

    def offend(self, now_ms, peer, offence, _detail):
        self.offences.append((peer, offence))
        if self.on_offence is not None:
            self.on_offence(now_ms, peer)

    def is_needed(self, vertex_id):
        return vertex_id not in self.stored

    def gets(self):
        """(peer, ids) of the GETs since the last call; numbers are kept in `last`."""
        found = []
        for effect in self.outbox.take():
            assert isinstance(effect, Send)
            assert isinstance(effect.message, Get)
            found.append((effect.to[0], effect.message.ids))
            self.last = effect.message.request
        return found

    def answer(self, now_ms, peer, *signed, missing=(), last=True, number=None):
        candidates = tuple(Candidate(item, Standing.VERIFIED) for item in signed)
        message = Vertices(number or self.last, candidates, missing, 0, last)
        assert self.requests.is_asked(now_ms, peer, message)
        self.requests.note_progress(now_ms, peer)
        self.stored.update((item.id, item) for item in signed)
        self.requests.answer(now_ms, message)


def ids(count, start=0):
    return [number.to_bytes(32, "big") for number in range(start, start + count)]
