"""A committee in a world: who runs where, who reaches which copy of whom, and who keeps book."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from consensus.committee import Committee
from consensus.leader import LeaderSchedule, Reputation, RoundRobin, WeightedDraw
from consensus.pacemaker import PacemakerSettings
from consensus.payload import PayloadOrder
from consensus.protocol import ProfileName
from dag.genesis import Validator as Member
from dag.index import Index
from simulations.consensus.ledger import Ledger
from simulations.consensus.validator import Validator
from simulations.identities import START_MS

if TYPE_CHECKING:
    from simulations.world import World

GC_COMMITS: Final = 1_000_000
MakeValidator = Callable[["ValidatorMesh", int, int], Validator]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshOptions:
    """How validators run."""

    profile: ProfileName = "bft3"
    leaders_per_round: int = 1
    reputation_window: int = 0
    """Commits after which leaders are chosen anew; 0 for leaders in turn."""
    gc_depth: int = 60
    """Rounds below the last leader that are still put out."""
    pace: PacemakerSettings = field(default_factory=PacemakerSettings)
    drained: bool = True
    """Whether messages of one moment are all taken before a block is made."""
    pushes_history: bool = True
    """Whether a block goes out with what the receiver is not known to have below it."""
    write_ms: int = 0
    """From making a block to its being durable."""


class ValidatorMesh:
    """The validators of one committee; the first copies stand at nodes 0 to n - 1."""

    def __init__(
        self,
        world: World,
        stakes: int | Sequence[int],
        options: MeshOptions | None = None,
        *,
        twins: Sequence[int] = (),
        make: dict[int, MakeValidator] | None = None,
    ) -> None:
        """Add validators to an empty world.

        Args:
            world: Theirs alone.
            stakes: Of each, or how many of stake 1.
            options: How they run.
            twins: Authors of whom there are two copies.
            make: Authors with a behaviour of their own, and what makes it.
        """
        given = [1] * stakes if isinstance(stakes, int) else list(stakes)
        self.world = world
        self.options = options or MeshOptions()
        self.start_ms = START_MS
        members = [Member(_name(b"author", number), stake) for number, stake in enumerate(given)]
        self.committee = Committee(0, members, self.options.profile)
        self.batches: dict[bytes, int] = {}
        """When each batch was brought, in nanoseconds, by its id."""
        made = make or {}
        self.liars = dict.fromkeys((*twins, *made))
        """Authors that do not as they should."""
        self.happened: dict[str, int] = {}
        """How often each kind of fault had an effect, as far as validators know."""
        self.ledger = Ledger(self)
        self.views: dict[tuple[int, int], int] = {}
        """Which copy of a twinned author a node reaches."""
        self._twins = dict.fromkeys(twins)
        self.validators = [
            made.get(author, Validator)(self, author, 0) for author in range(len(given))
        ]
        self.validators += [Validator(self, author, 1) for author in twins]
        self.contexts = world.add_processes(self.validators)

    @property
    def honest(self) -> list[Validator]:
        """Those that do as they should."""
        return [one for one in self.validators if one.author not in self.liars]

    def is_twinned(self, author: int) -> bool:
        """Whether there are two copies of an author."""
        return author in self._twins

    def is_honest(self, author: int) -> bool:
        """Whether an author does as it should."""
        return author not in self.liars

    # --- parts of a validator -------------------------------------------------------------------

    def make_schedule(self) -> LeaderSchedule:
        """Who leads."""
        base: LeaderSchedule
        count = min(self.options.leaders_per_round, len(self.committee))
        if self.committee.is_uniform:
            base = RoundRobin(self.committee, leaders_per_round=count)
        else:
            base = WeightedDraw(self.committee, bytes(32), leaders_per_round=count)
        window = self.options.reputation_window
        return Reputation(self.committee, base, window_commits=window) if window else base

    def make_payload_order(self) -> PayloadOrder:
        """Batches stand on nothing, and none ever falls below a horizon."""
        return PayloadOrder(Index(), gc_commits=GC_COMMITS)

    # --- who reaches whom -----------------------------------------------------------------------

    def list_targets(self, validator: Validator) -> list[int]:
        """Nodes that a validator sends to: one copy of each other author."""
        return [
            node
            for node, other in enumerate(self.validators)
            if other.author != validator.author and self._reaches(validator, other)
        ]

    def _reaches(self, one: Validator, other: Validator) -> bool:
        if not self._twins:
            return True
        return self._view(one, other.author) == other.copy and (
            self._view(other, one.author) == one.copy
        )

    def _view(self, viewer: Validator, author: int) -> int:
        if author not in self._twins:
            return 0
        if viewer.author in self._twins:
            return viewer.copy
        return self.views.get((viewer.author, author), 0)

    # --- what happens ---------------------------------------------------------------------------

    def submit(self, author: int) -> bytes:
        """A client brings a batch to a validator."""
        batch = _name(b"batch", len(self.batches))
        self.batches[batch] = self.world.kernel.now_ns
        self.validators[author].submit(batch)
        return batch

    def note(self, kind: str) -> None:
        """A fault has had an effect."""
        self.happened[kind] = self.happened.get(kind, 0) + 1

    def crash(self, validator: Validator) -> None:
        """Take a validator down, if it is up."""
        if validator.context.is_up:
            self.note("crash")
            validator.crash()

    def restart(self, validator: Validator) -> None:
        """Bring a validator back, if it is down."""
        if not validator.context.is_up:
            validator.restart()


def _name(what: bytes, number: int) -> bytes:
    return hashlib.sha256(what + number.to_bytes(8, "big")).digest()
