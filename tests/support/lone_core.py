"""One core, and peers that are played by the test, message by message.

lone = LoneCore()                  # a founder; a second founder plays the peers
peer = lone.greet()                # a ready peer
effects = lone.receive(peer, Ping(1))
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dag.canonical import encode
from dag.crypto import sign_suite, verify_suite
from dag.errors import Offence
from dag.genesis import Genesis, compute_network_id
from dag.identity import VerifiedVertex
from dag.vertex import SignedVertex, compute_signed_message, decode_signed
from meshnode.core.commands import Command, Publish
from meshnode.core.effects import (
    Effect,
    Emit,
    Hangup,
    LoadStored,
    Persist,
    RunJob,
    Send,
    SignProof,
    SignVertex,
    StoreValue,
    StoreVertex,
    Verify,
)
from meshnode.core.inputs import (
    Candidate,
    Checks,
    Completed,
    Connected,
    Disconnected,
    Input,
    Loaded,
    Outcome,
    Received,
    Rejected,
    Signed,
    Standing,
    Submitted,
    Ticked,
    Vertices,
)
from meshnode.core.messages import GetLast, Hello, Proof, compute_proof_message
from meshnode.core.node import Node
from meshnode.core.recovered import Recovered
from meshnode.core.settings import Limits, Settings
from meshnode.core.transport_id import compute_transport_id
from meshnode.errors import CommandRejected
from tests.support.dag_builder import START_MS, Person, make_genesis, make_person

NONCE = bytes(range(32))


class LoneCore:
    """A core under test, with the jobs done at once unless asked otherwise."""

    def __init__(
        self,
        *,
        genesis: Genesis | None = None,
        seed: int = 0,
        inviter: bytes = b"",
        credentials: tuple[bytes, ...] = (),
        **limits: int,
    ) -> None:
        self.person = make_person(0)
        self.partner = make_person(1)
        self.genesis = genesis or make_genesis([self.person, self.partner])
        self.network = compute_network_id(self.genesis)
        self.now_ms = START_MS
        self.settings = Settings(
            genesis=self.genesis,
            author=self.person.author,
            transport=compute_transport_id(self.person.keys.libp2p_key),
            addresses=("/sim/0",),
            profile=encode(self.person.profile()),
            inviter=inviter,
            credentials=credentials,
            limits=Limits(**limits),
        )
        self.seed = hashlib.sha256(bytes([seed])).digest()
        self.events: list[Any] = []
        self.hangups: list[Hangup] = []
        self.journal: dict[bytes, SignedVertex] = {}
        self.values: dict[str, bytes] = {}
        self.jobs: list[RunJob] = []
        self.effects: list[Effect] = []
        self.questions: list[int] = []
        """Numbers of the questions for own last vertices since the start."""
        self.nonces: dict[str, bytes] = {}
        self.persons: dict[str, Person] = {}
        self.node = Node(self.settings, self.seed, Recovered())
        self.started = self._do(lambda: self.node.start(self.now_ms), finish=True)

    def restart(self, **changes: Any) -> list[Effect]:
        """Begin a new life from what was made durable."""
        fields = {name: getattr(self.settings, name) for name in self.settings.__slots__}
        self.settings = Settings(**{**fields, **changes})
        self.jobs.clear()
        self.questions.clear()
        recovered = Recovered(vertices=tuple(self.journal.values()), values=dict(self.values))
        self.node = Node(self.settings, self.seed, recovered)
        self.started = self._do(lambda: self.node.start(self.now_ms), finish=True)
        return self.started

    # --- inputs ---------------------------------------------------------------------------------

    def handle(self, entry: Input, *, finish: bool = True) -> list[Effect]:
        return self._do(lambda: self.node.handle(entry), finish=finish)

    def _do(self, step: Callable[[], list[Effect]], *, finish: bool) -> list[Effect]:
        effects = step()
        for effect in effects:
            self._note(effect)
        return [*effects, *self.finish_jobs()] if finish else effects

    def _note(self, effect: Effect) -> None:
        self.effects.append(effect)
        match effect:
            case Emit():
                self.events.append(effect.event)
            case Hangup():
                self.hangups.append(effect)
            case RunJob():
                self.jobs.append(effect)
            case Persist(record=StoreVertex() as record):
                self.journal[record.id] = decode_signed(record.wire)
            case Persist(record=StoreValue() as value):
                self.values[value.key] = value.value
            case Send(message=GetLast(request=request)):
                self.questions.append(request)
            case Send(message=Hello() as hello):
                self.nonces[effect.to[0]] = hello.nonce
            case _:
                pass

    def finish_jobs(self) -> list[Effect]:
        """Do every job that is open."""
        effects: list[Effect] = []
        while self.jobs:
            job = self.jobs.pop(0)
            done = Completed(self.now_ms, job.job, self._work(job))
            effects += self._do(lambda entry=done: self.node.handle(entry), finish=False)  # type: ignore[misc]
        return effects

    def _work(self, job: RunJob) -> Outcome:
        suite, secrets = self.genesis.suite, self.person.secrets
        work = job.work
        match work:
            case SignVertex():
                return Signed(sign_suite(suite, secrets, compute_signed_message(work.id)))
            case SignProof():
                return Signed(sign_suite(suite, secrets, work.message))
            case Verify():
                return Checks(
                    tuple(
                        verify_suite(suite, item.keys, item.message, item.signature)
                        for item in work.items
                    )
                )
            case LoadStored():
                return Loaded(tuple(self.journal[vertex_id] for vertex_id in work.ids))

    def receive(self, peer: str, message: Any, *, finish: bool = True) -> list[Effect]:
        return self.handle(Received(self.now_ms, peer, message), finish=finish)

    def reject(self, peer: str, offence: Offence, detail: str) -> list[Effect]:
        return self.handle(Rejected(self.now_ms, peer, offence, detail), finish=False)

    def command(self, command: Command, token: int = 1) -> Submitted:
        return Submitted(self.now_ms, token, command)

    def submit(self, command: Command, token: int = 1) -> list[Effect]:
        return self.handle(self.command(command, token))

    def publish(self, body: bytes = b"note", **fields: Any) -> list[Effect]:
        return self.submit(Publish(3, body, **fields))

    def refused(self, command: Command) -> str:
        before = msgspec.msgpack.encode(self.shown())
        with pytest.raises(CommandRejected) as caught:
            self.submit(command)
        assert msgspec.msgpack.encode(self.shown()) == before
        return str(caught.value)

    def shown(self) -> dict[str, Any]:
        view: Any = self.node.view()
        return {name: getattr(view, name) for name in view.__struct_fields__ if name != "members"}

    def ticked(self) -> Ticked:
        return Ticked(self.now_ms)

    def tick(self, after_ms: int) -> list[Effect]:
        self.now_ms += after_ms
        return self.handle(Ticked(self.now_ms))

    # --- peers ----------------------------------------------------------------------------------

    def connect_raw(self, peer: str, *, inbound: bool = True) -> list[Effect]:
        return self.handle(Connected(self.now_ms, peer, inbound, "/sim/x"))

    def connect(self, person: Person | None = None, *, transport: str = "") -> str:
        person = person or self.partner
        peer = transport or compute_transport_id(person.keys.libp2p_key)
        self.persons[peer] = person
        self.connect_raw(peer)
        return peer

    def disconnect(self, peer: str) -> list[Effect]:
        return self.handle(Disconnected(self.now_ms, peer, "gone"))

    def hello(self, peer: str, **changes: Any) -> Hello:
        fields: dict[str, Any] = {
            "version": 1,
            "network": self.network,
            "author": self.persons[peer].author,
            "nonce": NONCE,
            "agent": "test",
            "addresses": ("/sim/1",),
            "expects": b"",
        }
        return Hello(**{**fields, **changes})

    def prove(
        self, peer: str, person: Person | None = None, *, finish: bool = True
    ) -> list[Effect]:
        message = compute_proof_message(
            self.network, peer, NONCE, self.settings.transport, self.nonces[peer]
        )
        secrets = (person or self.persons[peer]).secrets
        signature = sign_suite(self.genesis.suite, secrets, message)
        return self.receive(peer, Proof(signature), finish=finish)

    def greet(
        self,
        person: Person | None = None,
        *,
        transport: str = "",
        ready: bool = True,
        answer: bool = True,
        **changes: Any,
    ) -> str:
        """A peer that has gone through the handshake; without `answer` up to the verdict."""
        peer = self.connect(person, transport=transport)
        self.receive(peer, self.hello(peer, **changes))
        self.prove(peer, finish=answer)
        assert not ready or peer in [view.peer for view in self.node.view().peers]
        return peer

    def vertices(
        self,
        *signed: SignedVertex,
        request: int = 0,
        missing: tuple[bytes, ...] = (),
        last: bool = True,
        standing: Standing = Standing.VERIFIED,
    ) -> Vertices:
        candidates = tuple(Candidate(item, standing) for item in signed)
        return Vertices(request, candidates, missing, 0, last)

    def admit(self, *signed: VerifiedVertex) -> None:
        """Let vertices in from a peer that is gone again afterwards."""
        peer = self.greet(transport="helper", addresses=())
        self.receive(peer, self.vertices(*signed))
        self.disconnect(peer)
        assert all(self.node.is_stored(item.id) for item in signed)

    def sent(self, effects: list[Effect], kind: type[Any]) -> list[Any]:
        """The messages of a kind among effects."""
        return [
            effect.message
            for effect in effects
            if isinstance(effect, Send) and isinstance(effect.message, kind)
        ]
