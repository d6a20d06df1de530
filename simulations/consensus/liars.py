"""Validators that do not do as they should. Twins need no code: they are two honest copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consensus.block import Block
from dag.types import Ref
from simulations.consensus.messages import Blocks, Message, Want
from simulations.consensus.validator import Validator
from simulations.consensus.vertices import make_block_vertex

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dag.vertex import SignedVertex

LEAP_ROUNDS: Final = 7
NOBODYS: Final = bytes(32)
"""An id that no block has."""
FLOOD_BLOCKS: Final = 12
"""Blocks of future rounds beside each that is one."""


class Silent(Validator):
    """Hears everything and says nothing."""

    def _say(self, target: int, message: Message) -> None:
        del target, message
        self.mesh.note("silent")


class Withholder(Validator):
    """Speaks with every other node only."""

    def _say(self, target: int, message: Message) -> None:
        if (target + self.author) % 2:
            super()._say(target, message)
        else:
            self.mesh.note("withhold")


class Garbler(Validator):
    """Answers every question with what was not asked for."""

    def _serve(self, source: int, author: int, ids: tuple[bytes, ...]) -> None:
        del author
        if NOBODYS in ids:
            return  # Two of this kind would ask each other without end.
        self.mesh.note("garble")
        self._say(source, Blocks(tuple(self.signed.values())[:3]))
        self._say(source, Want((NOBODYS,)))


class _Inventor(Validator):
    """Adds, to each of its blocks, others that it makes up."""

    kind = ""

    def send(self, signed: SignedVertex) -> None:
        """Send a block, and what no honest validator may take for one."""
        super().send(signed)
        block = self.ordering.store.get(signed.id)
        if block is None or len(self.mesh.committee) == 1:
            return
        invented = tuple(self._invent(signed, block))
        self.mesh.note(self.kind)
        for target in self.mesh.list_targets(self):
            self._say(target, Blocks(invented))

    def _invent(self, signed: SignedVertex, block: Block) -> Iterator[SignedVertex]:
        raise NotImplementedError

    def _forge(
        self, signed: SignedVertex, block: Block, parents: Sequence[Ref], *, ahead: int, mark: int
    ) -> SignedVertex:
        return make_block_vertex(
            self.mesh.committee,
            self.author,
            parents,
            round_=block.round + ahead,
            previous_round=block.round,
            seq=signed.vertex.seq + 1,
            time_ms=self.now_ms + mark,
        )


class Forger(_Inventor):
    """Its inventions break the rules of blocks."""

    kind = "forge"

    def _invent(self, signed: SignedVertex, block: Block) -> Iterator[SignedVertex]:
        others = [
            other.ref
            for other in self.ordering.store.get_round(block.round)
            if other.author != self.author
        ]
        lower = [
            other.ref
            for other in self.ordering.store.get_round(block.round - 1)
            if other.author != self.author
        ]
        own = block.ref
        yield self._forge(signed, block, [own], ahead=LEAP_ROUNDS, mark=0)
        yield self._forge(signed, block, self._thin(block), ahead=1, mark=1)
        # The own block not first, and two blocks of one author.
        yield self._forge(signed, block, [*others, own], ahead=1, mark=2)
        yield self._forge(signed, block, [own, *others[:1], *lower], ahead=1, mark=3)

    def _thin(self, block: Block) -> list[Ref]:
        """Parents of one author less than a quorum."""
        limit = self.mesh.committee.thresholds.quorum
        parents, authors = [block.ref], 1 << self.author
        for other in self.ordering.store.get_round(block.round):
            grown = authors | 1 << other.author
            if other.author != self.author and self.mesh.committee.weigh(grown) < limit:
                parents.append(other.ref)
                authors = grown
        return parents


class Flooder(_Inventor):
    """Its inventions belong to rounds to come, and stand on what nobody has."""

    kind = "flood"

    def _invent(self, signed: SignedVertex, block: Block) -> Iterator[SignedVertex]:
        for number in range(FLOOD_BLOCKS):
            unknown = Ref(block.ref.lamport + number, signed.id[:-2] + number.to_bytes(2, "big"))
            parents = [block.ref, unknown]
            yield self._forge(signed, block, parents, ahead=2 + number * LEAP_ROUNDS, mark=number)


LIARS: Final[dict[str, type[Validator]]] = {
    "silent": Silent,
    "withhold": Withholder,
    "garble": Garbler,
    "forge": Forger,
    "flood": Flooder,
}

__all__ = ["LIARS", "Flooder", "Forger", "Garbler", "Silent", "Withholder"]
