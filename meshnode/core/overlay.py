"""Who is whose neighbour where not everybody can be everybody's (HyParView, with chosen links).

    NEIGHBOUR      who has dialled asks to be kept; urgent if it has nobody
    DISCONNECT     no place, or no more; with others to turn to
    SHUFFLE(_REPLY)  samples of members, exchanged with a neighbour now and then

A connection is a link of the mesh: it is kept by both sides or ended. Every node chooses
`outbound_min` neighbours itself and takes `inbound_max` that chose it. Now and then it exchanges one
of its choice for a member drawn at random, so that no group of peers stays among itself.
Between the limits of the full mesh and those of this overlay a node changes one link a second.

Validators are linked to all others of their committee besides: those links are in no view, take
nobody's place and are not given up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from meshnode.core.active_view import ActiveView
from meshnode.core.effects import StoreValue
from meshnode.core.messages import PEERS_MAX, Disconnect, Neighbour, Shuffle, ShuffleReply
from meshnode.core.passive_view import PassiveView

if TYPE_CHECKING:
    from meshnode.core.entropy import Entropy
    from meshnode.core.link import Link
    from meshnode.core.membership import Membership
    from meshnode.core.outbox import Outbox
    from meshnode.core.peers import Peers
    from meshnode.core.plumtree import Plumtree
    from meshnode.core.settings import Settings

ANCHORS_KEY: Final = "anchors"
ANCHORS_MAX: Final = 4
"""Peers chosen last, the first to be tried after a restart."""
CHANGE_MS: Final = 1_000
"""One link is given up per this time."""
PICK_MS: Final = 250
"""Between two rounds of choosing whom to dial."""
CHECK_AGAIN_MS: Final = 5_000
"""After this another member is drawn if the one that was to be exchanged does not answer."""
PENDING_MS: Final = 10_000
"""A dial and a handshake take no longer."""
SETTLED_MS: Final = 5_000
"""A neighbour is not given up before: by then stores have been compared."""
DRAWS: Final = 8
"""Members looked at for each place before the next round."""
WITHHELD_MAX: Final = 2
WITHHELD_MS: Final = 60_000

_decoder: Final = msgspec.msgpack.Decoder(tuple[str, ...])
_encoder: Final = msgspec.msgpack.Encoder()

OverlayMessage = Neighbour | Disconnect | Shuffle | ShuffleReply


class Overlay:
    """The active and the passive view, while the network is large."""

    def __init__(
        self,
        settings: Settings,
        entropy: Entropy,
        outbox: Outbox,
        peers: Peers,
        membership: Membership,
        *,
        tree: Plumtree,
    ) -> None:
        """Make an overlay that is off; `tree` is told of every new neighbour."""
        self._timing = settings.timing
        self._entropy = entropy
        self._outbox = outbox
        self._peers = peers
        self._membership = membership
        self._tree = tree
        self._active = ActiveView(settings.limits)
        self._passive = PassiveView(entropy, settings.limits.passive_max)
        self._is_on = False
        self._anchors: list[str] = []
        self._untried: list[str] = []
        self._anchors_ms = 0
        """Until when places are kept for them; 0 before the first choice."""
        self._undecided: dict[str, int] = {}
        self._pending: dict[str, int] = {}
        self._refused: dict[str, int] = {}
        self._withheld: dict[str, int] = {}
        self._colleagues = membership.colleagues
        self._pick_due_ms = 0
        self._change_due_ms = 0
        self._shuffle_due_ms = 0
        self._cross_due_ms = 0
        self._checked = ""
        """Whom the last exchange began with, until it has answered or failed."""
        self._check_again_ms = 0
        self._due_ms: int | None = None
        self._is_due_known = False

    @property
    def is_on(self) -> bool:
        """Whether the network is too large for a full mesh."""
        return self._is_on

    @property
    def neighbours(self) -> tuple[str, ...]:
        """Transport ids of the active view, oldest first."""
        return self._active.names

    def is_colleague(self, author: bytes) -> bool:
        """Whether this node and an author are validators of one committee."""
        return author in self._membership.colleagues

    def list_colleagues(self) -> list[str]:
        """Transport ids of ready validators of the own committee."""
        return [link.peer for link in self._peers.ready if self.is_colleague(link.author)]

    def start(self, stored: bytes) -> None:
        """Take up the anchors of the last run."""
        self._anchors = list(_decoder.decode(stored)) if stored else []
        self._untried = list(self._anchors)
        self._is_due_known = False

    # --- connections ----------------------------------------------------------------------------

    def ready(self, now_ms: int, link: Link) -> None:
        """A connection stands: keep it if this node wanted it, else wait for what the peer wants."""
        self._is_due_known = False
        chosen = self._pending.pop(link.peer, None) is not None or not link.inbound
        if link.peer in self._untried:  # it was about to be dialled
            self._untried.remove(link.peer)
            chosen = True
        if not self._is_on:
            return
        if chosen and not self._is_welcome(link):
            self._refuse(now_ms, link.peer)
            return
        if chosen:
            self._outbox.send((link.peer,), Neighbour(not len(self._active)))
        if self.is_colleague(link.author):
            self._tree.grow(now_ms, link.peer)
        elif chosen:
            self._keep(now_ms, link, outbound=True)
        else:
            self._undecided[link.peer] = now_ms + self._timing.neighbour_ms

    def _is_welcome(self, link: Link) -> bool:
        """Whether a peer that was dialled may be kept: others of its block may have been faster."""
        wanted = self.is_colleague(link.author) or self._membership.is_asked_for(link.peer)
        return wanted or self._active.allows(link.address)

    def _keep(self, now_ms: int, link: Link, *, outbound: bool) -> None:
        self._active.add(now_ms, link, outbound=outbound)
        self._passive.discard(link.peer)
        self._tree.grow(now_ms, link.peer)
        if outbound:
            self._anchor(link.peer)

    def _anchor(self, peer: str) -> None:
        self._anchors = [peer, *(name for name in self._anchors if name != peer)][:ANCHORS_MAX]
        self._outbox.persist(StoreValue(ANCHORS_KEY, _encoder.encode(tuple(self._anchors))))

    def gone(self, peer: str) -> None:
        """A connection has ended, or never came to be ready."""
        self._is_due_known = False
        self._undecided.pop(peer, None)
        self._refused.pop(peer, None)
        if self._pending.pop(peer, None) is not None:
            self._passive.discard(peer)
        if self._active.drop(peer):
            self._passive.add(peer)

    def on_message(self, now_ms: int, link: Link, message: OverlayMessage) -> None:
        """Take what a ready peer says of links."""
        self._is_due_known = False
        match message:
            case Disconnect():
                self._on_disconnect(now_ms, link, message)
            case Neighbour():
                if self._undecided.pop(link.peer, None) is not None:
                    self._decide(now_ms, link, urgent=message.urgent)
            case Shuffle():
                self._on_shuffle(now_ms, link, message)
            case ShuffleReply():
                neighbour = self._active.get(link.peer)
                if neighbour is not None and neighbour.asked:
                    neighbour.asked = False
                    self._learn(link.peer, message.peers)
            case _:
                assert_never(message)

    def _decide(self, now_ms: int, link: Link, *, urgent: bool) -> None:
        active = self._active
        if active.allows(link.address) and (active.is_open or (urgent and self._make_room(now_ms))):
            self._keep(now_ms, link, outbound=False)
        else:
            self._refuse(now_ms, link.peer)

    def _make_room(self, now_ms: int) -> bool:
        """Let one neighbour go that has others by now, for one that has nobody."""
        settled = [
            item
            for item in self._active.pick(outbound=False)
            if now_ms - item.since_ms >= SETTLED_MS
        ]
        if not settled or now_ms < self._change_due_ms:
            return False
        self._give_up(now_ms, settled[self._entropy.below(len(settled))].peer)
        return True

    def _give_up(self, now_ms: int, peer: str) -> None:
        self._change_due_ms = now_ms + self._entropy.jitter(CHANGE_MS)
        self._active.drop(peer)
        self._refuse(now_ms, peer)

    def _refuse(self, now_ms: int, peer: str) -> None:
        """Say so, answer what is still asked for a moment, and hang up."""
        self._outbox.send((peer,), Disconnect(self._sample(peer, PEERS_MAX)))
        self._refused[peer] = now_ms + self._timing.neighbour_ms
        self._passive.add(peer)
        self._put_off(now_ms, peer)

    def _put_off(self, now_ms: int, peer: str) -> None:
        due_ms = now_ms + self._entropy.jitter(self._timing.refused_ms)
        self._membership.put_off(peer, due_ms)

    def _on_disconnect(self, now_ms: int, link: Link, message: Disconnect) -> None:
        self._learn(link.peer, message.peers)
        self._put_off(now_ms, link.peer)
        self._peers.close(now_ms, link, "it has no place for another neighbour")

    def _review(self, now_ms: int) -> None:
        """The committee is another: links of the views become its own, and the other way round."""
        self._colleagues = self._membership.colleagues
        for link in self._peers.ready if self._is_on else ():
            if self.is_colleague(link.author):
                self._undecided.pop(link.peer, None)
                self._refused.pop(link.peer, None)
                self._active.drop(link.peer)
            elif link.peer not in self._active and link.peer not in self._refused:
                self._undecided.setdefault(link.peer, now_ms + self._timing.neighbour_ms)

    # --- samples of members ---------------------------------------------------------------------

    def _sample(self, receiver: str, count: int) -> tuple[bytes, ...]:
        """Authors of some neighbours and of some others, in equal parts where there are."""
        near = [item.author for item in self._active.all if item.peer != receiver]
        far = [
            author
            for peer in self._passive.sample(count)
            if peer != receiver and (author := self._membership.get_author(peer))
        ]
        far = far[: max(count // 2, count - len(near))]
        return (*self._entropy.sample(near, count - len(far)), *far)

    def _learn(self, source: str, authors: tuple[bytes, ...]) -> None:
        for author in authors:
            peer = self._membership.find(author)
            if peer and peer not in self._active:
                self._passive.add(peer, source)

    def _on_shuffle(self, now_ms: int, link: Link, message: Shuffle) -> None:
        neighbour = self._active.get(link.peer)
        if neighbour is None:
            return
        last_ms = neighbour.shuffled_ms
        if last_ms >= 0 and now_ms - last_ms < self._timing.shuffle_ms // 2:
            return
        neighbour.shuffled_ms = now_ms
        count = min(len(message.peers), PEERS_MAX)
        self._outbox.send((link.peer,), ShuffleReply(self._sample(link.peer, count)))
        self._learn(link.peer, message.peers)

    def _shuffle(self, now_ms: int) -> None:
        self._shuffle_due_ms = now_ms + self._entropy.jitter(self._timing.shuffle_ms)
        idle = [item for item in self._active.all if not item.asked]
        if idle:
            partner = idle[self._entropy.below(len(idle))]
            partner.asked = True
            sample = self._sample(partner.peer, PEERS_MAX)
            self._outbox.send((partner.peer,), Shuffle(sample))

    # --- what a neighbour is worth --------------------------------------------------------------

    def on_withheld(self, now_ms: int, peer: str) -> None:
        """A peer has not answered; the second time within a minute its place goes to another."""
        if peer not in self._active:
            return
        first_ms = self._withheld.pop(peer, -WITHHELD_MS)
        if now_ms - first_ms >= WITHHELD_MS:
            self._withheld[peer] = now_ms
            while len(self._withheld) > DRAWS * WITHHELD_MAX:
                del self._withheld[next(iter(self._withheld))]
        else:
            self._give_up(now_ms, peer)
            self._passive.discard(peer)
            self._is_due_known = False

    # --- time -----------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> None:
        """Decide, choose, give up, shuffle: what is due."""
        due_ms = self.next_deadline()
        if due_ms is None or now_ms < due_ms:
            return
        self._is_due_known = False
        if self._membership.colleagues is not self._colleagues:
            self._review(now_ms)
        for peer in [peer for peer, due_ms in self._refused.items() if due_ms <= now_ms]:
            link = self._peers.get_open(peer)
            assert link is not None, "whoever is gone is refused no more"
            self._peers.close(now_ms, link, "no place for another neighbour")
        if self._membership.is_large != self._is_on:
            self._switch(now_ms)
        if self._is_on:
            self._tick_on(now_ms)

    def _switch(self, now_ms: int) -> None:
        self._is_on = not self._is_on
        self._active.clear()
        self._undecided.clear()
        if not self._is_on:
            return
        self._change_due_ms = now_ms + self._entropy.jitter(CHANGE_MS)
        self._shuffle_due_ms = now_ms + self._entropy.jitter(CHANGE_MS)
        self._cross_due_ms = now_ms + self._entropy.jitter(self._timing.cross_check_ms)
        for link in self._peers.ready:
            if self.is_colleague(link.author):
                self._tree.grow(now_ms, link.peer)
            elif link.peer not in self._refused:
                self._keep(now_ms, link, outbound=not link.inbound)

    def _tick_on(self, now_ms: int) -> None:
        for peer in [peer for peer, due_ms in self._undecided.items() if due_ms <= now_ms]:
            del self._undecided[peer]
            link = self._peers.get_open(peer)
            assert link is not None, "whoever is gone is undecided no more"
            self._decide(now_ms, link, urgent=False)
        for peer in [peer for peer, due_ms in self._pending.items() if due_ms <= now_ms]:
            del self._pending[peer]
        if now_ms >= self._change_due_ms and self._active.has_excess:
            self._trim(now_ms)
        if now_ms >= self._shuffle_due_ms:
            self._shuffle(now_ms)
        if now_ms >= self._cross_due_ms:
            self._cross_due_ms = now_ms + self._entropy.jitter(self._timing.cross_check_ms)
            self._check_again_ms = now_ms + CHECK_AGAIN_MS
            self._checked = self._draw(now_ms)
        if now_ms >= self._pick_due_ms and self._active.missing > len(self._pending):
            self._fill(now_ms)

    def _trim(self, now_ms: int) -> None:
        self._change_due_ms = now_ms + self._entropy.jitter(CHANGE_MS)
        found = [
            item.peer
            for item in self._active.find_excess(now_ms, SETTLED_MS)
            if not self._membership.is_asked_for(item.peer)
        ]
        found = [peer for peer in found if not self._tree.is_branch(peer)] or found
        if found:
            self._give_up(now_ms, found[self._entropy.below(len(found))])

    def _fill(self, now_ms: int) -> None:
        """Dial for every place that is free: anchors first, then who was heard of, then anybody."""
        self._pick_due_ms = now_ms + PICK_MS
        self._try_anchors(now_ms)
        for peer in self._passive.sample(DRAWS):
            if self._count_free() > 0:
                self._try(now_ms, peer)
        while self._count_free() > 0:
            if not self._draw(now_ms):
                return

    def _count_free(self) -> int:
        """Places to be filled by others than the anchors that are still to be tried."""
        return self._active.missing - len(self._pending) - len(self._untried)

    def _try_anchors(self, now_ms: int) -> None:
        """Dial anchors; one that may not be dialled at once keeps its place for a moment.

        Of two peers one leaves the dial to the other at first: whoever waits at the door by then
        would have the places of half the anchors.
        """
        if not self._untried:
            return
        self._anchors_ms = self._anchors_ms or now_ms + CHANGE_MS
        late = [
            peer
            for peer in self._untried
            if self._active.missing <= len(self._pending) or not self._try(now_ms, peer)
        ]
        self._untried = late if now_ms < self._anchors_ms else []

    def _draw(self, now_ms: int) -> str:
        """Choose any member; answers whom, or nobody if none was found within a few draws."""
        for _ in range(DRAWS):
            peer = self._membership.draw()
            neighbour = self._active.get(peer)
            if neighbour is not None and not neighbour.outbound and self._active.missing:
                self._active.choose(peer)
                self._anchor(peer)
                return peer
            if neighbour is None and self._try(now_ms, peer):
                return peer
        return ""

    def _try(self, now_ms: int, peer: str) -> bool:
        if peer in self._pending or not all(
            self._active.allows(address) for address in self._membership.get_addresses(peer)[:1]
        ):
            return False
        if not self._membership.dial(now_ms, peer, self._on_failed):
            return False
        self._pending[peer] = now_ms + PENDING_MS
        return True

    def _on_failed(self, peer: str) -> None:
        self._pending.pop(peer, None)
        self._passive.discard(peer)
        if peer == self._checked:
            self._checked = ""
            # So a mesh that many have left finds that out before long.
            self._cross_due_ms = min(self._cross_due_ms, self._check_again_ms)
        self._is_due_known = False

    def next_deadline(self) -> int | None:
        """When `tick` has something to do; every input asks, so the answer is kept."""
        membership = self._membership
        if membership.is_large != self._is_on or membership.colleagues is not self._colleagues:
            return 0
        if not self._is_due_known:
            self._due_ms = self._find_deadline()
            self._is_due_known = True
        return self._due_ms

    def _find_deadline(self) -> int | None:
        deadlines = list(self._refused.values())
        if self._is_on:
            deadlines += [self._shuffle_due_ms, self._cross_due_ms]
            deadlines += self._undecided.values()
            deadlines += self._pending.values()
            if self._active.has_excess:
                deadlines.append(self._change_due_ms)
            if self._active.missing > len(self._pending):
                deadlines.append(self._pick_due_ms)
        return min(deadlines, default=None)
