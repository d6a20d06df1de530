"""To which neighbours vertices are passed on at once: the branches of a tree that all grow together.

    GRAFT   from now on both sides push what they admit
    PRUNE   from now on both sides announce it only

Every node starts with a few branches. A vertex that comes twice shows that a branch is one too many,
one that has to be pulled shows that a branch is missing. What single vertices show is chance where
many are under way at once, so it takes several in a row to prune and two pulls to graft, and a link
changes once a second at most. While little is said a bare tree is enough and costs no copies: there a node may
be a leaf, and only a new or a lost neighbour makes it look for a second branch. While much is, no node
prunes its last three, because the gaps of a tree cost everybody behind them a pull. Two sides that disagree about a link cost copies or pulls, and are corrected by them.

A link that was pruned stays so for a minute. Whoever lacks a branch looks for it elsewhere; only who
has pulled over that very link since may have it back, and that a few times, and the other side knows
what it was asked for. Otherwise a peer could make and end a branch as often as it likes, and at each turn cost
copies, pulls, and the branches of others that are pruned meanwhile. Whoever tries is charged.

Members that pass nothing on look like branches and are none. So where much is said, a node counts
which branches have brought something lately: it keeps its last two of those, and where others bring
nothing makes branches of neighbours that announce, one a second, until two bring something again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meshnode.core.messages import Graft, Prune

if TYPE_CHECKING:
    from meshnode.core.entropy import Entropy
    from meshnode.core.outbox import Outbox
    from meshnode.core.settings import Limits, Timing

DUPLICATES_MAX: Final = 3
"""In a row, before a branch is pruned."""
PULLS_MAX: Final = 2
"""From one peer, before it becomes a branch."""
SERVED_MIN: Final = 1
"""Of them the other side has seen so many at least: a PRUNE may overtake what was answered before it."""
CHANGE_MS: Final = 1_000
BACK_OFF_MS: Final = 60_000
"""A link that one side has pruned is no branch before, unless it is missed."""
REPAIRS_MAX: Final = 3
"""Times each side may have a link back within the back-off, until that has passed once."""
CROSSING_MS: Final = 5_000
"""As long GRAFT and PRUNE may be under way: who could not know of a back-off yet, or of its length,
is refused and not charged."""
DELAYS: Final = 64
"""Pushes whose lateness decides how long the next ones are waited for."""
PERCENTILE: Final = 95
WINDOW_MS: Final = 1_000
ALIVE_MIN: Final = 2
"""Branches that bring something: with one, whatever cuts that one off cuts this node off."""
ALIVE_MS: Final = 3_000
"""A branch that brought nothing for so long, while much was said, brings nothing."""
BUSY: Final = 8
"""Vertices per window from which on a node keeps `eager_min` branches. Below it begins with one less, and
keeps one."""


@dataclass(slots=True, eq=False)
class _Branch:
    """What was learned of one link."""

    duplicates: int = 0
    pulls: int = 0
    said_ms: int = -CHANGE_MS
    """When this side last changed the link."""
    heard_ms: int = -CHANGE_MS
    """When the other side last did."""
    brought_ms: int = -ALIVE_MS
    """When it last pushed what others author, new or not."""
    announced_ms: int = -ALIVE_MS
    pruned_ms: int = -BACK_OFF_MS
    """When either side last pruned it."""
    served: int = 0
    """Vertices that the other side has pulled over it since."""
    said_repairs: int = 0
    heard_repairs: int = 0

    def prune(self, now_ms: int) -> None:
        """One side has: the back-off begins anew."""
        self.pruned_ms = now_ms
        self.served = 0

    def is_backed_off(self, now_ms: int) -> bool:
        """Whether it was pruned so lately that only a repair may make it a branch."""
        return now_ms - self.pruned_ms < BACK_OFF_MS


class Plumtree:
    """The links of this node, and which of them are branches."""

    def __init__(self, outbox: Outbox, entropy: Entropy, limits: Limits, timing: Timing) -> None:
        self._outbox = outbox
        self._entropy = entropy
        self._limits = limits
        self._timing = timing
        self._branches: dict[str, _Branch] = {}
        self._eager: dict[str, None] = {}
        self._pruned_ms = -CHANGE_MS
        self._window_ms = 0
        self._count = 0
        self._is_busy = False
        self._delays: deque[int] = deque(maxlen=DELAYS)
        self._pull_after_ms = timing.tree_pull_min_ms

    @property
    def eager(self) -> tuple[str, ...]:
        """Peers that get at once what is admitted here."""
        return tuple(self._eager)

    @property
    def pull_after_ms(self) -> int:
        """How long a push may come after an announcement before it is taken for lost."""
        return self._pull_after_ms

    def add(self, peer: str) -> None:
        """A connection is ready."""
        self._branches[peer] = _Branch()

    def drop(self, now_ms: int, peer: str) -> None:
        """A connection has ended; one that was a branch is replaced."""
        del self._branches[peer]
        if peer in self._eager:
            del self._eager[peer]
            self._regrow(now_ms, self._count_min)

    def is_branch(self, peer: str) -> bool:
        """Whether what is admitted goes to a peer at once."""
        return peer in self._eager

    def grow(self, now_ms: int, peer: str) -> None:
        """A neighbour is new: make it a branch if there are few."""
        is_free = not self._branches[peer].is_backed_off(now_ms)
        if is_free and len(self._eager) < self._count_min:
            self._graft(now_ms, peer)

    def _regrow(self, now_ms: int, count_min: int) -> None:
        """Make any other link a branch where there are too few."""
        if len(self._eager) < count_min:
            others = self._list_free(now_ms)
            for peer in self._entropy.sample(others, 1):
                self._graft(now_ms, peer)

    def _list_free(self, now_ms: int) -> list[str]:
        """Links that are no branches, and may be made some without a need that the other side knows of."""
        return [
            peer
            for peer, branch in self._branches.items()
            if peer not in self._eager and not branch.is_backed_off(now_ms)
        ]

    def _graft(self, now_ms: int, peer: str) -> None:
        branch = self._branches[peer]
        branch.said_ms = now_ms
        branch.duplicates = branch.pulls = 0
        self._eager[peer] = None
        self._outbox.send((peer,), Graft())

    def on_graft(self, now_ms: int, peer: str) -> bool:
        """The other side wants a branch; answers whether it may."""
        if not self._may_graft(now_ms, self._branches[peer]):
            return now_ms - self._branches[peer].pruned_ms < CROSSING_MS
        if self._hear(now_ms, peer):
            self._eager[peer] = None
        return True

    def _may_graft(self, now_ms: int, branch: _Branch) -> bool:
        """Whether the other side lacks a link that was pruned lately, or it was not."""
        if not branch.is_backed_off(now_ms + CROSSING_MS):
            branch.heard_repairs = 0
            return True
        if branch.served < SERVED_MIN or branch.heard_repairs >= REPAIRS_MAX:
            return False
        branch.heard_repairs += 1
        return True

    def on_prune(self, now_ms: int, peer: str) -> None:
        """The other side has no use for a branch."""
        if not self._hear(now_ms, peer):
            return
        self._branches[peer].prune(now_ms)
        if peer in self._eager:
            del self._eager[peer]
            self._regrow(now_ms, 1)

    def _hear(self, now_ms: int, peer: str) -> bool:
        """Whether a peer may change a link again; half the time allowed, for it was under way."""
        branch = self._branches[peer]
        if now_ms - branch.heard_ms < CHANGE_MS // 2:
            return False
        branch.heard_ms = now_ms
        branch.duplicates = branch.pulls = 0
        return True

    @property
    def is_enough(self) -> bool:
        """Whether the branches alone carry what is said."""
        return bool(self._eager) and not self._is_busy

    @property
    def _count_min(self) -> int:
        """How many branches a node looks for, and keeps while much is said."""
        return max(1, self._limits.eager_min - (not self._is_busy))

    def _count_alive(self, now_ms: int) -> int:
        """How many branches have brought something lately."""
        return sum(now_ms - self._branches[peer].brought_ms < ALIVE_MS for peer in self._eager)

    def _can_spare(self, now_ms: int) -> bool:
        """Whether one branch that works may go."""
        if not self._is_busy:
            return len(self._eager) > 1
        return len(self._eager) > self._count_min and self._count_alive(now_ms) > ALIVE_MIN

    def note_new(self, now_ms: int) -> None:
        """A vertex has come, from whomever."""
        self._count += 1
        if now_ms - self._window_ms >= WINDOW_MS:
            self._is_busy = self._count * WINDOW_MS >= BUSY * (now_ms - self._window_ms)
            self._window_ms, self._count = now_ms, 0
            if self._is_busy:
                self._replace_mute(now_ms)

    def _replace_mute(self, now_ms: int) -> None:
        """Where branches bring nothing, add one that shows that it hears what is said."""
        if self._count_alive(now_ms) >= min(ALIVE_MIN, max(1, len(self._eager))):
            return
        found = [
            peer
            for peer in self._list_free(now_ms)
            if now_ms - self._branches[peer].announced_ms < ALIVE_MS
        ]
        for peer in self._entropy.sample(found, 1):
            self._graft(now_ms, peer)

    def note_announced(self, now_ms: int, peer: str) -> None:
        """A peer has announced what it admitted."""
        self._branches[peer].announced_ms = now_ms

    def note_fresh(self, now_ms: int, peer: str) -> None:
        """A push brought something new."""
        branch = self._branches[peer]
        branch.duplicates = 0
        branch.brought_ms = now_ms

    def note_duplicate(self, now_ms: int, peer: str) -> None:
        """A push brought what another had brought."""
        branch = self._branches[peer]
        branch.brought_ms = now_ms
        branch.duplicates += 1
        if (
            branch.duplicates >= DUPLICATES_MAX
            and now_ms - branch.said_ms >= CHANGE_MS
            and now_ms - self._pruned_ms >= CHANGE_MS
            and (peer not in self._eager or self._can_spare(now_ms))
        ):
            branch.said_ms = self._pruned_ms = now_ms
            branch.duplicates = branch.pulls = 0
            branch.prune(now_ms)
            self._eager.pop(peer, None)
            self._outbox.send((peer,), Prune())

    def note_pulled(self, now_ms: int, peer: str) -> None:
        """A peer has served what no push had brought in time."""
        branch = self._branches[peer]
        branch.pulls += 1
        if branch.pulls >= PULLS_MAX and self._may_repair(now_ms, branch):
            self._graft(now_ms, peer)

    def _may_repair(self, now_ms: int, branch: _Branch) -> bool:
        """Whether this side may have a link back that it has pulled over."""
        if now_ms - branch.said_ms < CHANGE_MS:
            return False
        if not branch.is_backed_off(now_ms):
            branch.said_repairs = 0
            return True
        branch.said_repairs += 1
        return branch.said_repairs <= REPAIRS_MAX

    def note_served(self, peer: str, count: int) -> None:
        """A peer has pulled vertices from here."""
        self._branches[peer].served += count

    def note_delay(self, delay_ms: int) -> None:
        """A push came so long after the first announcement."""
        self._delays.append(delay_ms)
        ordered = sorted(self._delays)
        usual_ms = ordered[(len(ordered) - 1) * PERCENTILE // 100]
        timing = self._timing
        self._pull_after_ms = max(
            timing.tree_pull_min_ms, min(2 * usual_ms, timing.tree_pull_max_ms)
        )
