"""Whom to be connected to, where they are, and when to try again.

Up to `full_mesh_max` members every peer keeps a connection to every other; in larger networks the
overlay says whom to dial. Validators are connected to each other in any network: a block is made
only while a quorum would receive it. Of two peers the one with the smaller id dials at once and the other a
moment later, so that they rarely dial each other at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from meshnode.core.commands import Connect, Found
from meshnode.core.effects import StoreValue
from meshnode.core.events import Alone
from meshnode.core.inputs import DialEnded, Outcome
from meshnode.core.messages import ADDRESSES_MAX
from meshnode.core.transport_id import compute_transport_id
from meshnode.errors import CommandRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dag.authors import Author
    from meshnode.core.bans import Bans
    from meshnode.core.entropy import Entropy
    from meshnode.core.link import Link
    from meshnode.core.outbox import Outbox
    from meshnode.core.peers import Peers
    from meshnode.core.settings import Settings

BOOK_KEY: Final = "address-book"
BOOK_STORED_MAX: Final = 256
YIELD_MS: Final = 100
"""How long the larger transport id leaves the dial to the smaller."""
ALONE_AGAIN_MS: Final = 60_000
PROVED_MAX: Final = ADDRESSES_MAX // 2
"""Addresses of a peer that no profile can push out: anybody may name its key in a profile."""
ABSENT_FAILURES: Final = 8
"""Dials that fail in a row, after which a member does not count as one to be connected to."""
FOUND_MAX: Final = 2
"""Addresses of a peer that somebody else than itself has named."""
FOUND_AGAIN_MS: Final = 10_000
STRANGERS_MAX: Final = 4
"""Peers known by their addresses only, beyond which nobody unknown is looked for."""
TRIED_MAX: Final = 8
"""Attempts that the report of being alone lists."""

_decoder: Final = msgspec.msgpack.Decoder(dict[str, tuple[str, ...]])
_encoder: Final = msgspec.msgpack.Encoder()


@dataclass(slots=True, eq=False)
class _Contact:
    """A peer this node may dial."""

    peer: str
    author: bytes = b""
    """Empty while it is known by an address only."""
    addresses: tuple[str, ...] = ()
    proved: tuple[str, ...] = ()
    """Of these, the ones from the peer itself or from the operator."""
    asked_for: bool = False
    """By the operator or a ticket: dialled whatever the size of the network, unless it refuses."""
    due_ms: int = 0
    back_off_ms: int = 0
    dialling: bool = False
    failures: int = 0
    """Dials in a row that led to nothing."""
    connected_ms: int = -1
    """-1 while there is no connection."""
    found_ms: int = -FOUND_AGAIN_MS
    """When a new address of it was last tried at once."""


class Membership:
    """The address book, and the dials it leads to."""

    def __init__(
        self,
        settings: Settings,
        entropy: Entropy,
        outbox: Outbox,
        peers: Peers,
        bans: Bans,
    ) -> None:
        self._settings = settings
        self._timing = settings.timing
        self._entropy = entropy
        self._outbox = outbox
        self._peers = peers
        self._bans = bans
        peers.set_directory(self.get_author)
        self._contacts: dict[str, _Contact] = {}
        self._order: list[str] = []
        """Transport ids of the contacts, as they came."""
        self._peers_by_author: dict[bytes, str] = {}
        self._asked_for: dict[str, _Contact] = {}
        self._colleagues: dict[bytes, None] = {}
        self._barred: dict[bytes, None] = {}
        self._barred_peers: dict[str, None] = {}
        self._absent = 0
        self._is_large = False
        self._stored: dict[str, tuple[str, ...]] = {}
        self._tried: list[tuple[str, str]] = []
        self._alone_due_ms = -1
        self._alone = False
        self._leaving = False
        self._due_ms: int | None = None
        self._is_due_known = False

    @property
    def alone(self) -> tuple[tuple[str, str], ...] | None:
        """The last attempts (address, result) while nobody has answered for long, else None."""
        return tuple(self._tried) if self._alone else None

    @property
    def is_large(self) -> bool:
        """Whether there are more members than a full mesh holds.

        Once there are, this ends only when a quarter of its places is free.
        """
        return self._is_large

    def _count_present(self) -> None:
        limit = self._settings.limits.full_mesh_max
        present = 1 + len(self._contacts) - self._absent
        if self._is_large:
            limit -= limit // 4
        self._is_large = present > limit
        self._is_due_known = False

    def start(self, now_ms: int, stored: bytes) -> None:
        """Take up the addresses of the last run."""
        self._stored = _decoder.decode(stored) if stored else {}
        for peer, addresses in self._stored.items():
            if peer not in self._barred_peers:
                self._learn(now_ms, peer, addresses, proved=True)
        self._alone_due_ms = now_ms + self._timing.alone_ms
        self._is_due_known = False

    def leave(self) -> None:
        """Dial nobody any more."""
        self._leaving = True
        self._is_due_known = False

    def submit(self, now_ms: int, command: Connect | Found) -> None:
        """Take what the shell says of a peer's addresses. Raises `CommandRejected`."""
        if isinstance(command, Connect):
            self.connect(now_ms, command.peer, command.addresses)
        else:
            self._find(now_ms, command)

    def _find(self, now_ms: int, found: Found) -> None:
        """Dial a peer where it was seen; what was known of it before stays.

        Anybody near may say that a peer is near. So what is not signed takes the last places of the
        addresses, few strangers are looked for, and a peer is dialled at once only now and then.
        """
        contact = self._contacts.get(found.peer)
        if found.peer == self._settings.transport or not found.addresses:
            return
        if contact is None:
            strangers = sum(not one.author for one in self._contacts.values())
            if strangers >= STRANGERS_MAX:
                return
            contact = self._learn(now_ms, found.peer, ())
        before = contact.addresses
        if found.signed:
            self._learn(now_ms, found.peer, found.addresses[:ADDRESSES_MAX], proved=True)
        else:
            kept = contact.addresses[: ADDRESSES_MAX - FOUND_MAX]
            merged = dict.fromkeys((*kept, *found.addresses[:FOUND_MAX]))
            contact.addresses = tuple(merged)
        is_news = any(address not in before for address in contact.addresses)
        if is_news and now_ms - contact.found_ms >= FOUND_AGAIN_MS:
            contact.found_ms = now_ms
            contact.due_ms = min(contact.due_ms, now_ms + self._get_yield(found.peer))
        self._is_due_known = False

    def connect(self, now_ms: int, peer: str, addresses: tuple[str, ...]) -> None:
        """Keep a connection to a peer, from now on. Raises `CommandRejected`."""
        if peer == self._settings.transport:
            raise CommandRejected("these are this node's own addresses")
        if peer in self._barred_peers:
            raise CommandRejected("this peer's author is no member any more")
        if not 1 <= len(addresses) <= ADDRESSES_MAX:
            raise CommandRejected(f"a peer is connected to at 1 to {ADDRESSES_MAX} addresses")
        contact = self._learn(now_ms, peer, addresses, proved=True)
        contact.asked_for = True
        self._asked_for[peer] = contact
        contact.due_ms = now_ms
        contact.back_off_ms = 0
        self._is_due_known = False

    def bar(self, author: bytes, peer: str) -> None:
        """Forget a peer whose author is no member any more, and dial it no more."""
        self._barred[author] = None
        self._peers_by_author.pop(author, None)
        if not peer:
            return
        self._barred_peers[peer] = None
        self._asked_for.pop(peer, None)
        contact = self._contacts.pop(peer, None)
        if contact is not None:
            self._order.remove(peer)
            self._absent -= contact.failures >= ABSENT_FAILURES
            self._count_present()
        if self._stored.pop(peer, None) is not None:
            self._outbox.persist(StoreValue(BOOK_KEY, _encoder.encode(self._stored)))

    def set_colleagues(self, now_ms: int, authors: Iterable[bytes]) -> None:
        """Name the members to be connected to in any network: the committee, for its validators."""
        before, self._colleagues = self._colleagues, dict.fromkeys(authors)
        self._peers.reserve(len(self._colleagues))
        for author in self._colleagues:
            contact = self._contacts.get(self.find(author))
            if contact is not None and author not in before:
                contact.due_ms = min(contact.due_ms, now_ms + self._get_yield(contact.peer))
                contact.back_off_ms = 0
        self._is_due_known = False

    @property
    def colleagues(self) -> Mapping[bytes, None]:
        """Authors to be connected to in any network; another object when they are others."""
        return self._colleagues

    def learn_member(self, now_ms: int, author: Author) -> None:
        """A profile was admitted, or stands in the genesis."""
        peer = compute_transport_id(author.keys.libp2p_key)
        if (
            peer != self._settings.transport
            and author.id not in self._barred
            and len(self._contacts) < self._settings.limits.members_max
        ):
            self._learn(now_ms, peer, author.addresses[:ADDRESSES_MAX])
            self._name(peer, author.id)

    def _name(self, peer: str, author: bytes) -> None:
        self._contacts[peer].author = author
        self._peers_by_author[author] = peer

    def _learn(
        self, now_ms: int, peer: str, addresses: tuple[str, ...], *, proved: bool = False
    ) -> _Contact:
        """Put addresses before those known of a peer."""
        contact = self._contacts.get(peer)
        if contact is None:
            contact = self._contacts[peer] = _Contact(peer, due_ms=now_ms + self._get_yield(peer))
            self._order.append(peer)
            link = self._peers.get_open(peer)
            if link is not None:
                contact.connected_ms = link.since_ms
            self._count_present()
        if proved:
            contact.proved = addresses[:PROVED_MAX]
        merged = dict.fromkeys((*contact.proved, *addresses, *contact.addresses))
        contact.addresses = tuple(merged)[:ADDRESSES_MAX]
        self._is_due_known = False
        return contact

    def _get_yield(self, peer: str) -> int:
        return 0 if self._settings.transport < peer else YIELD_MS

    def connected(self, now_ms: int, peer: str) -> None:
        """A connection stands, whoever dialled."""
        contact = self._contacts.get(peer)
        if contact is not None:
            contact.connected_ms = now_ms
            self._is_due_known = False
            if contact.failures:
                self._hurry(now_ms)
            self._count_failures(contact, 0)

    def _hurry(self, now_ms: int) -> None:
        """Somebody can be reached again: whoever could not either is worth a dial at once.

        A peer gains little by failing on purpose: its own back-off bounds how often it may.
        """
        for contact in self._collect_due():
            if contact.failures:
                contact.due_ms = min(contact.due_ms, now_ms + self._get_yield(contact.peer))

    def ready(self, now_ms: int, link: Link) -> None:
        """A peer proved itself: remember where it can be dialled."""
        self._alone_due_ms = -1
        self._alone = False
        self._is_due_known = False
        assert link.hello is not None
        addresses = link.hello.addresses
        if not addresses or len(self._contacts) >= self._settings.limits.members_max:
            return
        self._learn(now_ms, link.peer, addresses, proved=True)
        self._name(link.peer, link.author)
        if self._stored.get(link.peer) != addresses:
            self._stored.pop(link.peer, None)
            self._stored[link.peer] = addresses
            while len(self._stored) > BOOK_STORED_MAX:
                del self._stored[next(iter(self._stored))]
            self._outbox.persist(StoreValue(BOOK_KEY, _encoder.encode(self._stored)))

    def disconnected(self, now_ms: int, peer: str) -> None:
        """A connection has ended: dial again after a while."""
        contact = self._contacts.get(peer)
        if contact is not None and contact.connected_ms >= 0:
            if now_ms - contact.connected_ms >= self._timing.stable_ms:
                contact.back_off_ms = 0
            contact.connected_ms = -1
            self._back_off(now_ms, contact)

    def lost(self, now_ms: int) -> None:
        """A ready peer is gone."""
        if not self._peers.ready:
            self._alone_due_ms = now_ms + self._timing.alone_ms
            self._is_due_known = False

    def _back_off(self, now_ms: int, contact: _Contact) -> None:
        doubled_ms = 2 * contact.back_off_ms or self._timing.dial_first_ms
        contact.back_off_ms = min(doubled_ms, self._timing.dial_most_ms)
        wait_ms = self._entropy.jitter(contact.back_off_ms) + self._get_yield(contact.peer)
        contact.due_ms = max(contact.due_ms, now_ms + wait_ms)
        self._is_due_known = False

    def _count_failures(self, contact: _Contact, count: int) -> None:
        was_absent = contact.failures >= ABSENT_FAILURES
        contact.failures = count
        is_absent = count >= ABSENT_FAILURES
        if is_absent != was_absent:
            self._absent += is_absent - was_absent
            self._count_present()

    def _collect_due(self) -> list[_Contact]:
        """The contacts to dial when their time comes."""
        kept = self._list_kept() if self.is_large else self._contacts.values()
        return [
            contact
            for contact in kept
            if contact.addresses and contact.connected_ms < 0 and not contact.dialling
        ]

    def _list_kept(self) -> Iterable[_Contact]:
        """Whom a node dials in a large network whatever the overlay says."""
        found = dict(self._asked_for)
        for author in self._colleagues:
            contact = self._contacts.get(self.find(author))
            if contact is not None:
                found[contact.peer] = contact
        return found.values()

    # --- what the overlay asks for --------------------------------------------------------------

    def draw(self) -> str:
        """Any contact, each as likely as the other."""
        return self._order[self._entropy.below(len(self._order))]

    def find(self, author: bytes) -> str:
        """A member's transport id; empty for nobody this node could dial."""
        return self._peers_by_author.get(author, "")

    def get_author(self, peer: str) -> bytes:
        """Who a contact is; empty where that is not known."""
        return self._contacts[peer].author if peer in self._contacts else b""

    def get_addresses(self, peer: str) -> tuple[str, ...]:
        """Where a contact can be dialled."""
        return self._contacts[peer].addresses if peer in self._contacts else ()

    def is_asked_for(self, peer: str) -> bool:
        """Whether the operator or a ticket wants a connection to a peer."""
        return peer in self._asked_for

    def put_off(self, peer: str, due_ms: int) -> None:
        """Do not dial a peer before: it has no place, or this node has none for it."""
        self._asked_for.pop(peer, None)
        contact = self._contacts.get(peer)
        if contact is not None:
            contact.due_ms = max(contact.due_ms, due_ms)
        self._is_due_known = False

    def dial(self, now_ms: int, peer: str, on_failed: Callable[[str], None]) -> bool:
        """Dial a contact once; answers whether it can be dialled now."""
        contact = self._contacts.get(peer)
        if contact is None or not contact.addresses or contact.due_ms > now_ms or self._leaving:
            return False
        if contact.connected_ms >= 0 or contact.dialling or self._bans.get_until(now_ms, peer):
            return False
        self._dial(contact, on_failed)
        return True

    def tick(self, now_ms: int) -> None:
        """Dial whoever is due; say so when nobody answers at all."""
        due_ms = self.next_deadline()
        if due_ms is None or now_ms < due_ms:
            return
        self._is_due_known = False
        for contact in self._collect_due():
            if contact.due_ms <= now_ms:
                banned_ms = self._bans.get_until(now_ms, contact.peer)
                if banned_ms:
                    contact.due_ms = banned_ms
                else:
                    self._dial(contact)
        if 0 <= self._alone_due_ms <= now_ms and self._order:
            self._alone_due_ms = now_ms + ALONE_AGAIN_MS
            self._alone = True
            self._outbox.emit(Alone(tuple(self._tried)))

    def _dial(self, contact: _Contact, on_failed: Callable[[str], None] | None = None) -> None:
        contact.dialling = True
        self._is_due_known = False
        done = partial(self._on_dialled, contact, contact.addresses, on_failed)
        self._outbox.dial(contact.peer, contact.addresses, done)

    def _on_dialled(
        self,
        contact: _Contact,
        addresses: tuple[str, ...],
        on_failed: Callable[[str], None] | None,
        now_ms: int,
        outcome: Outcome,
    ) -> None:
        assert isinstance(outcome, DialEnded)
        contact.dialling = False
        if contact.peer in self._barred_peers:
            return
        self._is_due_known = False
        result = outcome.error or "connected"
        self._tried = [*self._tried, *((address, result) for address in addresses)][-TRIED_MAX:]
        if contact.connected_ms < 0:
            self._back_off(now_ms, contact)
            self._count_failures(contact, contact.failures + 1)
            if on_failed is not None:
                on_failed(contact.peer)

    def next_deadline(self) -> int | None:
        """When `tick` has something to do; every input asks, so the answer is kept."""
        if not self._is_due_known:
            self._due_ms = self._find_deadline()
            self._is_due_known = True
        return self._due_ms

    def _find_deadline(self) -> int | None:
        if self._leaving:
            return None
        deadlines = [contact.due_ms for contact in self._collect_due()]
        if self._alone_due_ms >= 0 and self._order:
            deadlines.append(self._alone_due_ms)
        return min(deadlines, default=None)
