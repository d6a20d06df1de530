"""The real core under Maelstrom: effects are carried out at once, over `Connections`.

All nodes of a test derive every identity, and so one genesis, from the list of names that each is
told: nobody has to ask anybody. The keys are as public as the names; they serve tests only.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, assert_never

from dag.canonical import encode
from dag.crypto import sign_suite
from dag.errors import InvalidMessage
from dag.genesis import compute_network_id
from dag.types import Kind
from dag.vertex import compute_signed_message, decode_signed
from meshnode.core.commands import Publish
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
    Verify,
)
from meshnode.core.inputs import (
    Checks,
    Completed,
    Input,
    Loaded,
    Outcome,
    Received,
    Rejected,
    Signed,
    Submitted,
    Ticked,
)
from meshnode.core.messages import encode_message
from meshnode.core.node import Node
from meshnode.core.settings import Settings, Timing
from simulations.bulk import cut_section, pack_stored
from simulations.disk import Disk
from simulations.fidelity import Fidelity, make_admission, verify
from simulations.identities import Identity, make_genesis, make_identity
from simulations.maelstrom.connections import Connections, News

if TYPE_CHECKING:
    from dag.genesis import Suite
    from meshnode.core.events import Event
    from meshnode.core.messages import Message
    from meshnode.core.views import NodeView
    from simulations.maelstrom.protocol import Packet

SUITE: Final[Suite] = "ed25519"
TIMING: Final = Timing(dial_first_ms=500, dial_most_ms=2_000)
"""Partitions of a test last seconds: whoever was cut off is tried again soon after."""


def derive_identity(name: str) -> Identity:
    """The identity that every node derives for a name."""
    master = hashlib.sha256(b"meshnode under maelstrom: " + name.encode()).digest()
    return make_identity(master, name, SUITE)


class MeshNode:
    """One core, its disk in memory and its connections; sans I/O, as the core itself."""

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        *,
        now_ms: int,
        seed: bytes,
        fidelity: Fidelity = "bytes",
    ) -> None:
        """Start a node of a network that all the names found together."""
        identities = {each: derive_identity(each) for each in names}
        self._identity = identities.pop(name)
        self._fidelity: Fidelity = fidelity
        genesis = make_genesis([derive_identity(each) for each in names], SUITE)
        settings = Settings(
            genesis=genesis,
            author=self._identity.author,
            transport=self._identity.transport,
            addresses=self._identity.addresses,
            profile=encode(self._identity.profile),
            agent="maelstrom",
            timing=TIMING,
        )
        self._disk = Disk()
        self._connections = Connections(identities)
        self._facts: list[Event] = []
        self._inbox: deque[Input] = deque()
        self._node = Node(settings, seed, self._disk.recover())
        self._admission = make_admission(
            fidelity, compute_network_id(genesis), SUITE, self._node.authors, self._node.is_stored
        )
        self._apply(now_ms, self._node.start(now_ms))
        self._settle(now_ms)

    # --- what the owner does --------------------------------------------------------------------

    def publish(self, now_ms: int, token: int, body: bytes) -> None:
        """Author a note; ends in `Published` or `PublishFailed`. Raises `CommandRejected`."""
        self._apply(now_ms, self._node.handle(Submitted(now_ms, token, Publish(Kind.NOTE, body))))
        self._settle(now_ms)

    def receive(self, now_ms: int, name: str, packet: Packet) -> None:
        """Take a packet of another node."""
        self._connections.receive(now_ms, name, packet)
        self._settle(now_ms)

    def tick(self, now_ms: int) -> None:
        """Do what is due. Early or twice is harmless."""
        self._connections.tick(now_ms)
        self._inbox.append(Ticked(now_ms))
        self._settle(now_ms)

    @property
    def next_wakeup(self) -> int | None:
        """When `tick` has something to do."""
        deadlines = (self._node.next_wakeup, self._connections.next_deadline)
        return min((due_ms for due_ms in deadlines if due_ms is not None), default=None)

    def take_facts(self) -> list[Event]:
        """What the core has told, each after what it rests on was stored."""
        facts, self._facts = self._facts, []
        return facts

    def take_packets(self, now_ms: int) -> list[tuple[str, Packet]]:
        """What is to be sent, and to whom."""
        return self._connections.take_packets(now_ms)

    def view(self) -> NodeView:
        """What the core shows of itself."""
        return self._node.view()

    # --- the core -------------------------------------------------------------------------------

    def _settle(self, now_ms: int) -> None:
        """Let the core take inputs until no effect leads to another."""
        while True:
            self._inbox.extend(
                self._admit(now_ms, news) for news in self._connections.take_news(now_ms)
            )
            if not self._inbox:
                return
            self._apply(now_ms, self._node.handle(self._inbox.popleft()))

    def _admit(self, now_ms: int, news: News) -> Input:
        if not isinstance(news, tuple):
            return news
        peer, frame = news
        try:
            return Received(now_ms, peer, self._admission.check(frame))
        except InvalidMessage as error:
            return Rejected(now_ms, peer, error.offence, error.message)

    def _apply(self, now_ms: int, effects: Sequence[Effect]) -> None:
        for effect in effects:
            self._carry_out(now_ms, effect)

    def _carry_out(self, now_ms: int, effect: Effect) -> None:
        match effect:
            case Send():
                self._send(now_ms, effect.to, effect.message)
            case SendStored():
                for message in pack_stored(effect, self._disk.read):
                    self._send(now_ms, (effect.to,), message)
            case SendSnapshot():
                section = self._disk.read_section(effect.index, effect.section)
                for piece in cut_section(effect, section):
                    self._send(now_ms, (effect.to,), piece)
            case Persist():
                self._disk.append((effect.record,))
                self._disk.sync()
            case Emit():
                self._facts.append(effect.event)
            case RunJob():
                self._inbox.append(Completed(now_ms, effect.job, self._work(effect)))
            case Dial():
                self._connections.dial(now_ms, effect)
            case Hangup():
                self._connections.hang_up(now_ms, effect.peer, effect.reason)
            case Penalise():
                pass  # the core has already drawn its conclusions
            case Restart():
                # Nobody validates here, so there is no checkpoint to begin anew from.
                raise AssertionError(effect.reason)
            case _:
                assert_never(effect)

    def _send(self, now_ms: int, peers: Sequence[str], message: Message) -> None:
        frame = encode_message(message)
        for peer in peers:
            self._connections.send(now_ms, peer, frame)

    def _work(self, effect: RunJob) -> Outcome:
        work, secrets = effect.work, self._identity.secrets
        match work:
            case SignVertex():
                return Signed(sign_suite(SUITE, secrets, compute_signed_message(work.id)))
            case SignProof():
                return Signed(sign_suite(SUITE, secrets, work.message))
            case Verify():
                return Checks(
                    tuple(
                        verify(self._fidelity, SUITE, item.keys, item.message, item.signature)
                        for item in work.items
                    )
                )
            case LoadStored():
                wires = [self._disk.read(item) for item in work.ids]
                return Loaded(tuple(decode_signed(wire) for wire in wires if wire is not None))
            case _:
                assert_never(work)
