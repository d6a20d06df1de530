"""Cores joined by a simulated network: real keys, virtual time, nothing left to chance.

    net = CoreNet(4)
    net.start()
    net.run(2_000)                       # virtual milliseconds
    net.hosts[0].publish(b"note")
    assert net.converged

Everything follows from the arguments: same calls, same bytes. `drop` decides which messages are
lost; `cut` and `heal` part the network; `crash` ends a host between two effects.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dag.canonical import encode
from dag.crypto import sign_suite, verify_suite
from dag.errors import InvalidMessage
from dag.genesis import Genesis, Suite, compute_network_id
from dag.types import Kind
from dag.vertex import SignedVertex, compute_signed_message, decode_signed
from meshnode.core.admission import Admission
from meshnode.core.commands import Command, Publish
from meshnode.core.effects import (
    Dial,
    Effect,
    Emit,
    ForgetVertices,
    Hangup,
    LoadStored,
    Penalise,
    Persist,
    Record,
    Restart,
    RunJob,
    Send,
    SendSnapshot,
    SendStored,
    SignProof,
    SignVertex,
    StoreSnapshot,
    StoreVertex,
    Verify,
)
from meshnode.core.events import Committed, Event, OrderResumed
from meshnode.core.inputs import (
    Checks,
    Completed,
    Connected,
    DialEnded,
    Disconnected,
    Input,
    Loaded,
    Outcome,
    Received,
    Rejected,
    Signed,
    Submitted,
    Ticked,
)
from meshnode.core.messages import Items, Message, Push, encode_message
from meshnode.core.node import Node
from meshnode.core.recovered import Recovered, StoredSnapshot
from meshnode.core.settings import Settings
from meshnode.core.transport_id import compute_transport_id
from simulations.bulk import cut_section
from tests.support.dag_builder import START_MS, Person, make_genesis, make_person

FRAME_VERTICES_BYTES = 48_000
Drop = Callable[[str, str, Message], bool]

_message_decoder = msgspec.msgpack.Decoder(Message)


class Crashed(Exception):
    """A host was killed between two effects."""


@dataclass(eq=False)
class Host:
    """A core with the little shell around it that the driver needs."""

    net: CoreNet
    person: Person
    settings: Settings
    seed: bytes
    node: Node | None = None
    admission: Admission | None = None
    journal: dict[bytes, SignedVertex] = field(default_factory=dict)
    values: dict[str, bytes] = field(default_factory=dict)
    snapshots: list[StoredSnapshot] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    penalties: list[Penalise] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    trace: Any = field(default_factory=hashlib.sha256)
    sent: dict[str, int] = field(default_factory=dict)
    sent_bytes: int = 0
    wakeup_ms: int | None = None
    life: int = 0
    crash_after: int | None = None
    persists: int = 0

    @property
    def name(self) -> str:
        return self.settings.transport

    @property
    def core(self) -> Node:
        assert self.node is not None, "the host is down"
        return self.node

    def find(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def applied(self) -> int:
        """The last commit the application was told of, or was told to go on from."""
        told = [event.commit.index for event in self.find(Committed)]
        resumed = [event.index for event in self.find(OrderResumed)]
        return max((*told, *resumed), default=0)

    def start(self) -> None:
        self.life += 1
        seed = hashlib.sha256(self.seed + bytes([self.life])).digest()
        recovered = Recovered(
            vertices=tuple(self.journal.values()),
            values=dict(self.values),
            delivered=self.applied,
            snapshots=tuple(self.snapshots),
        )
        self.node = Node(self.settings, seed, recovered)
        self.admission = Admission(
            compute_network_id(self.settings.genesis),
            self.settings.genesis.suite,
            self.node.authors,
            self.node.is_stored,
        )
        self._run(lambda node: node.start(self.net.now_ms))

    def crash(self) -> None:
        self.node = None
        self.wakeup_ms = None
        self.net.drop_links(self.name)

    def handle(self, entry: Input) -> None:
        if self.node is not None:
            self.inputs.append(entry)
            self._run(lambda node: node.handle(entry))

    def submit(self, command: Command, token: int = 1) -> None:
        self.handle(Submitted(self.net.now_ms, token, command))

    def publish(self, body: bytes = b"note", *, kind: int = Kind.NOTE, token: int = 1) -> None:
        self.submit(Publish(kind, body), token)

    def receive(self, peer: str, frame: bytes) -> None:
        if self.admission is None or self.node is None:
            return
        try:
            message = self.admission.check(frame)
        except InvalidMessage as error:
            self.handle(Rejected(self.net.now_ms, peer, error.offence, error.message))
        else:
            self.handle(Received(self.net.now_ms, peer, message))

    def _run(self, step: Callable[[Node], list[Effect]]) -> None:
        node = self.core
        effects = step(node)
        self.trace.update(msgspec.msgpack.encode(effects))
        try:
            for effect in effects:
                self._apply(effect)
        except Crashed:
            self.crash()
            return
        if node.is_over:
            self.start()
        else:
            self.wakeup_ms = node.next_wakeup

    def _apply(self, effect: Effect) -> None:
        match effect:
            case Persist():
                self._persist(effect.record)
            case Emit():
                self.events.append(effect.event)
            case Send():
                frame = encode_message(effect.message)
                for peer in effect.to:
                    self._send(peer, frame, effect.message)
            case SendSnapshot():
                for piece in cut_section(effect, self._read_section(effect)):
                    self._send(effect.to, encode_message(piece), piece)
            case SendStored():
                for message in self._pack(effect):
                    self._send(effect.to, encode_message(message), message)
            case Penalise():
                self.penalties.append(effect)
            case Hangup():
                self.net.disconnect(self.name, effect.peer, effect.reason)
            case Dial():
                self.net.dial(self, effect)
            case RunJob():
                self._start_job(effect)
            case Restart():
                pass  # when all effects are carried out

    def _persist(self, record: Record) -> None:
        if self.crash_after is not None and self.persists >= self.crash_after:
            self.crash_after = None
            raise Crashed
        self.persists += 1
        if isinstance(record, StoreVertex):
            assert record.id not in self.journal, "a vertex is stored once"
            self.journal[record.id] = decode_signed(record.wire)
        elif isinstance(record, ForgetVertices):
            for vertex_id in record.ids:
                del self.journal[vertex_id]
        elif isinstance(record, StoreSnapshot):
            self.snapshots = [*self.snapshots, record.snapshot][-record.kept :]
        elif record.value:
            self.values[record.key] = record.value
        else:
            self.values.pop(record.key, None)

    def _send(self, peer: str, frame: bytes, message: Message) -> None:
        name = type(message).__name__
        self.sent[name] = self.sent.get(name, 0) + 1
        self.sent_bytes += len(frame)
        self.net.send(self.name, peer, frame, message)

    def _read_section(self, effect: SendSnapshot) -> bytes:
        for snapshot in self.snapshots:
            if snapshot.index == effect.index:
                return (snapshot.chain, *snapshot.parts)[effect.section]
        return b""

    def _pack(self, effect: SendStored) -> Iterable[Message]:
        batches: list[list[bytes]] = [[]]
        size = 0
        for vertex_id in effect.ids:
            if vertex_id not in self.journal:
                continue
            wire = self.journal[vertex_id].wire
            if batches[-1] and size + len(wire) > FRAME_VERTICES_BYTES:
                batches.append([])
                size = 0
            batches[-1].append(wire)
            size += len(wire)
        for position, batch in enumerate(batches):
            if effect.request == 0:
                yield Push(tuple(batch))
            else:
                last = position == len(batches) - 1
                missing = effect.missing if last else ()
                pruned_commit = effect.pruned_commit if missing else 0
                yield Items(effect.request, tuple(batch), missing, pruned_commit, last)

    def _start_job(self, effect: RunJob) -> None:
        outcome = self._work(effect)
        life, now_ms = self.life, self.net.now_ms

        def finish() -> None:
            if self.life == life:
                self.handle(Completed(self.net.now_ms, effect.job, outcome))

        self.net.at(now_ms + self.net.job_ms, finish)

    def _work(self, effect: RunJob) -> Outcome:
        suite = self.settings.genesis.suite
        work = effect.work
        match work:
            case SignVertex():
                message = compute_signed_message(work.id)
                return Signed(sign_suite(suite, self.person.secrets, message))
            case SignProof():
                return Signed(sign_suite(suite, self.person.secrets, work.message))
            case Verify():
                return Checks(
                    tuple(
                        verify_suite(suite, item.keys, item.message, item.signature)
                        for item in work.items
                    )
                )
            case LoadStored():
                return Loaded(tuple(self.journal[i] for i in work.ids if i in self.journal))


def make_addressed_genesis(people: Sequence[Person], suite: Suite = "ed25519") -> Genesis:
    """A genesis whose founders can be dialled."""
    founders = tuple(person.profile(addresses=(f"/sim/{person.name}",)) for person in people)
    return msgspec.structs.replace(make_genesis(people, suite=suite), founders=founders)


class CoreNet:
    """Hosts, links and virtual time."""

    def __init__(
        self,
        count: int = 4,
        *,
        suite: Suite = "ed25519",
        latency_ms: int = 5,
        job_ms: int = 1,
        genesis: Genesis | None = None,
        founders: int | None = None,
        drop: Drop | None = None,
        validates: bool = False,
    ) -> None:
        self.now_ms = START_MS
        self.latency_ms = latency_ms
        self.job_ms = job_ms
        self.drop = drop
        people = [make_person(number, suite) for number in range(count)]
        self.genesis = genesis or make_addressed_genesis(people[: founders or count], suite)
        self.network = compute_network_id(self.genesis)
        self.hosts: list[Host] = []
        self._by_name: dict[str, Host] = {}
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._steps = 0
        self._links: dict[tuple[str, str], int] = {}
        self._cut: dict[tuple[str, str], None] = {}
        for person in people:
            self.add(person, validates=validates)

    def add(self, person: Person, **changes: Any) -> Host:
        transport = compute_transport_id(person.keys.libp2p_key)
        addresses = (f"/sim/{person.name}",)
        fields: dict[str, Any] = {
            "genesis": self.genesis,
            "author": person.author,
            "transport": transport,
            "addresses": addresses,
            "profile": encode(person.profile(addresses=addresses)),
        }
        host = Host(self, person, Settings(**{**fields, **changes}), person.author)
        self.hosts.append(host)
        self._by_name[transport] = host
        return host

    # --- time -----------------------------------------------------------------------------------

    def at(self, due_ms: int, action: Callable[[], None]) -> None:
        self._steps += 1
        heapq.heappush(self._queue, (due_ms, self._steps, action))

    def run(self, duration_ms: int) -> None:
        """Let virtual time pass."""
        end_ms = self.now_ms + duration_ms
        while (due_ms := self._next_due()) is not None and due_ms <= end_ms:
            self.now_ms = max(self.now_ms, due_ms)
            if self._queue and self._queue[0][0] <= self.now_ms:
                heapq.heappop(self._queue)[2]()
                continue
            for host in self.hosts:
                if host.wakeup_ms is not None and host.wakeup_ms <= self.now_ms:
                    host.handle(Ticked(self.now_ms))
        self.now_ms = end_ms

    def run_until(self, condition: Callable[[], bool], limit_ms: int = 60_000) -> int:
        """Let time pass until a condition holds; answers how long it took."""
        start_ms = self.now_ms
        while not condition():
            assert self.now_ms - start_ms < limit_ms, "the condition never held"
            self.run(10)
        return self.now_ms - start_ms

    def _next_due(self) -> int | None:
        due = [host.wakeup_ms for host in self.hosts if host.wakeup_ms is not None]
        if self._queue:
            due.append(self._queue[0][0])
        return min(due, default=None)

    # --- network --------------------------------------------------------------------------------

    def start(self, hosts: Sequence[Host] | None = None) -> None:
        for host in self.hosts if hosts is None else hosts:
            host.start()

    def is_cut(self, one: str, other: str) -> bool:
        return (one, other) in self._cut

    def cut(self, left: Iterable[Host], right: Iterable[Host]) -> None:
        """Part two groups: their connections end, and new ones fail."""
        others = list(right)
        for one in left:
            for other in others:
                self._cut[one.name, other.name] = self._cut[other.name, one.name] = None
                self.disconnect(one.name, other.name, "cut")

    def heal(self) -> None:
        self._cut.clear()

    def dial(self, host: Host, effect: Dial) -> None:
        life = host.life

        def finish() -> None:
            if host.life != life or host.node is None:
                return
            target = self._by_name.get(effect.peer)
            reachable = (
                target is not None
                and target.node is not None
                and bool(set(effect.addresses) & set(target.settings.addresses))
                and not self.is_cut(host.name, effect.peer)
            )
            if reachable:
                self.connect(host.name, effect.peer)
            error = "" if reachable else "refused"
            host.handle(Completed(self.now_ms, effect.job, DialEnded(error)))

        self.at(self.now_ms + 2 * self.latency_ms, finish)

    def connect(self, dialler: str, target: str) -> None:
        if (dialler, target) in self._links:
            return
        self._steps += 1
        self._links[dialler, target] = self._links[target, dialler] = self._steps
        for one, other, inbound in ((target, dialler, True), (dialler, target, False)):
            host = self._by_name.get(one)
            if host is not None and (one, other) in self._links:
                host.handle(Connected(self.now_ms, other, inbound, f"/sim/{other}"))

    def disconnect(self, one: str, other: str, reason: str) -> None:
        if self._links.pop((one, other), None) is None:
            return
        del self._links[other, one]
        for name, peer in ((one, other), (other, one)):
            self._tell_ended(name, peer, reason)

    def _tell_ended(self, name: str, peer: str, reason: str) -> None:
        host = self._by_name.get(name)
        if host is None:
            return
        life = host.life

        def arrive() -> None:
            if host.life == life:
                host.handle(Disconnected(self.now_ms, peer, reason))

        self.at(self.now_ms, arrive)

    def drop_links(self, name: str) -> None:
        for one, other in list(self._links):
            if one == name:
                self.disconnect(one, other, "the process ended")

    def send(self, source: str, target: str, frame: bytes, message: Message) -> None:
        link = self._links.get((source, target))
        if link is None or (self.drop is not None and self.drop(source, target, message)):
            return

        def arrive() -> None:
            if self._links.get((source, target)) == link:
                self._by_name[target].receive(source, frame)

        self.at(self.now_ms + self.latency_ms, arrive)

    # --- what holds -----------------------------------------------------------------------------

    @property
    def up(self) -> list[Host]:
        return [host for host in self.hosts if host.node is not None]

    @property
    def meshed(self) -> bool:
        """Every running host is ready with every other."""
        return all(len(host.core.view().peers) == len(self.up) - 1 for host in self.up)

    @property
    def converged(self) -> bool:
        """Every running host holds the same vertices."""
        views = [host.core.view() for host in self.up]
        return len({(view.heads_digest, view.vertices) for view in views}) == 1

    def traces(self) -> list[str]:
        return [host.trace.hexdigest() for host in self.hosts]
