"""Seeded bugs of `dag`: the door, what waits before it, and what is signed."""

from __future__ import annotations

from typing import Any, Final

import msgspec

import dag.evidence
import dag.vertex
import meshnode.core.admission
import meshnode.core.forks
import simulations.fidelity
from dag.errors import InvalidVertex
from dag.evidence import ProvenFork
from dag.heads import Heads
from dag.index import Index
from dag.intake import Intake
from dag.outcomes import Refused
from dag.quarantine import Quarantine
from dag.types import Ref
from simulations.fuzzing.mutants.patches import Make, Mutant, answer, hide

STALE_MS: Final = 3_000


def _forgive(rule: str) -> Make:
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


def _drop_time(right: Any) -> Any:
    return lambda vertex: right(msgspec.structs.replace(vertex, time_ms=0))


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


def _refuse_stale(right: Any) -> Any:
    def offer(self: Intake, now_ms: int, source: str, signed: Any) -> Any:
        if signed.vertex.time_ms < now_ms - STALE_MS:
            return Refused("stale")
        return right(self, now_ms, source, signed)

    return offer


def _overlook_newest(right: Any) -> Any:
    def contains(self: Index, vertex_id: object) -> bool:
        return right(self, vertex_id) and next(reversed(self._entries)) != vertex_id

    return contains


def _believe(_right: Any) -> Any:
    def verify(
        _keys: Any, _suite: Any, _network: bytes, evidence: Any, _read: Any = None
    ) -> ProvenFork:
        decode = msgspec.msgpack.Decoder(dag.vertex.Header).decode
        first, second = decode(evidence.first.header), decode(evidence.second.header)
        refs = [
            Ref(header.lamport, dag.vertex.compute_header_id(header)) for header in (first, second)
        ]
        return ProvenFork(first.author, first.lane, first.seq, *refs)

    return verify


SEEDED: Final = (
    Mutant("no-quarantine", "early vertices are dropped", ((Quarantine, "add", answer(False)),)),
    Mutant("parents-unchecked", "no parent is missing", ((Index, "find_missing", answer(())),)),
    Mutant(
        "lamport-unchecked",
        "a ref's lamport is believed",
        ((Intake, "_check", _forgive("parent-lamport")),),
    ),
    Mutant(
        "chain-unchecked",
        "any vertex may come before",
        ((Intake, "_check", _forgive("own-previous")),),
    ),
    Mutant(
        "newest-unknown", "the newest comes in twice", ((Index, "__contains__", _overlook_newest),)
    ),
    Mutant("stale-refused", "a clock decides what enters", ((Intake, "offer", _refuse_stale),)),
    Mutant(
        "signature-unchecked",
        "any signature passes",
        (
            (simulations.fidelity, "verify", answer(True)),
            (meshnode.core.admission, "verify_vertex", answer(None)),
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
        "digest-omits-head",
        "a digest lacks the last head",
        ((Heads, "collect_digest_refs", _omit_head),),
    ),
    Mutant("second-dropped", "a fork's second is refused", ((Intake, "_enter", _refuse_second),)),
    Mutant(
        "evidence-unchecked",
        "evidence is believed unseen",
        ((meshnode.core.forks, "verify_evidence", _believe),),
    ),
    Mutant(
        "quarantine-unbounded",
        "nothing gives way in it",
        ((Quarantine, "_shrink", answer(None)),),
    ),
    Mutant(
        "quarantine-forever",
        "what waits never goes",
        ((Quarantine, "expire", answer(0)), (Quarantine, "next_deadline", hide(None))),
    ),
)
