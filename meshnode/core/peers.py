"""Connections: the handshake, signs of life, offences and their consequences.

    HELLO ->            <- HELLO
    CREDENTIALS, PROOF ->   <- CREDENTIALS, PROOF

Both sides speak first, and say whose profile they hold: that author shows no CREDENTIALS, which are
several times as long as everything else. A connection is ready on a side when that side has sent its PROOF and
verified the other's; before that, no other message is listened to.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from dag.errors import InvalidMessage, InvalidVertex, Offence
from meshnode.core.admission import CREDENTIALS_REQUEST
from meshnode.core.bans import Bans, name_author
from meshnode.core.effects import Hangup, Penalise, SignProof, Verify, VerifyItem
from meshnode.core.events import OffenceSeen, PeerLost, PeerReady, PeerRefused
from meshnode.core.handshake import is_handshake, split_credentials
from meshnode.core.inputs import Checked, Checks, Outcome, Signed, Vertices
from meshnode.core.link import Link, Phase
from meshnode.core.messages import (
    ADDRESSES_MAX,
    PROTOCOL_VERSION,
    TEXT_MAX,
    Credentials,
    Digest,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Proof,
    compute_proof_message,
)
from meshnode.core.penalties import BANNED_AT_ONCE, ENDED_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from dag.authors import AuthorRegistry
    from meshnode.core.entropy import Entropy
    from meshnode.core.outbox import Outbox
    from meshnode.core.settings import Settings

EARLY_MAX: Final = 256
"""Messages kept while a PROOF is verified; what is dropped above comes by reconciliation."""
MEASURE_MS: Final = 30_000
"""How often the round trip is measured; PING is for silent connections otherwise."""
FAREWELL_MS: Final = 1_000
"""How long a peer that is refused has to read why."""
STRIKE_FORGIVEN_MS: Final = 60_000
"""One light offence is forgotten per this time."""


class PeersHost(Protocol):
    """What the connections need of the node that owns them."""

    def compute_digest(self) -> Digest:
        """What this node holds."""

    def accept_credentials(self, now_ms: int, link: Link, message: Vertices) -> None:
        """Admit the profiles a peer brought along."""

    def on_ready(self, now_ms: int, link: Link) -> None:
        """A connection is ready."""

    def on_early(self, now_ms: int, link: Link, message: Checked) -> None:
        """A message that came while its sender's PROOF was verified."""

    def on_lost(self, now_ms: int, link: Link) -> None:
        """A connection that was ready has ended."""


