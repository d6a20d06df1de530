"""Hosts that change their committee by vote while things go wrong.

Somebody proposes, and every honest host with a seat votes for what is open and lacks its ballot,
again if a crash has lost it. Changes are drawn so that the liars are borne whichever of them pass,
in whatever order. Once all is healed every proposal must be closed, and the committee be one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dag.bodies import BallotBody, CommitteeChange, ProposalBody, StakeChange
from dag.canonical import encode
from dag.types import Kind
from meshnode.core.commands import Publish
from meshnode.core.events import EpochBegan
from simulations.errors import CheckFailed
from simulations.observers import Observer

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from consensus.protocol import ProfileName
    from meshnode.core.events import Event
    from simulations.host import Host
    from simulations.world import World

CHANGES_MAX: Final = 3
FIRST_MS: Final = 1_000
VOTE_EVERY_MS: Final = 500
VOTE_AGAIN_MS: Final = 5_000
OPEN_MS: Final = 7 * 24 * 3_600_000
"""Longer than any run lasts and any clock is wrong: what a cut delays is decided after it."""
STAKE_MAX: Final = 3
LIARS_BORNE: Final[dict[str, int]] = {"bft3": 3, "bft5": 5}
"""One part in so many, and less than that, may lie."""


class Council(Observer):
    """Proposes changes, votes on them, and checks that epochs begin alike everywhere."""

    def __init__(self, world: World, honest: Sequence[Host], seats: Sequence[bytes]) -> None:
        """`seats`: the authors of the network's first committee."""
        self._world = world
        self._honest = list(honest)
        self._authors = dict.fromkeys(host.identity.author for host in honest)
        self._stakes = {author: [1] for author in seats}
        """Every stake that an author may come to have."""
        self._profiles: dict[ProfileName, None] = {"bft3": None}
        self._began: dict[int, int] = {}
        self._voted_ms: dict[tuple[int, bytes], int] = {}

    @property
    def epochs(self) -> int:
        """How many changes of committee some honest host went through."""
        return len(self._began)

    @property
    def is_done(self) -> bool:
        """Whether nothing is open any more at any honest host."""
        return not any(
            record.status == "open"
            for host in self._honest
            for record in host.core.machines.decisions.list_proposals()
        )

    def schedule(self, until_ms: int) -> None:
        """Draw changes and when they are proposed; votes follow as long as the run goes on."""
        stream = self._world.streams.get("council")
        for _ in range(stream.randint(1, CHANGES_MAX)):
            change = self._draw(stream)
            if change is not None:
                at_ms = stream.randrange(FIRST_MS, until_ms)
                self._world.at(at_ms, self._propose, stream.choice(self._honest), change)
        self._world.at(FIRST_MS, self._vote)

    # --- changes --------------------------------------------------------------------------------

    def _draw(self, stream: random.Random) -> CommitteeChange | None:
        """Another stake for somebody, perhaps another profile; None where liars would be too many."""
        author = stream.choice(sorted(dict.fromkeys((*self._stakes, *self._authors))))
        stake = stream.randint(0, STAKE_MAX)
        names: tuple[ProfileName, ...] = ("bft3", "bft5", "cft")
        profile = stream.choice(names) if stream.random() < 1 / 3 else None
        stakes = {**self._stakes, author: [*self._stakes.get(author, [0]), stake]}
        profiles = self._profiles if profile is None else {**self._profiles, profile: None}
        if not self._is_borne(stakes, profiles):
            return None
        self._stakes, self._profiles = stakes, profiles
        return CommitteeChange((StakeChange(author, stake),), profile or "")

    def _is_borne(self, stakes: dict[bytes, list[int]], profiles: dict[ProfileName, None]) -> bool:
        """Whether few enough lie, in the worst mixture of what may pass."""
        honest = sum(min(drawn) for author, drawn in stakes.items() if author in self._authors)
        lying = sum(max(drawn) for author, drawn in stakes.items() if author not in self._authors)
        if not honest or ("cft" in profiles and lying):
            return False
        return all(LIARS_BORNE[name] * lying < honest + lying for name in profiles if name != "cft")

    def _propose(self, host: Host, change: CommitteeChange) -> None:
        if not host.is_up:
            return
        deadline_ms = host.read_clock_ms() + OPEN_MS
        body = ProposalBody("Change it?", ("yes", "no"), deadline_ms, "stake", 2, 3, change)
        host.publish(encode(body), kind=Kind.DECISION)

    def _vote(self) -> None:
        for host in self._honest:
            if host.is_up:
                self._vote_at(host)
        self._world.at(self._world.now_ms + VOTE_EVERY_MS, self._vote)

    def _vote_at(self, host: Host) -> None:
        decisions, author = host.core.machines.decisions, host.identity.author
        for record in decisions.list_proposals():
            key, now_ms = (host.index, record.id), self._world.now_ms
            is_cast = any(ballot.author == author for ballot in record.ballots)
            if record.status != "open" or is_cast or not decisions.weigh(record.body, author):
                continue
            if now_ms >= self._voted_ms.get(key, 0):
                self._voted_ms[key] = now_ms + VOTE_AGAIN_MS
                ballot = encode(BallotBody(record.id, 0, "so be it"))
                host.submit(Publish(Kind.DECISION, ballot))

    # --- checks ---------------------------------------------------------------------------------

    def on_fact(self, host: Host, event: Event) -> None:
        """A host's application is told that another committee decides from now on."""
        if not isinstance(event, EpochBegan) or host.identity.author not in self._authors:
            return
        if self._began.setdefault(event.epoch, event.commit_index) != event.commit_index:
            name = host.identity.name
            raise CheckFailed("one-epoch", f"epoch {event.epoch} begins elsewhere at {name}")

    def check_end(self) -> None:
        """All honest hosts have the same committee."""
        first = _describe(self._honest[0])
        for host in self._honest:
            if _describe(host) != first:
                raise CheckFailed("one-committee", f"{host.identity.name} has another")


def _describe(host: Host) -> tuple[object, ...]:
    """Whom a host takes for the committee."""
    view = host.view().consensus
    seats = [(validator.author, validator.stake) for validator in view.validators]
    return view.epoch, view.profile, seats
