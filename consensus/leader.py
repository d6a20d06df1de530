"""Who leads a round: fixed schedules, and one that learns from what was committed.

A schedule is a function of the epoch and of the committed prefix, never of what one node happens to
hold, and it is integers throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from consensus.block import Block
from consensus.committee import Committee
from consensus.errors import InvalidProtocol
from dag.canonical import compute_digest, encode

LEADER_DOMAIN: Final = b"meshnode/leader/1"
RANK_DOMAIN: Final = b"meshnode/leader-rank/1"
WINDOW_COMMITS: Final = 100
"""Commits after which a reputation schedule looks at who kept up."""


class ReputationState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a reputation schedule has learnt."""

    commits: int
    scores: tuple[int, ...]
    leaders: tuple[tuple[bytes, int], ...]
    """The last leaders and their rounds, in order of commit."""
    barred: tuple[int, ...]
    ranking: tuple[int, ...]
    barred_before: tuple[int, ...]
    ranking_before: tuple[int, ...]
    swapped_round: int


class LeaderSchedule(Protocol):
    """Names the leaders of rounds, and may change its mind about rounds above a commit."""

    def get_leaders(self, round_: int) -> tuple[int, ...]:
        """The leaders of a round in the order of their offsets; empty for a round without."""
        ...

    def observe(self, leader: Block, blocks: Sequence[Block], digest: bytes) -> bool:
        """Take note of a commit; answers whether leaders of rounds above the leader's changed."""
        ...

    def freeze(self) -> ReputationState | None:
        """What was learnt, as a value: the same at every node after the same commits."""
        ...

    def restore(self, state: ReputationState | None) -> None:
        """Take up what another schedule of the same epoch had learnt, before any commit."""
        ...


class FixedSchedule:
    """A schedule that learns nothing."""

    def observe(self, leader: Block, blocks: Sequence[Block], digest: bytes) -> bool:  # noqa: ARG002 - a port
        """Never changes its mind."""
        return False

    def freeze(self) -> ReputationState | None:
        """Nothing was learnt."""
        return None

    def restore(self, state: ReputationState | None) -> None:
        """Nothing is to be taken up."""


class RoundRobin(FixedSchedule):
    """Leader of offset k in round r is author (r + k) mod n."""

    def __init__(self, committee: Committee, *, leaders_per_round: int = 1) -> None:
        _check_count(committee, leaders_per_round)
        self._members = len(committee)
        self._count = leaders_per_round

    def get_leaders(self, round_: int) -> tuple[int, ...]:
        """The leaders of a round in the order of their offsets."""
        return tuple((round_ + offset) % self._members for offset in range(self._count))


class WeightedDraw(FixedSchedule):
    """Leaders drawn by stake, without putting back, from a digest of the epoch's seed and round."""

    def __init__(self, committee: Committee, seed: bytes, *, leaders_per_round: int = 1) -> None:
        _check_count(committee, leaders_per_round)
        self._stakes = [validator.stake for validator in committee.validators]
        self._seed = seed
        self._count = leaders_per_round

    def get_leaders(self, round_: int) -> tuple[int, ...]:
        """The leaders of a round in the order of their offsets."""
        stakes = list(self._stakes)
        left = sum(stakes)
        leaders: list[int] = []
        for offset in range(self._count):
            digest = compute_digest(LEADER_DOMAIN, encode((self._seed, round_, offset)))
            drawn = _draw(stakes, int.from_bytes(digest, "big") % left)
            leaders.append(drawn)
            left -= stakes[drawn]
            stakes[drawn] = 0
        return tuple(leaders)