class Peers:
    """Every connection of a node."""

    def __init__(
        self,
        settings: Settings,
        network: bytes,
        *,
        authors: AuthorRegistry,
        entropy: Entropy,
        outbox: Outbox,
        bans: Bans,
        explain: Callable[[bytes], str],
        host: PeersHost,
    ) -> None:
        """`explain`: why an author is refused although it proves who it is; empty for who is not."""
        self._settings = settings
        self._network = network
        self._timing = settings.timing
        self._authors = authors
        self._entropy = entropy
        self._outbox = outbox
        self._bans = bans
        self._explain = explain
        self._host = host
        self._credentials: tuple[bytes, ...] | None = None
        self.refusal = ""
        """What a peer said last that let this node in nowhere since."""
        self._links: dict[str, Link] = {}
        self._offences: dict[Offence, int] = {}
        self._ready: dict[str, Link] = {}
        self._find_author: Callable[[str], bytes] = lambda _: b""
        self._reserved = 0
        self._due_ms: int | None = None
        self._is_due_known = True

    @property
    def ready(self) -> tuple[Link, ...]:
        """Ready connections, oldest first."""
        return tuple(self._ready.values())

    @property
    def ready_names(self) -> tuple[str, ...]:
        """Transport ids of ready connections, oldest first."""
        return tuple(self._ready)

    @property
    def ready_count(self) -> int:
        """How many connections are ready."""
        return len(self._ready)

    @property
    def offences(self) -> dict[Offence, int]:
        """How often each offence was seen since the start."""
        return dict(self._offences)

    def is_ready(self, peer: str) -> bool:
        """Whether a peer takes part."""
        return peer in self._ready

    def get_open(self, peer: str) -> Link | None:
        """A connection that is listened to."""
        link = self._links.get(peer)
        return None if link is None or link.phase is Phase.CLOSED else link

    def reserve(self, count: int) -> None:
        """Have room for so many besides: validators are connected to each other, however many."""
        self._reserved = count

    def set_directory(self, find_author: Callable[[str], bytes]) -> None:
        """Name who knows which author is most likely behind a transport id; empty for nobody."""
        self._find_author = find_author

    def set_credentials(self, credentials: tuple[bytes, ...]) -> None:
        """The own profiles can be shown from now on; waiting handshakes go on."""
        self._credentials = credentials
        for link in list(self._links.values()):
            self._prove(link)

    def connected(self, now_ms: int, peer: str, address: str, *, inbound: bool) -> None:
        """Greet a new connection, or refuse it."""
        assert peer not in self._links, "a transport keeps one connection per peer"
        link = Link(
            peer,
            inbound,
            address,
            since_ms=now_ms,
            nonce=self._entropy.draw(),
            deadline_ms=now_ms + self._timing.hello_ms,
        )
        banned_ms = self._bans.get_until(now_ms, peer)
        has_room = banned_ms > 0 or not inbound or self._make_room(now_ms)
        self._links[peer] = link
        self._is_due_known = False
        if banned_ms:
            self.close(now_ms, link, f"banned for {banned_ms - now_ms} ms more")
        elif not has_room:
            self.close(now_ms, link, "too many connections")
        else:
            self._outbox.send((peer,), self._make_hello(link))

    def _make_room(self, now_ms: int) -> bool:
        """Whether an inbound connection may stay; the longest unproved one gives way to it.

        Otherwise a stranger who opens connections and says nothing would keep everybody out.
        """
        standing = [link for link in self._links.values() if link.phase is not Phase.CLOSED]
        if len(standing) < self._settings.limits.peers_max + self._reserved:
            return True
        for link in standing:
            if link.inbound and link.phase is Phase.HANDSHAKE:
                self.close(now_ms, link, "a newer connection takes its place")
                return True
        return False

    def _make_hello(self, link: Link) -> Hello:
        settings = self._settings
        expected = self._find_author(link.peer)
        is_held = self._authors.get_keys(expected) is not None
        return Hello(
            PROTOCOL_VERSION,
            self._network,
            settings.author,
            link.nonce,
            settings.agent[:TEXT_MAX],
            settings.addresses[:ADDRESSES_MAX],
            expected if is_held else b"",
        )

    def disconnected(self, now_ms: int, peer: str, reason: str) -> Link | None:
        """Forget a connection that has ended; answers what it was."""
        link = self._links.pop(peer, None)
        if link is not None and link.phase is Phase.READY:
            self._lose(now_ms, link, reason)
        if link is not None:
            # A PROOF that is still being signed or verified belongs to no later connection.
            self._end(link)
        return link

    def close(self, now_ms: int, link: Link, reason: str) -> None:
        """End a connection."""
        assert link.phase is not Phase.CLOSED, "a connection is ended once"
        if link.phase is Phase.READY:
            self._lose(now_ms, link, reason)
        self._end(link)
        self._outbox.add(Hangup(link.peer, reason))

    def _end(self, link: Link) -> None:
        link.phase = Phase.CLOSED
        self._is_due_known = False

    def refuse(self, now_ms: int, link: Link, reason: str) -> None:
        """Listen to a peer no more, and tell it why; it hangs up, or this side does a moment later."""
        if link.phase is Phase.READY:
            self._lose(now_ms, link, reason)
        self._end(link)
        link.deadline_ms, link.farewell = now_ms + FAREWELL_MS, reason
        self._outbox.send((link.peer,), Goodbye(reason[:TEXT_MAX]))

    def refuse_author(self, now_ms: int, author: bytes, reason: str) -> None:
        """End an author's connections, and tell it why."""
        for link in list(self._links.values()):
            if link.verified and link.author == author and link.phase is not Phase.CLOSED:
                self.refuse(now_ms, link, reason)

    def hang_up_all(self, reason: str) -> None:
        """End every connection, and the part this object plays."""
        for link in self._links.values():
            if link.phase is not Phase.CLOSED:
                self._outbox.add(Hangup(link.peer, reason))
        for link in self.ready:
            self._outbox.emit(PeerLost(link.peer, link.author, reason))

    def _lose(self, now_ms: int, link: Link, reason: str) -> None:
        link.phase = Phase.CLOSED
        del self._ready[link.peer]
        self._outbox.emit(PeerLost(link.peer, link.author, reason))
        self._host.on_lost(now_ms, link)

    def offend(self, now_ms: int, peer: str, offence: Offence, detail: str) -> None:
        """Count an offence and draw the consequence."""
        self._offences[offence] = self._offences.get(offence, 0) + 1
        link = self.get_open(peer)
        if link is None:
            return
        detail = detail[:TEXT_MAX]
        forgiven = (now_ms - link.struck_ms) // STRIKE_FORGIVEN_MS
        link.strikes = max(0, link.strikes - forgiven) + 1
        link.struck_ms = now_ms
        banned = offence in BANNED_AT_ONCE or link.strikes >= self._settings.limits.strikes_max
        ban_ms = self._timing.ban_ms if banned else 0
        self._outbox.add(Penalise(peer, offence, detail, ban_ms))
        self._outbox.emit(OffenceSeen(peer, offence, detail))
        if banned:
            self._bans.add(peer, now_ms + ban_ms)
            if link.verified:
                self._bans.add(name_author(link.author), now_ms + ban_ms)
        if banned or offence in ENDED_AT_ONCE:
            self.close(now_ms, link, f"{offence.value}: {detail}")

    def charge(self, now_ms: int, peer: str, error: InvalidMessage) -> None:
        """A peer sent what turned out to break a rule: its offence, if it could have known."""
        link = self.get_open(peer)
        if link is None or not isinstance(error, InvalidVertex) or error.parent is None:
            self.offend(now_ms, peer, error.offence, error.message)
            return
        link.suspicion.add(now_ms, error)
        self._is_due_known = False
        if link.suspicion.is_beyond_bearing:
            self.close(now_ms, link, "it sends too much that breaks rules about parents")

    def receive(self, now_ms: int, link: Link, message: Checked) -> bool:
        """Take a message; answers whether it is for the rest of the node."""
        if link.heard_ms + self._timing.silent_ms < link.ping_due_ms:
            self._is_due_known = False
        link.heard_ms = now_ms
        if link.phase is Phase.READY:
            return self._receive_ready(now_ms, link, message)
        match message:
            case Goodbye():
                self.refusal = message.reason
                self._outbox.emit(PeerRefused(link.peer, message.reason))
                self.close(now_ms, link, f"goodbye: {message.reason}")
            case Hello() if link.hello is None:
                self._on_hello(now_ms, link, message)
            case Vertices(request=request) if (
                request == CREDENTIALS_REQUEST
                and link.hello is not None
                and not link.proof_received
            ):
                self._host.accept_credentials(now_ms, link, message)
            case Proof() if link.hello is not None and not link.proof_received:
                self._on_proof(now_ms, link, message)
            case _ if link.proof_received and not is_handshake(message):
                if len(link.early) < EARLY_MAX:
                    link.early.append(message)
            case _:
                self._out_of_turn(now_ms, link, message)
        return False

    def _receive_ready(self, now_ms: int, link: Link, message: Checked) -> bool:
        match message:
            case Goodbye():
                self.close(now_ms, link, f"goodbye: {message.reason}")
            case Ping():
                pong = Pong(message.nonce, self._host.compute_digest(), now_ms)
                self._outbox.send((link.peer,), pong)
            case Pong():
                return self._on_pong(now_ms, link, message)
            case _ if is_handshake(message):
                self._out_of_turn(now_ms, link, message)
            case _:
                return True
        return False

    def _out_of_turn(self, now_ms: int, link: Link, message: Checked) -> None:
        name = type(message).__name__.upper()
        self.offend(now_ms, link.peer, Offence.OUT_OF_TURN, f"{name} at this point")

    def _on_hello(self, now_ms: int, link: Link, hello: Hello) -> None:
        if hello.network != self._network:
            detail = f"its network is {hello.network.hex()[:16]}"
            self.offend(now_ms, link.peer, Offence.WRONG_NETWORK, detail)
        elif hello.version != PROTOCOL_VERSION:
            reason = f"it speaks version {hello.version} of the protocol, not {PROTOCOL_VERSION}"
            self.close(now_ms, link, reason)
        elif hello.author == self._settings.author:
            self.close(now_ms, link, "it is this node, or another with its keys")
        elif banned_ms := self._bans.get_until(now_ms, name_author(hello.author)):
            self.close(now_ms, link, f"its author is banned for {banned_ms - now_ms} ms more")
        else:
            link.hello = hello
            self._prove(link)

    def _prove(self, link: Link) -> None:
        """Sign the own PROOF as soon as it can be made."""
        hello = link.hello
        if self._credentials is None or hello is None or link.signing:
            return
        link.signing = True
        message = compute_proof_message(
            self._network, self._settings.transport, link.nonce, link.peer, hello.nonce
        )
        self._outbox.run(SignProof(message), partial(self._on_proof_signed, link))

    def _on_proof_signed(self, link: Link, now_ms: int, outcome: Outcome) -> None:
        assert isinstance(outcome, Signed)
        if link.phase is not Phase.HANDSHAKE:
            return
        assert link.hello is not None, "a PROOF covers the nonce of a HELLO"
        is_known = link.hello.expects == self._settings.author
        for part in () if is_known else split_credentials(self._credentials or ()):
            self._outbox.send((link.peer,), Credentials(part))
        self._outbox.send((link.peer,), Proof(outcome.signature))
        link.proved = True
        self._settle(now_ms, link)

    def _on_proof(self, now_ms: int, link: Link, proof: Proof) -> None:
        keys = self._authors.get_keys(link.author)
        if keys is None:
            detail = f"author {link.author.hex()[:16]} brought no profile"
            self.offend(now_ms, link.peer, Offence.NOT_A_MEMBER, detail)
            return
        link.proof_received = True
        assert link.hello is not None
        message = compute_proof_message(
            self._network, link.peer, link.hello.nonce, self._settings.transport, link.nonce
        )
        items = (VerifyItem(keys, message, proof.signature),)
        self._outbox.run(Verify(items), partial(self._on_proof_checked, link))

    def _on_proof_checked(self, link: Link, now_ms: int, outcome: Outcome) -> None:
        assert isinstance(outcome, Checks)
        if link.phase is not Phase.HANDSHAKE:
            return
        if outcome.verdicts == (True,):
            link.verified = True
            reason = self._explain(link.author)
            if reason:
                self.refuse(now_ms, link, reason)
            else:
                self._settle(now_ms, link)
        else:
            detail = f"it is not author {link.author.hex()[:16]}"
            self.offend(now_ms, link.peer, Offence.BAD_PROOF, detail)

    def _settle(self, now_ms: int, link: Link) -> None:
        """Let a connection take part once both sides have proved who they are."""
        if not (link.proved and link.verified) or self._is_second(now_ms, link):
            return
        self.refusal = ""
        link.phase = Phase.READY
        record = self._authors.get(link.author)
        link.name = "" if record is None else record.name
        link.heard_ms = now_ms
        ping_ms = self._timing.ping_ms
        link.ping_due_ms = link.measure_due_ms = now_ms + ping_ms
        # One side asks first; both at the same time would say the same twice.
        asks_first = self._settings.transport < link.peer
        link.patience_ms = ping_ms if asks_first else ping_ms + ping_ms // 4
        self._is_due_known = False
        self._ready[link.peer] = link
        self._outbox.emit(PeerReady(link.peer, link.author, link.name))
        self._host.on_ready(now_ms, link)
        early, link.early = link.early, []
        for message in early:
            if link.phase is Phase.READY and self._receive_ready(now_ms, link, message):
                self._host.on_early(now_ms, link, message)

    def _is_second(self, now_ms: int, link: Link) -> bool:
        """Keep one connection per author: the older one, unless it has stopped answering."""
        for other in self.ready:
            if other.author != link.author:
                continue
            sent_ms = other.ping_sent_ms
            if sent_ms < 0 or now_ms - sent_ms < self._timing.ping_ms:
                self.close(now_ms, link, "its author is connected already")
                return True
            self.close(now_ms, other, "its author has connected again")
        return False

    def _on_pong(self, now_ms: int, link: Link, pong: Pong) -> bool:
        if link.ping_sent_ms < 0 or pong.nonce != link.ping_nonce:
            self.offend(now_ms, link.peer, Offence.UNASKED, "PONG without PING")
            return False
        link.rtt_ms = now_ms - link.ping_sent_ms
        link.ping_sent_ms = -1
        return True

    def say_goodbye(self, reason: str) -> None:
        """Tell every ready peer that this node leaves."""
        self._outbox.send(self.ready_names, Goodbye(reason[:TEXT_MAX]))

    def tick(self, now_ms: int) -> None:
        """End what is overdue; ask silent peers for a sign of life."""
        due_ms = self.next_deadline()
        if due_ms is None or now_ms < due_ms:
            return
        self._is_due_known = False
        for link in list(self._links.values()):
            error = link.suspicion.take_due(now_ms)
            if error is not None and link.phase is not Phase.CLOSED:
                self.offend(now_ms, link.peer, error.offence, error.message)
            elif link.phase is Phase.HANDSHAKE and now_ms >= link.deadline_ms:
                self.offend(now_ms, link.peer, Offence.SILENT, "no handshake in time")
            elif link.phase is Phase.READY:
                self._tick_ready(now_ms, link)
            elif link.farewell and now_ms >= link.deadline_ms:
                self._outbox.add(Hangup(link.peer, link.farewell))
                link.farewell = ""

    def _tick_ready(self, now_ms: int, link: Link) -> None:
        silent_ms = now_ms - link.heard_ms
        if silent_ms >= self._timing.silent_ms:
            self.offend(now_ms, link.peer, Offence.SILENT, f"nothing heard for {silent_ms} ms")
        elif now_ms >= link.ping_due_ms:
            due_ms = link.find_ping_due()
            link.ping_due_ms = due_ms if now_ms < due_ms else now_ms + self._timing.ping_ms
            if now_ms >= due_ms and link.ping_sent_ms < 0:
                link.measure_due_ms = now_ms + MEASURE_MS
                link.ping_nonce += 1
                link.ping_sent_ms = now_ms
                self._outbox.send((link.peer,), Ping(link.ping_nonce))

    def next_deadline(self) -> int | None:
        """When `tick` has something to do; every input asks, so the answer is kept."""
        if not self._is_due_known:
            self._due_ms = self._find_deadline()
            self._is_due_known = True
        return self._due_ms

    def _find_deadline(self) -> int | None:
        deadlines: list[int] = []
        for link in self._links.values():
            if link.suspicion.due_ms is not None and link.phase is not Phase.CLOSED:
                deadlines.append(link.suspicion.due_ms)
            if link.phase is Phase.HANDSHAKE or link.farewell:
                deadlines.append(link.deadline_ms)
            elif link.phase is Phase.READY:
                deadlines.append(min(link.ping_due_ms, link.heard_ms + self._timing.silent_ms))
        return min(deadlines, default=None)
