"""The node: inputs in, effects out.

`Node` joins the collaborators, each with its own part of the state, and routes inputs to them. It
is total towards peers: whatever a peer sends changes at most the record of that peer. It asserts
what the shell promises (time never goes back, one receipt per job, one connection per peer).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from dag.authors import Fork, is_first_profile
from dag.bodies import PROFILE_DECODER
from dag.errors import Offence
from dag.genesis import compute_network_id
from dag.identity import VerifiedVertex, get_profile_keys, trust_stored
from dag.types import Kind
from meshnode.core.admission import Admission
from meshnode.core.adverts import Adverts
from meshnode.core.answers import Answers
from meshnode.core.bans import BANS_KEY, Bans
from meshnode.core.commands import Command, Connect, Found, Leave, Publish, Renew, Serve
from meshnode.core.credentials import CredentialsDesk
from meshnode.core.deadlines import find_earliest
from meshnode.core.directory import Directory
from meshnode.core.dissemination import Dissemination
from meshnode.core.effects import Effect
from meshnode.core.entropy import Entropy
from meshnode.core.fetching import Fetching
from meshnode.core.forks import Forks
from meshnode.core.history import History
from meshnode.core.inputs import (
    Checked,
    Completed,
    Connected,
    Disconnected,
    Input,
    Outcome,
    Received,
    Rejected,
    Submitted,
    Ticked,
    Vertices,
)
from meshnode.core.link import Link
from meshnode.core.membership import BOOK_KEY, Membership
from meshnode.core.messages import Digest
from meshnode.core.outbox import Outbox
from meshnode.core.overlay import ANCHORS_KEY, Overlay
from meshnode.core.peers import Peers
from meshnode.core.plumtree import Plumtree
from meshnode.core.proposing import Proposing
from meshnode.core.publishing import FIRST_PROFILE_KEY, Publishing, Speech
from meshnode.core.reception import Reception
from meshnode.core.reconciliation import Reconciliation
from meshnode.core.recovered import HEAD_KEY
from meshnode.core.replica import Replica
from meshnode.core.requests import Requests
from meshnode.core.showing import Showing
from meshnode.core.standings import Standings
from meshnode.core.state_transfer import StateTransfer
from meshnode.core.store import Store, make_intake
from meshnode.core.views import NodeSummary, NodeView
from meshnode.core.wants import Wants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dag.authors import AuthorDirectory
    from dag.errors import InvalidMessage
    from dag.outcomes import Quarantined
    from meshnode.core.machines import Machines, StateMachine
    from meshnode.core.recovered import Recovered
    from meshnode.core.settings import Settings


class Node:
    """One peer of one network, without I/O."""

    def __init__(
        self,
        settings: Settings,
        seed: bytes,
        recovered: Recovered,
        machines: Sequence[StateMachine] = (),
    ) -> None:
        """Take up where the journal ended.

        `seed` is 32 random bytes for nonces and jitter. Raises `InvalidMessage` if what was recovered
        was tampered with. The machines are folded over the order, each in its first state.
        """
        self._settings = settings
        self._network = compute_network_id(settings.genesis)
        self._values, self._now_ms = dict(recovered.values), 0
        self._intake = make_intake(settings.genesis)
        own_keys = get_profile_keys(PROFILE_DECODER.decode(settings.profile))
        self._directory = Directory(self._intake.authors, settings.author, own_keys)
        self._outbox = Outbox()
        self._store = Store(self._intake, self._outbox, self)
        genesis, start = settings.genesis, recovered.choose_start()
        self._replica = Replica(
            genesis, self._network, self._intake, self._outbox, machines=machines, start=start
        )
        self._standings = Standings(settings, self._intake, self._replica, self._outbox)
        self._replica.expect(self._values.get(HEAD_KEY, b""), recovered.delivered)
        entropy = Entropy(seed)
        self._build_links(entropy)
        self._history = History(self._outbox, self._store, self._peers, self._replica)
        self._history.restore(recovered, prunes=settings.prunes)
        self._build_exchange()
        self._transfer = StateTransfer(
            settings,
            self._network,
            intake=self._intake,
            outbox=self._outbox,
            requests=self._requests,
            store=self._store,
            peers=self._peers,
            replica=self._replica,
            offend=self.offend,
        )
        self._build_speech(entropy)
        self._intake.advance_horizon(recovered.find_horizon())
        for signed in recovered.arrange():
            self._restore(trust_stored(signed))
        self._replica.check()

    def _build_links(self, entropy: Entropy) -> None:
        settings, outbox = self._settings, self._outbox
        bans = Bans(outbox, self._values.get(BANS_KEY, b""))
        self._peers = Peers(
            settings,
            self._network,
            authors=self._intake.authors,
            entropy=entropy,
            outbox=outbox,
            bans=bans,
            explain=self._standings.explain,
            host=self,
        )
        self._membership = Membership(settings, entropy, outbox, self._peers, bans)
        self._tree = Plumtree(outbox, entropy, settings.limits, settings.timing)
        self._overlay = Overlay(
            settings, entropy, outbox, self._peers, self._membership, tree=self._tree
        )

    def _build_exchange(self) -> None:
        outbox, intake, store = self._outbox, self._intake, self._store
        timing, limits = self._settings.timing, self._settings.limits
        offend, offer, keys = self.offend, store.offer, intake.authors.get_keys
        self._requests = requests = Requests(outbox, timing.get_ms, offend)
        self._fetching = Fetching(
            outbox, requests, limits, store.is_needed, offend=offend, on_unserved=self._on_unserved
        )
        self._wants = Wants(outbox, requests, limits, get_keys=keys, offer=offer, offend=offend)
        self._adverts = Adverts(outbox, self._peers)
        self._desk = CredentialsDesk(intake.authors, store, self._peers, self._standings)
        peers, tree, overlay = self._peers, self._tree, self._overlay
        self._dissemination = Dissemination(
            outbox, peers, self._fetching, tree, overlay, intake=intake, timing=timing
        )
        self._answers = Answers(outbox, intake, self._dissemination, self._history, self.offend)
        self._reconciliation = Reconciliation(
            outbox,
            self._peers,
            intake,
            self._fetching,
            timing=timing,
            is_needed=store.is_needed,
            is_paused=lambda: self._transfer.is_running,
            on_silent=self._overlay.on_withheld,
            offend=self.offend,
        )
        self._standings.attach(self._peers, self._membership, self._reconciliation)

    def _build_speech(self, entropy: Entropy) -> None:
        settings, outbox, intake, store = self._settings, self._outbox, self._intake, self._store
        self._publishing = Publishing(
            settings,
            self._network,
            intake=intake,
            outbox=outbox,
            requests=self._requests,
            store=store,
            get_horizon=lambda: self._replica.ordering.payload.horizon,
            on_credentials=self._peers.set_credentials,
        )
        self._proposing = Proposing(
            settings,
            intake=intake,
            outbox=outbox,
            requests=self._requests,
            replica=self._replica,
            list_ready=lambda: self._peers.ready,
            store=store,
            on_seated=self._membership.set_colleagues,
            may_speak=lambda: self._publishing.speech is Speech.OPEN,
        )
        self._reception = Reception(
            store=store,
            authors=intake.authors,
            requests=self._requests,
            wants=self._wants,
            overlay=self._overlay,
            dissemination=self._dissemination,
            reconciliation=self._reconciliation,
            answers=self._answers,
            adverts=self._adverts,
            transfer=self._transfer,
            desk=self._desk,
        )
        self._forks = Forks(settings.author, intake, entropy, outbox, self._publishing)
        self._showing = Showing(
            settings.author,
            intake=intake,
            peers=self._peers,
            membership=self._membership,
            wants=self._wants,
            fetching=self._fetching,
            reconciliation=self._reconciliation,
            publishing=self._publishing,
            replica=self._replica,
            proposing=self._proposing,
            history=self._history,
            standings=self._standings,
        )
        links = (self._peers, self._membership, self._overlay, self._requests, self._transfer)
        quiet = (*links, self._dissemination, self._forks, self._store)
        speech = (self._fetching, self._reconciliation, self._publishing, self._proposing)
        self._quiet_deadlines = tuple(part.next_deadline for part in quiet)
        self._deadlines = (*self._quiet_deadlines, *(part.next_deadline for part in speech))

    def _restore(self, signed: VerifiedVertex) -> None:
        self._intake.restore(signed)
        step = self._replica.restore(signed)
        self._proposing.follow(0, step, made_here=False)
        self._publishing.restore(signed, step.lost)
        self._forks.on_admitted(signed)

    @property
    def authors(self) -> AuthorDirectory:
        """The keys admission verifies with; safe to read from any thread."""
        return self._directory

    @property
    def machines(self) -> Machines:
        """Decisions and the market, as of the last commit; to be read only."""
        return self._replica.machines

    @property
    def is_over(self) -> bool:
        """Whether this core takes no more input: a new one is to be begun from the journal."""
        return self._transfer.is_over

    def is_stored(self, vertex_id: bytes) -> bool:
        """Whether a vertex is stored; safe to call from any thread."""
        return self._store.is_stored(vertex_id)

    def is_spent(self, peer: str) -> bool:
        """Whether a peer's pushes are passed over for a moment; safe to call from any thread."""
        return self._reception.budget.is_spent(peer)

    def get_ready_peers(self) -> tuple[str, ...]:
        """Transport ids of ready connections."""
        return self._peers.ready_names

    # --- inputs ---------------------------------------------------------------------------------

    def handle(self, entry: Input) -> list[Effect]:
        """Take any input. Raises `CommandRejected` for a command that changes nothing."""
        match entry:
            case Received():
                return self.receive(entry.now_ms, entry.peer, entry.message)
            case Rejected():
                return self.rejected(entry.now_ms, entry.peer, entry.offence, entry.detail)
            case Connected(now_ms, peer, inbound, address):
                return self.connected(now_ms, peer, address, inbound=inbound)
            case Disconnected():
                return self.disconnected(entry.now_ms, entry.peer, entry.reason)
            case Submitted():
                return self.submit(entry.now_ms, entry.token, entry.command)
            case Completed():
                return self.complete(entry.now_ms, entry.job, entry.outcome)
            case Ticked():
                return self.tick(entry.now_ms)
            case _:
                assert_never(entry)

    def start(self, now_ms: int) -> list[Effect]:
        """Begin; called once, before any input. Raises `ConfigError`."""
        self._advance(now_ms)
        self._standings.follow(now_ms)
        admission = Admission(
            self._network, self._settings.genesis.suite, self._directory, self.is_stored
        )
        self._desk.admit_own(now_ms, admission, self._settings.credentials)
        self._membership.start(now_ms, self._values.get(BOOK_KEY, b""))
        for author in self._intake.authors:
            self._membership.learn_member(now_ms, author)
        self._overlay.start(self._values.get(ANCHORS_KEY, b""))
        self._publishing.start(now_ms, self._values.get(FIRST_PROFILE_KEY, b""))
        self._forks.start(now_ms)
        self._proposing.start(now_ms)
        self._replica.start()
        self._history.follow()
        self._values = {}
        self._tick(now_ms)
        return self._finish(now_ms)

    def receive(self, now_ms: int, peer: str, message: Checked) -> list[Effect]:
        """Take a peer's message; never raises, whatever it says."""
        self._advance(now_ms)
        link = self._peers.get_open(peer)
        if link is not None and self._peers.receive(now_ms, link, message):
            self._reception.take(now_ms, link, message)
        return self._finish(now_ms)

    def rejected(self, now_ms: int, peer: str, offence: Offence, detail: str) -> list[Effect]:
        """Take note that a peer's bytes were refused before they became a message."""
        self._advance(now_ms)
        self.offend(now_ms, peer, offence, detail)
        return self._finish(now_ms)

    def submit(self, now_ms: int, token: int, command: Command) -> list[Effect]:
        """Carry out a command. Raises `CommandRejected`; then nothing has changed."""
        self._advance(now_ms)
        match command:
            case Publish() | Renew():
                self._standings.check_speech()
                self._publishing.submit(now_ms, token, command)
            case Serve():
                self._adverts.serve(command)
            case Connect() | Found():
                self._membership.submit(now_ms, command)
            case Leave():
                self._membership.leave()
                self._peers.say_goodbye(command.reason)
            case _:
                assert_never(command)
        self._membership.tick(now_ms)
        return self._finish(now_ms)

    def connected(self, now_ms: int, peer: str, address: str, *, inbound: bool) -> list[Effect]:
        """A connection stands."""
        self._advance(now_ms)
        self._membership.connected(now_ms, peer)
        self._peers.connected(now_ms, peer, address, inbound=inbound)
        return self._finish(now_ms)

    def disconnected(self, now_ms: int, peer: str, reason: str) -> list[Effect]:
        """A connection has ended."""
        self._advance(now_ms)
        self._peers.disconnected(now_ms, peer, reason)
        self._membership.disconnected(now_ms, peer)
        self._overlay.gone(peer)
        return self._finish(now_ms)

    def complete(self, now_ms: int, job: int, outcome: Outcome) -> list[Effect]:
        """A job or a dial has ended."""
        self._advance(now_ms)
        self._outbox.complete(now_ms, job, outcome)
        return self._finish(now_ms)

    def tick(self, now_ms: int) -> list[Effect]:
        """Do what is due. Early or twice is harmless."""
        self._advance(now_ms)
        self._tick(now_ms)
        return self._finish(now_ms)

    @property
    def next_wakeup(self) -> int | None:
        """When `tick` has something to do."""
        finders = self._quiet_deadlines if self._transfer.is_running else self._deadlines
        return find_earliest(finders)

    def _advance(self, now_ms: int) -> None:
        assert not self._transfer.is_over, "a core that is over takes no input"
        assert now_ms >= self._now_ms, f"time went back from {self._now_ms} to {now_ms}"
        self._now_ms = now_ms

    def _tick(self, now_ms: int) -> None:
        for part in (self._peers, self._requests, self._membership, self._overlay, self._transfer):
            part.tick(now_ms)
        # What may let vertices in comes before what tells others of them.
        if not self._transfer.is_running:
            self._publishing.tick(now_ms)
        self._forks.tick(now_ms)
        self._store.expire(now_ms)
        self._dissemination.tick(now_ms)
        self._reconciliation.tick(now_ms)

    def _finish(self, now_ms: int) -> list[Effect]:
        self._wants.flush(now_ms)
        if not self._transfer.is_running:
            self._fetching.tick(now_ms)
            self._publishing.repeat(now_ms)
            self._proposing.tick(now_ms)
        return self._outbox.take()

    # --- what the collaborators ask for and report ----------------------------------------------

    def offend(self, now_ms: int, peer: str, offence: Offence, detail: str) -> None:
        """A peer broke a rule."""
        self._peers.offend(now_ms, peer, offence, detail)

    def charge(self, now_ms: int, peer: str, error: InvalidMessage) -> None:
        """A peer sent a vertex that breaks a rule."""
        self._peers.charge(now_ms, peer, error)

    def compute_digest(self) -> Digest:
        """What this node holds."""
        return self._reconciliation.digest

    def accept_credentials(self, now_ms: int, link: Link, message: Vertices) -> None:
        """Admit the profiles that lead to a peer."""
        self._desk.accept(now_ms, link, message)

    def on_ready(self, now_ms: int, link: Link) -> None:
        """A connection is ready."""
        self._history.on_ready(link.peer)
        self._membership.ready(now_ms, link)
        self._dissemination.add_peer(link.peer)
        self._overlay.ready(now_ms, link)
        self._adverts.on_ready(link.peer)
        self._reconciliation.add_peer(now_ms, link.peer)
        self._publishing.on_ready(now_ms, link.peer)
        self._proposing.on_ready(now_ms, link)

    def on_early(self, now_ms: int, link: Link, message: Checked) -> None:
        """A message that came while its sender's PROOF was verified."""
        self._reception.take(now_ms, link, message)

    def on_lost(self, now_ms: int, link: Link) -> None:
        """A connection that was ready has ended."""
        self._transfer.drop_peer(now_ms, link.peer)
        self._proposing.on_lost(now_ms, link)
        self._overlay.gone(link.peer)
        self._fetching.drop_peer(link.peer)
        self._requests.drop_peer(now_ms, link.peer)
        self._wants.drop_peer(link.peer)
        self._reconciliation.drop_peer(link.peer)
        self._dissemination.drop_peer(now_ms, link.peer)
        self._reception.budget.drop_peer(link.peer)
        self._membership.lost(now_ms)

    def on_admitted(self, now_ms: int, signed: VerifiedVertex, *, made_here: bool) -> None:
        """A vertex is stored."""
        self._reconciliation.changed(now_ms)
        step = self._replica.on_admitted(signed)
        self._history.follow()
        self._forks.on_block(now_ms, step.block, self._replica.ordering.store)
        self._proposing.follow(now_ms, step, made_here=made_here)
        if made_here:
            self._dissemination.push(now_ms, signed)
        else:
            self._dissemination.pass_on(now_ms, signed)
        self._publishing.on_admitted(now_ms, signed, step.lost, made_here=made_here)
        self._forks.on_admitted(signed)
        if signed.vertex.kind == Kind.PROFILE:
            self._on_profile(now_ms, signed)
        self._standings.follow(now_ms)

    def _on_profile(self, now_ms: int, signed: VerifiedVertex) -> None:
        record = self._intake.authors.get(signed.vertex.author)
        assert record is not None, "an admitted profile is in the registry"
        self._membership.learn_member(now_ms, record)
        if is_first_profile(signed.vertex):
            self._wants.release(now_ms, signed.vertex.author)

    def on_fork(self, now_ms: int, fork: Fork) -> None:
        """An author's first fork is stored."""
        self._forks.on_fork(now_ms, fork)

    def on_missing(
        self, now_ms: int, source: str, signed: VerifiedVertex, waiting: Quarantined
    ) -> None:
        """A vertex waits for parents: its sender must hold them."""
        if self._peers.is_ready(source):
            patience_ms = self._settings.timing.get_patience_ms(signed.vertex.lane)
            self._fetching.walk_on(now_ms, source, signed.ref, waiting, patience_ms=patience_ms)

    def _on_unserved(self, now_ms: int, peer: str) -> None:
        """A peer left a GET open."""
        self._overlay.on_withheld(now_ms, peer)
        self._reconciliation.on_unserved(now_ms, peer)

    def on_unknown(self, source: str, signed: VerifiedVertex, author: bytes) -> None:
        """A vertex waits for an author's profile: its sender must hold it."""
        if self._peers.is_ready(source):
            self._wants.add(source, signed, author)

    def summarise(self) -> NodeSummary:
        """The figures of this moment."""
        return self._showing.summarise()

    def view(self) -> NodeView:
        """A picture of this moment."""
        return self._showing.view()