class Reputation:
    """Takes slots from authors that fell behind and gives them to those that kept up.

    An author scores one for each committed leader that a block of its in the output votes for.
    Every `window_commits` commits the worst, up to the stake that may be faulty, lose their slots
    until the next look, unless they scored half of what the best did. So an even mesh changes
    nothing, and at least the stake that is taken to be live stays eligible.
    """

    def __init__(
        self, committee: Committee, base: LeaderSchedule, *, window_commits: int = WINDOW_COMMITS
    ) -> None:
        self._committee = committee
        self._base = base
        self._window = window_commits
        self._commits = 0
        self._scores = [0] * len(committee)
        self._leaders: dict[bytes, int] = {}
        """The last leaders with their rounds, in order of commit."""
        self._before: tuple[int, ...] = ()
        self._swapped_round = 0
        self._barred: tuple[int, ...] = ()
        self._ranking: tuple[int, ...] = ()
        self._ranking_before: tuple[int, ...] = ()

    @property
    def barred(self) -> tuple[int, ...]:
        """Authors whose slots go to others, worst first."""
        return self._barred

    def get_leaders(self, round_: int) -> tuple[int, ...]:
        """The leaders of a round in the order of their offsets."""
        leaders = self._base.get_leaders(round_)
        after = round_ > self._swapped_round
        barred = self._barred if after else self._before
        eligible = self._ranking if after else self._ranking_before
        if not any(author in barred for author in leaders):
            return leaders
        swapped = list(leaders)
        for offset, author in enumerate(leaders):
            free = [other for other in eligible if other not in swapped]
            if author in barred and free:
                swapped[offset] = free[round_ % len(free)]
        return tuple(swapped)

    def observe(self, leader: Block, blocks: Sequence[Block], digest: bytes) -> bool:
        """Score a commit; at the end of a window, choose whose slots go to whom."""
        self._score(blocks)
        self._leaders[leader.id] = leader.round
        # A vote enters the output one or two commits after its leader, stragglers apart.
        if len(self._leaders) > self._window:
            del self._leaders[next(iter(self._leaders))]
        self._commits += 1
        if self._commits % self._window:
            return False
        self._before, self._ranking_before = self._barred, self._ranking
        self._swapped_round = leader.round
        self._choose(digest)
        self._scores = [0] * len(self._committee)
        return (self._barred, self._ranking) != (self._before, self._ranking_before)

    def freeze(self) -> ReputationState:
        """What was learnt, as a value: the same at every node after the same commits."""
        return ReputationState(
            commits=self._commits,
            scores=tuple(self._scores),
            leaders=tuple(self._leaders.items()),
            barred=self._barred,
            ranking=self._ranking,
            barred_before=self._before,
            ranking_before=self._ranking_before,
            swapped_round=self._swapped_round,
        )

    def restore(self, state: ReputationState | None) -> None:
        """Take up what another schedule of the same epoch had learnt, before any commit."""
        if state is None:
            return
        self._commits = state.commits
        self._scores = list(state.scores)
        self._leaders = dict(state.leaders)
        self._barred, self._ranking = state.barred, state.ranking
        self._before, self._ranking_before = state.barred_before, state.ranking_before
        self._swapped_round = state.swapped_round

    def _score(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            for ref in block.parents:
                if self._leaders.get(ref.id) == block.round - 1:
                    self._scores[block.author] += 1

    def _choose(self, digest: bytes) -> None:
        scores, committee = self._scores, self._committee
        ranked = sorted(
            range(len(committee)),
            key=lambda author: (
                scores[author],
                compute_digest(RANK_DOMAIN, encode((digest, author))),
            ),
        )
        barred: list[int] = []
        spare = committee.profile.faulty
        for author in ranked[:-1]:
            stake = committee.get_stake(author)
            if 2 * scores[author] >= scores[ranked[-1]] or stake > spare:
                break
            barred.append(author)
            spare -= stake
        self._barred = tuple(barred)
        # Without anybody barred the ranking has no effect, and must not count as a change.
        self._ranking = tuple(reversed(ranked[len(barred) :])) if barred else ()


def make_schedule(
    committee: Committee, seed: bytes, *, leaders_per_round: int = 1
) -> LeaderSchedule:
    """The schedule a network uses: in turn or by stake, corrected by reputation."""
    base: LeaderSchedule
    if committee.is_uniform:
        base = RoundRobin(committee, leaders_per_round=leaders_per_round)
    else:
        base = WeightedDraw(committee, seed, leaders_per_round=leaders_per_round)
    return Reputation(committee, base)


def _draw(stakes: Sequence[int], ticket: int) -> int:
    """The author whose stretch of the stakes, laid end to end, holds the ticket."""
    position = 0
    while ticket >= stakes[position]:
        ticket -= stakes[position]
        position += 1
    return position


def _check_count(committee: Committee, leaders_per_round: int) -> None:
    if not 1 <= leaders_per_round <= len(committee):
        raise InvalidProtocol(
            f"{leaders_per_round} leaders per round of {len(committee)} validators",
            hint="choose 1 or a few",
        )
