"""Seeded bugs: each breaks one promise of the core on purpose, to show that a campaign finds it.

They are switched on for the time of one run by replacing an attribute, in simulations only; nothing
in the core knows of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec

import dag.evidence
import dag.vertex
import meshnode.core.admission
import meshnode.core.forks
import simulations.fidelity
from dag.errors import InvalidVertex, Offence
from dag.evidence import ProvenFork
from dag.heads import Heads
from dag.hold import Hold
from dag.index import Index
from dag.intake import Intake, Quarantined, Refused
from dag.quarantine import Quarantine
from dag.types import Ref
from meshnode.core.effects import Emit, Persist, Send, SendStored
from meshnode.core.fetching import Fetching
from meshnode.core.forks import Forks
from meshnode.core.membership import Membership
from meshnode.core.node import Node
from meshnode.core.outbox import Outbox
from meshnode.core.publishing import Publishing
from meshnode.core.reconciliation import Reconciliation
from meshnode.core.requests import Requests
from meshnode.core.store import Store
from simulations.errors import BadModel

Patch = tuple[Any, str, Callable[[Any], Any]]
"""Whose attribute, which, and how it is made from the right one."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug."""

    name: str
    says: str
    patches: tuple[Patch, ...]


@contextmanager
def switch_on(name: str) -> Iterator[None]:
    """Have a bug for a while; the empty name is none. Raises `BadModel` for an unknown one."""
    if not name:
        yield
        return
    if name not in MUTANTS:
        raise BadModel(f"no mutant is called {name}", hint=f"there are: {', '.join(MUTANTS)}")
    with ExitStack() as undo:
        for owner, attribute, make in MUTANTS[name].patches:
            right = owner.__dict__[attribute]
            undo.callback(setattr, owner, attribute, right)
            setattr(owner, attribute, make(right))
        # What was remembered with a bug must not be known without it, nor the other way round.
        undo.callback(_forget)
        _forget()
        yield


def _forget() -> None:
    simulations.fidelity.remember_vertex.cache_clear()
    simulations.fidelity.remember_verdict.cache_clear()


def _answer(value: object) -> Callable[[Any], Any]:
    """Replace a method by one that does nothing and answers this."""

    def make(_right: Any) -> Any:
        return lambda *_arguments, **_named: value

    return make


def _hide(value: object) -> Callable[[Any], Any]:
    """Replace a property by a constant."""

    def make(_right: Any) -> Any:
        return property(lambda _self: value)

    return make


def _first(*kinds: type) -> Callable[[Any], Any]:
    """Let effects of these kinds out before all others."""

    def make(right: Any) -> Any:
        def take(self: Outbox) -> Any:
            return sorted(right(self), key=lambda effect: not isinstance(effect, kinds))

        return take

    return make


def _forgive(rule: str) -> Callable[[Any], Any]:
    """Let pass what breaks one rule on a vertex and its parents."""

    def make(right: Any) -> Any:
        def check(self: Intake, vertex: Any) -> Any:
            try:
                return right(self, vertex)
            except InvalidVertex as error:
                if error.rule == rule:
                    return None
                raise

        return check

    return make


def _skip_own(right: Any) -> Any:
    def admit(self: Any, now_ms: int, source: str, admitted: Any, *, made_here: bytes = b"") -> Any:
        outbox = self._outbox
        before = len(outbox._effects)  # noqa: SLF001 - a bug sits inside
        right(self, now_ms, source, admitted, made_here=made_here)
        if made_here:
            outbox._effects[before:] = [  # noqa: SLF001
                effect
                for effect in outbox._effects[before:]  # noqa: SLF001
                if not isinstance(effect, Persist)
            ]

    return admit


def _drop_time(right: Any) -> Any:
    return lambda vertex: right(msgspec.structs.replace(vertex, time_ms=0))


def _lose_last(right: Any) -> Any:
    def recover(self: Any, settings: Any, seed: bytes, recovered: Any) -> None:
        own = [signed for signed in recovered.vertices if signed.vertex.author == settings.author]
        kept = tuple(signed for signed in recovered.vertices if signed is not own[-1])
        right(self, settings, seed, type(recovered)(vertices=kept, values=recovered.values))

    return lambda self, settings, seed, recovered: (
        recover(self, settings, seed, recovered)
        if recovered.vertices
        and any(signed.vertex.author == settings.author for signed in recovered.vertices)
        and recovered.vertices[-1].vertex.author == settings.author
        else right(self, settings, seed, recovered)
    )


def _omit_head(right: Any) -> Any:
    def collect(self: Heads, index: Any, forked: Any) -> Any:
        refs = right(self, index, forked)
        return refs[:-1] if len(refs) > 1 else refs

    return collect


def _refuse_second(right: Any) -> Any:
    def enter(self: Intake, now_ms: int, source: str, signed: Any) -> Any:
        vertex = signed.vertex
        if self.index.get_slot(vertex.author, vertex.lane, vertex.seq):
            return Refused("forked")
        return right(self, now_ms, source, signed)

    return enter


def _charge_relay(right: Any) -> Any:
    def apply(self: Any, now_ms: int, source: str, signed: Any, outcome: Any) -> None:
        right(self, now_ms, source, signed, outcome)
        if isinstance(outcome, Quarantined):
            self._host.offend(now_ms, source, Offence.BAD_VERTEX, "its parents are missing")

    return apply


