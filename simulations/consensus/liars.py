"""Validators that do not do as they should. Twins need no code: they are two honest copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulations.consensus.messages import Blocks, Message, Want
from simulations.consensus.validator import Validator
from simulations.consensus.vertices import make_block_vertex

if TYPE_CHECKING:
    from consensus.block import Block
    from dag.vertex import SignedVertex

LEAP_ROUNDS: Final = 7


class Silent(Validator):
    """Hears everything and says nothing."""

    def _say(self, target: int, message: Message) -> None:
        """Nothing leaves."""


class Withholder(Validator):
    """Speaks with every other node only."""

    def _say(self, target: int, message: Message) -> None:
        if (target + self.author) % 2:
            super()._say(target, message)


class Garbler(Validator):
    """Answers every question with what was not asked for."""

    def _serve(self, source: int, author: int, ids: tuple[bytes, ...]) -> None:
        del author, ids
        self._say(source, Blocks(tuple(self.signed.values())[:3]))
        self._say(source, Want((bytes(32),)))


class Forger(Validator):
    """Adds, to each of its blocks, some that break a rule."""

    def send(self, signed: SignedVertex) -> None:
        """Send a block, and what no honest validator may take for one."""
        super().send(signed)
        block = self.ordering.store.get(signed.id)
        if block is None or len(self.mesh.committee) == 1:
            return
        for forged in (self._leap(signed, block), self._thin(signed, block)):
            for target in self.mesh.list_targets(self):
                self._say(target, Blocks((forged,)))

    def _leap(self, signed: SignedVertex, block: Block) -> SignedVertex:
        """A block far ahead that stands on the own one alone."""
        return make_block_vertex(
            self.mesh.committee,
            self.author,
            [block.ref],
            round_=block.round + LEAP_ROUNDS,
            previous_round=block.round,
            seq=signed.vertex.seq + 1,
            time_ms=self.now_ms,
        )

    def _thin(self, signed: SignedVertex, block: Block) -> SignedVertex:
        """A block that stands on one author less than a quorum."""
        limit = self.mesh.committee.thresholds.quorum
        parents, authors = [block.ref], 1 << self.author
        for other in self.ordering.store.get_round(block.round):
            grown = authors | 1 << other.author
            if other.author != self.author and self.mesh.committee.weigh(grown) < limit:
                parents.append(other.ref)
                authors = grown
        return make_block_vertex(
            self.mesh.committee,
            self.author,
            parents,
            round_=block.round + 1,
            previous_round=block.round,
            seq=signed.vertex.seq + 1,
            time_ms=self.now_ms + 1,
        )


LIARS: Final[dict[str, type[Validator]]] = {
    "silent": Silent,
    "withhold": Withholder,
    "garble": Garbler,
    "forge": Forger,
}

__all__ = ["LIARS", "Forger", "Garbler", "Silent", "Withholder"]
