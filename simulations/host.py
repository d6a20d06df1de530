"""A host: the real core with a small shell around it that lives in virtual time.

It does what the real shell does: admission before the core, inputs in batches, `Persist` as a
barrier that waits for the disk, jobs with a receipt each. What it costs is virtual (`Costs`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, assert_never

from dag.crypto import sign_suite
from dag.errors import InvalidMessage
from dag.genesis import compute_network_id
from dag.types import Kind
from dag.vertex import compute_signed_message, decode_signed
from meshnode.core.commands import Command, Publish
from meshnode.core.effects import (
    Dial,
    Effect,
    Emit,
    Hangup,
    LoadStored,
    Penalise,
    Persist,
    Restart,
    RunJob,
    Send,
    SendSnapshot,
    SendStored,
    SignProof,
    SignVertex,
    StoreVertex,
    Verify,
)
from meshnode.core.events import Committed, Event, OrderResumed, PublishFailed
from meshnode.core.inputs import (
    Checks,
    Completed,
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
from meshnode.core.node import Node
from meshnode.errors import CommandRejected
from simulations.bulk import CHANNEL_BULK, cut_section, pack_stored
from simulations.clocks import Clock
from simulations.costs import Costs
from simulations.disk import NO_PAST, Disk, Past
from simulations.fidelity import ObjectAdmission, make_admission, verify
from simulations.identities import START_MS
from simulations.kernel import NS_PER_MS, Timer
from simulations.network import ARRIVAL
from simulations.processor import Processor

if TYPE_CHECKING:
    from dag.genesis import Suite
    from dag.keys import PublicKeys
    from meshnode.core.admission import Admission
    from meshnode.core.messages import Message
    from meshnode.core.recovered import Recovered
    from meshnode.core.settings import Settings
    from meshnode.core.views import NodeSummary, NodeView
    from simulations.identities import Identity
    from simulations.links import Link
    from simulations.world import World

TIMER: Final = 2
SERVED: Final = 4
SYNCED: Final = 5
JOB: Final = 6

BATCH_MAX: Final = 64
FACTS_MAX: Final = 1_000

Make = Callable[[int], Input]
"""Makes an input at the time, in local milliseconds, at which the core takes it."""
Mutator = Callable[["Host", str, "Message"], Sequence["Message | bytes"]]
"""What a lying host sends instead of a message to a peer: nothing, others, or any bytes."""


class Host:
    """One node of a simulated mesh."""

    def __init__(
        self,
        world: World,
        index: int,
        identity: Identity,
        settings: Settings,
        costs: Costs,
        *,
        past: Past = NO_PAST,
    ) -> None:
        self.world = world
        self.index = index
        self.identity = identity
        self.settings = settings
        self.costs = costs
        self.name = settings.transport
        self.clock = Clock()
        self.disk = Disk(past)
        self.node: Node | None = None
        self.links: dict[str, Link] = {}
        self.heard: dict[str, Link] = {}
        """The connections its core knows of: what it says to one never reaches the next one."""
        self.facts: deque[Event] = deque(maxlen=FACTS_MAX)
        """What the application was told lately."""
        self.applied = 0
        """The last commit its application has applied, which keeps books of its own."""
        self.penalties: dict[str, int] = {}
        """Offences this host has counted against others, by name."""
        self.mutator: Mutator | None = None
        self.life = 0
        self.crash_after: int | None = None
        """Die by itself once so many more effects have been applied."""
        self.slowness = 1
        """Factor on every cost."""
        self.pool = Processor(world.kernel, index, JOB)
        self.connect_at_start: tuple[Command, ...] = ()
        # ML-DSA signatures are randomised; where they are used, the digest rests on sizes.
        self._is_reproducible = self.suite == "ed25519"
        self._timer = Timer(world.kernel, index, TIMER)
        self._inbox: deque[tuple[int, Make]] = deque()
        self._held: list[tuple[int, Any]] = []
        self._admission: Admission | None = None
        self._is_paused = False
        self._is_working = False
        self._last_ms = 0
        self._tokens = 0

    # --- looking inside -------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether the process runs, paused or not."""
        return self.node is not None

    @property
    def is_paused(self) -> bool:
        """Whether it stands still."""
        return self._is_paused

    @property
    def core(self) -> Node:
        """The running core."""
        assert self.node is not None, "the host is down"
        return self.node

    def view(self) -> NodeView:
        """What the core shows of itself."""
        return self.core.view()

    def summarise(self) -> NodeSummary:
        """The core's figures, at next to no cost."""
        return self.core.summarise()

    @property
    def queued(self) -> int:
        """Inputs that wait."""
        return len(self._inbox)

    @property
    def suite(self) -> Suite:
        """The network's signatures."""
        return self.settings.genesis.suite

    def read_clock_ms(self) -> int:
        """The host's own time, which never goes back while it runs."""
        local_ns = self.clock.read(self.world.kernel.now_ns)
        self._last_ms = max(self._last_ms, START_MS + local_ns // NS_PER_MS)
        return self._last_ms

    # --- what a world does with it --------------------------------------------------------------

    def start(self) -> None:
        """Start, or start again from what the disk holds."""
        assert self.node is None, "the host is up"
        self.life += 1
        self._last_ms = 0
        seed = self.world.streams.derive(f"host {self.index} life {self.life}")
        recovered = replace(self.disk.recover(), delivered=self.applied)
        self.node = node = self._make_core(seed, recovered)
        self._admission = make_admission(
            self.world.fidelity,
            compute_network_id(self.settings.genesis),
            self.suite,
            node.authors,
            node.is_stored,
            is_spent=node.is_spent,
        )
        for watch in self.world.observers.on_started:
            watch(self)
        self._is_working = True
        effects = node.start(self.read_clock_ms())
        for watch in self.world.observers.on_effects:
            watch(self, effects)
        self._apply(effects)
        for command in self.connect_at_start:
            self.submit(command)

    def _make_core(self, seed: bytes, recovered: Recovered) -> Node:
        """A core that takes up where the disk ended."""
        return Node(self.settings, seed, recovered)

    def crash(self) -> None:
        """Lose power: memory is gone, and whatever the disk had not synced."""
        if self.node is None:
            return
        self.node = self._admission = None
        self.life += 1
        self._timer.cancel()
        self._inbox.clear()
        self.heard.clear()
        self._held.clear()
        self._is_paused = self._is_working = False
        self.crash_after = None
        self.disk.crash(self.world.streams.get(f"disk {self.index}"))
        self.world.links.drop(self)
        for watch in self.world.observers.on_crashed:
            watch(self)

    def pause(self) -> None:
        """Stand still, as a stopped process: connections stay, nothing is answered."""
        self._is_paused = self.is_up

    def resume(self) -> None:
        """Go on; time has passed all at once."""
        if self._is_paused:
            self._is_paused = False
            held, self._held = self._held, []
            for kind, payload in held:
                self.handle(kind, payload)
            self._pump()

    def publish(self, body: bytes = b"note", *, kind: int = Kind.NOTE) -> int:
        """Author a vertex; answers the token that its `Published` will carry."""
        return self.submit(Publish(kind, body))

    def submit(self, command: Command) -> int:
        """Hand a command to the core; answers its token."""
        self._tokens = token = self._tokens + 1
        self.take(lambda now_ms: Submitted(now_ms, token, command))
        return token

    def take(self, make: Make, cost_ns: int = 0) -> None:
        """Queue an input."""
        if self.node is not None:
            self._inbox.append((cost_ns, make))
            if not (self._is_working or self._is_paused):
                self._pump()

    # --- events ---------------------------------------------------------------------------------

    def handle(self, kind: int, payload: Any) -> None:
        """Take an event of the kernel."""
        if kind == ARRIVAL:
            self._arrive(payload)
        elif kind == JOB:
            self.complete(*self.pool.finish(payload))
        elif self._is_paused:
            self._held.append((kind, payload))
        elif kind == TIMER:
            if self._timer.fires(payload[1]):
                self.take(Ticked)
        elif payload[0] == self.life:
            if kind == SERVED:
                self._serve(payload[1])
            else:
                assert kind == SYNCED, f"unknown kind of event {kind}"
                self.disk.sync()
                self._release(payload[1])

    def _arrive(self, payload: Any) -> None:
        source, (link, end, message, frame) = payload
        taken = self.is_up and link.takes(end)
        self.world.network.land(taken=taken)
        if not taken:
            return
        for watch in self.world.observers.on_delivered:
            watch(self, source, frame)
        cost_ns = self.costs.input_ns + self.costs.kib_ns * len(frame) // 1_024
        self.take(partial(self._admit, link.hosts[1 - end].name, message, frame), cost_ns)

    def _admit(self, peer: str, message: Message | None, frame: bytes, now_ms: int) -> Input:
        admission = self._admission
        assert admission is not None, "a host that is up has a door"
        try:
            if message is not None and isinstance(admission, ObjectAdmission):
                return Received(now_ms, peer, admission.admit(message, frame, peer))
            return Received(now_ms, peer, admission.check(frame, peer))
        except InvalidMessage as error:
            return Rejected(now_ms, peer, error.offence, error.message)

    def complete(self, life: int, job: int, outcome: Outcome) -> None:
        """Tell the core of a life how its job ended."""
        if life == self.life:
            self.take(partial(self._complete, life, job, outcome))

    def _complete(self, life: int, job: int, outcome: Outcome, now_ms: int) -> Input:
        """A job's outcome for the core that asked for it; one that began anew since only wakes up."""
        return Completed(now_ms, job, outcome) if life == self.life else Ticked(now_ms)

    # --- the core -------------------------------------------------------------------------------

    def _pump(self) -> None:
        inbox = self._inbox
        while inbox and self.node is not None and not (self._is_working or self._is_paused):
            batch: list[tuple[int, Make]] = []
            cost_ns = 0
            while inbox and len(batch) < BATCH_MAX:
                entry = inbox.popleft()
                batch.append(entry)
                cost_ns += entry[0]
            cost_ns *= self.slowness
            self._is_working = True
            if cost_ns:
                self._later(cost_ns, SERVED, batch)
            else:
                self._serve(batch)

    def _later(self, delay_ns: int, kind: int, work: object) -> None:
        kernel = self.world.kernel
        kernel.schedule(kernel.now_ns + delay_ns, self.index, kind, (self.life, work))

    def _serve(self, batch: Sequence[tuple[int, Make]]) -> None:
        now_ms = self.read_clock_ms()
        observers = self.world.observers
        node = self.core
        effects: list[Effect] = []
        for number, (_, make) in enumerate(batch, 1):
            entry = make(now_ms)
            for watch in observers.on_input:
                watch(self, entry)
            try:
                answer = node.handle(entry)
            except CommandRejected as error:
                assert isinstance(entry, Submitted), "only commands are refused"
                answer = [Emit(PublishFailed(entry.token, str(error)))]
            for watch in observers.on_effects:
                watch(self, answer)
            effects += answer
            if isinstance(entry, Disconnected) or node.is_over:
                # What was said to the ended connection goes out before its successor is known.
                self._inbox.extendleft((0, make) for _, make in reversed(batch[number:]))
                break
        self._apply(effects)

    def _apply(self, effects: Sequence[Effect]) -> None:
        records = [effect.record for effect in effects if isinstance(effect, Persist)]
        if not records:
            self._release(effects)
            return
        barrier = next(n for n, effect in enumerate(effects) if isinstance(effect, Persist))
        if not self._carry_out(effects[:barrier]):
            return
        self.disk.append(records)
        if self.costs.sync_ns:
            self._later(self.costs.sync_ns * self.slowness, SYNCED, effects[barrier:])
        else:
            self.disk.sync()
            self._release(effects[barrier:])

    def _release(self, effects: Sequence[Effect]) -> None:
        if effects and not self._carry_out(effects):
            return
        self._is_working = False
        if self.core.is_over:
            self._begin_anew()
            return
        wakeup_ms = self.core.next_wakeup
        if wakeup_ms is None:
            self._timer.cancel()
        else:
            self._timer.set(self._find_ns(wakeup_ms))
        self._pump()

    def _begin_anew(self) -> None:
        """Begin a new core from the disk; connections that came meanwhile are for that one."""
        self._timer.cancel()
        self.node = None
        self.start()

    def _find_ns(self, due_ms: int) -> int:
        """When the own clock shows a time; a deadline that has passed comes a millisecond later."""
        due_ms = max(due_ms, self._last_ms + 1)
        return self.clock.find((due_ms - START_MS) * NS_PER_MS, self.world.kernel.now_ns)

    # --- effects --------------------------------------------------------------------------------

    def _carry_out(self, effects: Sequence[Effect]) -> bool:
        """Apply effects; False if the host died meanwhile."""
        for effect in effects:
            if self.crash_after is not None:
                if self.crash_after <= 0:
                    self.crash()
                    return False
                self.crash_after -= 1
            self._carry_out_one(effect)
        return True

    def _carry_out_one(self, effect: Effect) -> None:
        match effect:
            case Send():
                for peer in effect.to:
                    self._send(peer, effect.channel, effect.message)
            case SendStored():
                for message in pack_stored(effect, self.disk.read):
                    self._send(effect.to, CHANNEL_BULK, message)
            case SendSnapshot():
                section = self.disk.read_section(effect.index, effect.section)
                for piece in cut_section(effect, section):
                    self._send(effect.to, CHANNEL_BULK, piece)
            case Persist():
                self._note(effect.record.id if isinstance(effect.record, StoreVertex) else b"value")
            case Emit():
                self._tell(effect.event)
            case RunJob():
                outcome, cost_ns = self._work(effect)
                self.pool.slowness = self.slowness
                self.pool.submit(cost_ns, (self.life, effect.job, outcome))
            case Dial():
                self.world.links.dial(self, effect)
            case Hangup():
                if self.heard.get(effect.peer) is self.links.get(effect.peer):
                    self.world.links.hang_up(self, effect.peer, effect.reason)
            case Penalise():
                name = effect.offence.value
                self.penalties[name] = self.penalties.get(name, 0) + 1
            case Restart():
                pass  # when all effects are carried out
            case _:
                assert_never(effect)

    def _tell(self, event: Event) -> None:
        self._note(type(event).__name__.encode())
        self.facts.append(event)
        if isinstance(event, Committed):
            self.applied = event.commit.index
        elif isinstance(event, OrderResumed):
            self.applied = event.index
        for watch in self.world.observers.on_fact:
            watch(self, event)

    def _note(self, data: bytes) -> None:
        if self.world.kernel.traced:
            self.world.kernel.note(data)

    def _send(self, peer: str, channel: int, message: Message) -> None:
        if self.mutator is None:
            self._send_one(peer, channel, message)
        else:
            for one in self.mutator(self, peer, message):
                self._send_one(peer, channel, one)

    def _send_one(self, peer: str, channel: int, message: Message | bytes) -> None:
        if isinstance(message, bytes):
            self.world.links.send(self, peer, channel, None, message)
            return
        frame = self.world.encode(message)
        target = self.world.links.send(self, peer, channel, message, frame)
        self._note(frame if self._is_reproducible else len(frame).to_bytes(4, "big"))
        if target is not None:
            for watch in self.world.observers.on_sent:
                watch(self, target, message, len(frame))

    def _work(self, effect: RunJob) -> tuple[Outcome, int]:
        work, costs, secrets = effect.work, self.costs, self.identity.secrets
        match work:
            case SignVertex():
                message = compute_signed_message(work.id)
                return Signed(sign_suite(self.suite, secrets, message)), costs.sign_ns
            case SignProof():
                return Signed(sign_suite(self.suite, secrets, work.message)), costs.sign_ns
            case Verify():
                verdicts = tuple(
                    self._verify(item.keys, item.message, item.signature) for item in work.items
                )
                return Checks(verdicts), costs.verify_ns * len(verdicts)
            case LoadStored():
                wires = [self.disk.read(item) for item in work.ids]
                found = tuple(decode_signed(wire) for wire in wires if wire is not None)
                return Loaded(found), costs.load_ns
            case _:
                assert_never(work)

    def _verify(self, keys: PublicKeys, message: bytes, signature: bytes) -> bool:
        return verify(self.world.fidelity, self.suite, keys, message, signature)
