"""What this node serves, and what its peers say that they serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.types import COUNTER_MAX
from meshnode.core.events import PeerServes
from meshnode.core.messages import MODELS_MAX, TEXT_MAX, Advert, ModelAdvert
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
        counts = (command.slots, command.running, command.queued)
        if any(not 0 <= count <= COUNTER_MAX for count in counts):
            raise CommandRejected("counts of slots and requests are not negative")
        self._sequence += 1
        self._own = Advert(
            self._sequence,
            command.models,
            command.slots,
            command.running,
            command.queued,
            command.draining,
        )
        self._outbox.send(self._peers.ready_names, self._own)

    def on_ready(self, peer: str) -> None:
        """Tell a new peer."""
        if self._own is not None:
            self._outbox.send((peer,), self._own)

    def on_advert(self, link: Link, advert: Advert) -> None:
        """Take a peer's advert, unless a newer one came before."""
        if link.advert is not None and advert.sequence <= link.advert.sequence:
            return
        link.advert = advert
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


def _check_model(model: ModelAdvert) -> None:
    texts = (model.id, model.revision, model.engine, model.label)
    if any(len(text) > TEXT_MAX for text in texts):
        raise CommandRejected(f"names of models have at most {TEXT_MAX} characters")
    if not 0 <= model.context_tokens <= COUNTER_MAX:
        raise CommandRejected("a model's context is not negative")
