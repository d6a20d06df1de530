"""What this node serves, and what its peers say that they serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from dag.types import COUNTER_MAX
from meshnode.core.events import PeerServes
from meshnode.core.messages import BASIS_POINTS, MODELS_MAX, TEXT_MAX, Advert, ModelAdvert
from meshnode.errors import CommandRejected

if TYPE_CHECKING:
    from meshnode.core.commands import Serve
    from meshnode.core.link import Link
    from meshnode.core.outbox import Outbox
    from meshnode.core.peers import Peers


class Adverts:
    """The own advert, sent to whoever is or becomes ready; the newest of each peer."""

    def __init__(self, outbox: Outbox, peers: Peers) -> None:
        self._outbox = outbox
        self._peers = peers
        self._own: Advert | None = None
        self._sequence = 0

    def serve(self, command: Serve) -> None:
        """Replace the own advert. Raises `CommandRejected` for one that no peer would accept."""
        if len(command.models) > MODELS_MAX:
            raise CommandRejected(f"at most {MODELS_MAX} models can be advertised")
        for model in command.models:
            _check_model(model)
        _check_counts(command)
        self._sequence = command.sequence or self._sequence + 1
        self._own = Advert(
            self._sequence,
            command.models,
            command.slots,
            command.running,
            command.queued,
            command.draining,
            command.incarnation,
            command.queued_prefill_tokens,
            command.kv_usage_bp,
            command.shareable,
        )
        self._outbox.send(self._peers.ready_names, self._own)

    def on_ready(self, peer: str) -> None:
        """Tell a new peer."""
        if self._own is not None:
            self._outbox.send((peer,), self._own)

    def on_advert(self, now_ms: int, link: Link, advert: Advert) -> None:
        """Take a peer's advert, unless a newer one came before."""
        before = link.advert
        if before is not None and _get_age(advert) <= _get_age(before):
            return
        link.advert = advert
        link.advert_ms = now_ms
        if before is not None and _says_the_same(before, advert):
            return
        self._outbox.emit(
            PeerServes(
                link.peer,
                link.author,
                advert.models,
                advert.slots,
                advert.running,
                advert.queued,
                advert.draining,
            )
        )


def _get_age(advert: Advert) -> tuple[int, int]:
    return advert.incarnation, advert.sequence


def _says_the_same(before: Advert, advert: Advert) -> bool:
    return msgspec.structs.replace(before, sequence=advert.sequence) == advert


def _check_counts(command: Serve) -> None:
    counts = (
        command.slots,
        command.running,
        command.queued,
        command.queued_prefill_tokens,
        command.incarnation,
        command.sequence,
    )
    if any(not 0 <= count <= COUNTER_MAX for count in counts):
        raise CommandRejected("counts of slots and requests are not negative")
    if not 0 <= command.kv_usage_bp <= BASIS_POINTS:
        raise CommandRejected(f"use of memory is 0 to {BASIS_POINTS} basis points")


def _check_model(model: ModelAdvert) -> None:
    texts = (model.id, model.revision, model.engine, model.label)
    if any(len(text) > TEXT_MAX for text in texts):
        raise CommandRejected(f"names of models have at most {TEXT_MAX} characters")
    if not (0 <= model.context_tokens <= COUNTER_MAX and 0 <= model.size_bytes <= COUNTER_MAX):
        raise CommandRejected("a model's context and size are not negative")
