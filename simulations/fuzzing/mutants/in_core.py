"""Seeded bugs of `meshnode.core`: what is said, to whom, when, and what is remembered."""

# ruff: noqa: SLF001 - bugs sit inside
from __future__ import annotations

from typing import Any, Final

import msgspec

from dag.errors import Offence
from dag.outcomes import Held, Quarantined
from meshnode.core.answers import Answers
from meshnode.core.bans import Bans
from meshnode.core.effects import Emit, Persist, Send, SendStored
from meshnode.core.fetching import Fetching
from meshnode.core.forks import Forks
from meshnode.core.membership import Membership
from meshnode.core.messages import IHave
from meshnode.core.node import Node
from meshnode.core.outbox import Outbox
from meshnode.core.peers import Peers
from meshnode.core.publishing import Publishing
from meshnode.core.reconciliation import Reconciliation
from meshnode.core.requests import Requests
from meshnode.core.store import Store
from simulations.fuzzing.mutants.patches import Make, Mutant, answer, never


def _first(*kinds: type) -> Make:
    """Let effects of these kinds out before all others."""

    def make(right: Any) -> Any:
        def take(self: Outbox) -> Any:
            return sorted(right(self), key=lambda effect: not isinstance(effect, kinds))

        return take

    return make


def _skip_own(right: Any) -> Any:
    def admit(self: Any, now_ms: int, source: str, admitted: Any, *, made_here: bytes = b"") -> Any:
        outbox = self._outbox
        before = len(outbox._effects)
        right(self, now_ms, source, admitted, made_here=made_here)
        if made_here:
            said = outbox._effects[before:]
            outbox._effects[before:] = [one for one in said if not isinstance(one, Persist)]

    return admit


def _lose_last(right: Any) -> Any:
    def recover(self: Any, settings: Any, seed: bytes, recovered: Any) -> None:
        vertices = recovered.vertices
        if vertices and vertices[-1].vertex.author == settings.author:
            recovered = type(recovered)(vertices=vertices[:-1], values=recovered.values)
        right(self, settings, seed, recovered)

    return recover


def _forget_bans(right: Any) -> Any:
    return lambda self, outbox, _stored: right(self, outbox, b"")


def _charge(kind: type) -> Make:
    """Take an outcome that is nobody's fault for the sender's."""

    def make(right: Any) -> Any:
        def apply(self: Any, now_ms: int, source: str, signed: Any, outcome: Any) -> None:
            right(self, now_ms, source, signed, outcome)
            if isinstance(outcome, kind):
                self._host.offend(now_ms, source, Offence.BAD_VERTEX, "it came too early")

        return apply

    return make


def _charge_other(right: Any) -> Any:
    def offend(self: Peers, now_ms: int, peer: str, offence: Offence, detail: str) -> None:
        others = [name for name in self.ready_names if name != peer]
        right(self, now_ms, (*others, peer)[0], offence, detail)

    return offend


def _list_by_hash(right: Any) -> Any:
    return property(lambda self: tuple(set(right.fget(self))))


def _announce_waiting(right: Any) -> Any:
    def on_missing(self: Any, now_ms: int, source: str, signed: Any, missing: Any) -> None:
        right(self, now_ms, source, signed, missing)
        self._outbox.send(self._peers.ready_names, IHave((signed.id,)))

    return on_missing


def _count_waiting(right: Any) -> Any:
    def refresh(self: Any) -> None:
        right(self)
        waiting = len(self._intake.quarantine)
        self._digest = msgspec.structs.replace(
            self._digest, count=len(self._intake.index) + waiting
        )

    return refresh


def _serve_nothing(_right: Any) -> Any:
    def on_get(self: Any, _now_ms: int, peer: str, message: Any) -> None:
        self._outbox.send_stored(peer, message.request, (), message.ids)

    return on_get


def _speak_at_once(_right: Any) -> Any:
    return lambda self, now_ms, _peer: self._open(now_ms)


SEEDED: Final = (
    Mutant(
        "send-before-persist",
        "messages precede the disk",
        ((Outbox, "take", _first(Send, SendStored)),),
    ),
    Mutant("tell-before-persist", "events precede the disk", ((Outbox, "take", _first(Emit)),)),
    Mutant("own-not-persisted", "own vertices stay unwritten", ((Store, "_admit", _skip_own),)),
    Mutant("restart-forgets", "the last own vertex is lost", ((Node, "__init__", _lose_last),)),
    Mutant(
        "own-last-unasked",
        "an old copy speaks at once",
        ((Publishing, "on_ready", _speak_at_once),),
    ),
    Mutant("forked-speaks", "a forked author goes on", ((Publishing, "stop", answer(None)),)),
    Mutant("no-pull", "nothing is fetched by id", never(Fetching)),
    Mutant("no-reconciliation", "stores are never compared", never(Reconciliation)),
    Mutant("no-redial", "lost peers stay lost", ((Membership, "disconnected", answer(None)),)),
    Mutant("questions-never-end", "no question is overdue", never(Requests)),
    Mutant(
        "serves-nothing", "what is asked for is withheld", ((Answers, "_on_get", _serve_nothing),)
    ),
    Mutant(
        "waiting-announced", "what waits is announced", ((Node, "on_missing", _announce_waiting),)
    ),
    Mutant(
        "waiting-counted",
        "digests count what waits",
        ((Reconciliation, "_refresh", _count_waiting),),
    ),
    Mutant("evidence-never", "no fork is proved to others", never(Forks)),
    Mutant(
        "relay-charged", "children first is an offence", ((Store, "_apply", _charge(Quarantined)),)
    ),
    Mutant("early-charged", "a fast clock is an offence", ((Store, "_apply", _charge(Held)),)),
    Mutant("neighbour-charged", "another pays for an offence", ((Peers, "offend", _charge_other),)),
    Mutant("bans-forgotten", "a restart ends every ban", ((Bans, "__init__", _forget_bans),)),
    Mutant("bans-ignored", "nobody is refused", ((Bans, "get_until", answer(0)),)),
    Mutant(
        "set-order",
        "peers come in a set's order",
        ((Peers, "ready_names", _list_by_hash),),
        shown_by="repetition",
    ),
)