def _announce_waiting(right: Any) -> Any:
    def on_missing(self: Any, now_ms: int, source: str, signed: Any, missing: Any) -> None:
        right(self, now_ms, source, signed, missing)
        self._dissemination.announce(now_ms, signed.id)

    return on_missing


def _count_waiting(right: Any) -> Any:
    def refresh(self: Any) -> None:
        right(self)
        waiting = len(self._intake.quarantine)
        self._digest = msgspec.structs.replace(
            self._digest, count=len(self._intake.index) + waiting
        )

    return refresh


def _believe(_right: Any) -> Any:
    def verify(_keys: Any, _suite: Any, _network: bytes, evidence: Any) -> ProvenFork:
        decode = msgspec.msgpack.Decoder(dag.vertex.Header).decode
        first, second = decode(evidence.first.header), decode(evidence.second.header)
        refs = [
            Ref(header.lamport, dag.vertex.compute_header_id(header)) for header in (first, second)
        ]
        return ProvenFork(first.author, first.lane, first.seq, *refs)

    return verify


_ALL: Final = (
    Mutant(
        "no-quarantine",
        "vertices without parents are dropped",
        ((Quarantine, "add", _answer(value=False)),),
    ),
    Mutant(
        "parents-unchecked", "parents are never missing", ((Index, "find_missing", _answer(())),)
    ),
    Mutant(
        "send-before-persist",
        "messages leave before the disk has written",
        ((Outbox, "take", _first(Send, SendStored)),),
    ),
    Mutant(
        "tell-before-persist",
        "the application hears before the disk has written",
        ((Outbox, "take", _first(Emit)),),
    ),
    Mutant("own-not-persisted", "own vertices are not written", ((Store, "_admit", _skip_own),)),
    Mutant(
        "signature-unchecked",
        "any signature of a known author passes",
        (
            (simulations.fidelity, "verify", _answer(value=True)),
            (meshnode.core.admission, "verify_vertex", _answer(None)),
        ),
    ),
    Mutant(
        "unsigned-time",
        "the id leaves the time out",
        (
            (dag.vertex, "compute_header", _drop_time),
            (dag.evidence, "compute_header", _drop_time),
        ),
    ),
    Mutant(
        "restart-forgets",
        "the last own vertex is lost at a restart",
        ((Node, "__init__", _lose_last),),
    ),
    Mutant(
        "digest-omits-head",
        "the digest leaves the highest head out",
        ((Heads, "collect_digest_refs", _omit_head),),
    ),
    Mutant("no-pull", "nothing is ever fetched by id", ((Fetching, "tick", _answer(None)),)),
    Mutant(
        "evidence-never",
        "forks are seen and not proved to others",
        ((Forks, "tick", _answer(None)),),
    ),
    Mutant(
        "second-dropped",
        "of a forked slot only the first vertex enters",
        ((Intake, "_enter", _refuse_second),),
    ),
    Mutant(
        "relay-charged",
        "who sends a vertex before its parents is banned",
        ((Store, "_apply", _charge_relay),),
    ),
    Mutant(
        "no-reconciliation", "stores are never compared", ((Reconciliation, "tick", _answer(None)),)
    ),
    Mutant(
        "no-redial",
        "lost peers are not dialled again",
        ((Membership, "disconnected", _answer(None)),),
    ),
    Mutant(
        "quarantine-unbounded",
        "nothing gives way in the quarantine",
        ((Quarantine, "_shrink", _answer(None)),),
    ),
    Mutant(
        "quarantine-forever",
        "what waits never goes",
        (
            (Quarantine, "expire", _answer(0)),
            (Quarantine, "next_deadline", _hide(None)),
        ),
    ),
    Mutant(
        "lamport-unchecked",
        "a parent's lamport is believed",
        ((Intake, "_check", _forgive("parent-lamport")),),
    ),
    Mutant(
        "chain-unchecked",
        "the first parent may be any vertex",
        ((Intake, "_check", _forgive("own-previous")),),
    ),
    Mutant(
        "held-forever",
        "vertices stamped ahead are never taken in",
        (
            (Hold, "take_due", _answer(None)),
            (Hold, "next_deadline", _hide(None)),
        ),
    ),
    Mutant(
        "questions-never-end",
        "deadlines of questions pass",
        (
            (Requests, "tick", _answer(None)),
            (Requests, "next_deadline", _answer(None)),
        ),
    ),
    Mutant(
        "forked-speaks",
        "an author whose keys are used twice goes on",
        ((Publishing, "stop", _answer(None)),),
    ),
    Mutant(
        "waiting-announced",
        "vertices that wait are announced",
        ((Node, "on_missing", _announce_waiting),),
    ),
    Mutant(
        "waiting-counted",
        "digests count vertices that wait",
        ((Reconciliation, "_refresh", _count_waiting),),
    ),
    Mutant(
        "evidence-unchecked",
        "evidence is believed unseen",
        ((meshnode.core.forks, "verify_evidence", _believe),),
    ),
)
MUTANTS: Final = {mutant.name: mutant for mutant in _ALL}
