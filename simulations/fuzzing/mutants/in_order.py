"""Seeded bugs of `consensus` around the commit rule: how leaders, order, time and pace come about.

Like those of `in_consensus`, they are hunted by committees of their own.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

import consensus.committer
import consensus.ordering
import consensus.pacemaker
from consensus.block_store import BlockStore
from consensus.commits import append_commit
from consensus.committee import Committee
from consensus.committer import Committer
from consensus.decision import Decision, Slot, Status, decide_by_anchor
from consensus.leader import Reputation
from consensus.linearizer import Linearizer
from consensus.ordering import Ordering
from consensus.pacemaker import Pacemaker
from consensus.payload import PayloadOrder
from simulations.consensus.validator import Validator
from simulations.fuzzing.mutants.in_consensus import ask_nobody
from simulations.fuzzing.mutants.patches import Mutant, Patch, answer


def _round_thirds(right: Any) -> Any:
    """Two thirds rounded up: one short of a quorum wherever three divides the stake."""

    def thresholds(self: Committee) -> Any:
        limits = right.fget(self)
        if limits.wave == 2:
            return limits
        thirds = -(-2 * self.total_stake // 3)
        names = ("quorum", "certificate", "commit", "skip")
        return msgspec.structs.replace(limits, **dict.fromkeys(names, thirds))

    return property(thresholds)


def _commit_on_votes(right: Any) -> Any:
    def decide(store: BlockStore, slot: Slot, author: int) -> Any:
        for candidate in store.get_slot(slot.round, author):
            if store.committee.weigh(candidate.voters) >= store.committee.thresholds.commit:
                return Decision(slot, author, Status.COMMIT, candidate.block)
        return right(store, slot, author)

    return decide


def _take_late_votes(right: Any) -> Any:
    def link(self: BlockStore, node: Any) -> None:
        right(self, node)
        for ref in node.block.parents:
            late = self._nodes.get(ref.id)
            if late is not None:
                late.voters |= node.bit

    return link


def _pass_over_indirect(_right: Any) -> Any:
    """Anchors that were themselves decided by an anchor are passed over."""

    def resolve(self: Committer) -> None:
        slots = self._list_slots()
        for slot, author in slots:
            if slot in self._decided:
                continue
            for other, _ in slots:
                end = self._decided.get(other)
                if other.round < slot.round + self._wave or (end and end.anchor is not None):
                    continue
                if end is None:
                    break
                if end.block is not None:
                    self._decided[slot] = decide_by_anchor(self._store, slot, author, end.block)
                    break

    return resolve


def _list_arrivals(linearizer: Linearizer) -> dict[bytes, int]:
    nodes = linearizer._store._nodes  # noqa: SLF001 - where else would the bug get it from
    return {block_id: place for place, block_id in enumerate(nodes)}


def _sort_by_arrival(right: Any) -> Any:
    def commit(self: Linearizer, leader: Any) -> Any:
        places = _list_arrivals(self)
        self._order = lambda _leader, block: places[block.id]
        return right(self, leader)

    return commit


def _sort_without_digest(right: Any) -> Any:
    def collect(self: Linearizer, leader: Any, horizon: int) -> Any:
        places = _list_arrivals(self)
        found = right(self, leader, horizon)
        found.sort(key=lambda block: places[block.id])
        self._order = lambda _leader, block: (block.round, block.author)
        return found

    return collect


def _forget_offsets(right: Any) -> Any:
    def take_next(self: Committer) -> Any:
        decision = right(self)
        if decision is not None:
            self._cursor = Slot(decision.slot.round + 1, 0)
        return decision

    return take_next


def _know_the_store(right: Any) -> Any:
    def init(self: Ordering, *arguments: Any, **named: Any) -> None:
        right(self, *arguments, **named)
        self._schedule.seen = self.store  # type: ignore[attr-defined]

    return init


def _score_the_store(right: Any) -> Any:
    def score(self: Reputation, blocks: Any) -> None:
        store = getattr(self, "seen", None)
        right(self, blocks if store is None else store.get_round(store.highest_round - 1))

    return score


def _let_time_go(_right: Any) -> Any:
    def append(head: Any, leader: bytes, vertices: Any, median_ms: int) -> Any:
        back = msgspec.structs.replace(head, time_ms=0)
        return append_commit(back, leader, vertices, median_ms)

    return append


def _send_before_writing(right: Any) -> Any:
    def write(self: Validator) -> None:
        if self._making is not None:
            self.send(self._making)
        right(self)

    return write


def _wait_for_ever(right: Any) -> Any:
    def init(self: Pacemaker, *arguments: Any, settings: Any, **named: Any) -> None:
        settings = msgspec.structs.replace(settings, leader_timeout_ms=1_000_000_000)
        right(self, *arguments, settings=settings, **named)

    return init


def _seed(name: str, says: str, *patches: Patch) -> Mutant:
    return Mutant(name, says, patches, shown_by="order")


SEEDED: Final = (
    _seed(
        "thirds-rounded", "a quorum is 2/3, rounded up", (Committee, "thresholds", _round_thirds)
    ),
    _seed(
        "commits-on-votes",
        "votes commit at wave 3",
        (consensus.committer, "decide_directly", _commit_on_votes),
    ),
    _seed("late-votes", "later references are votes", (BlockStore, "_link", _take_late_votes)),
    _seed(
        "indirect-passed-over",
        "indirect anchors do not count",
        (Committer, "_resolve", _pass_over_indirect),
    ),
    _seed("arrival-order", "blocks go out as they came", (Linearizer, "commit", _sort_by_arrival)),
    _seed(
        "digest-not-in-order",
        "twins are put out as they came",
        (Linearizer, "_collect", _sort_without_digest),
    ),
    _seed(
        "offsets-forgotten",
        "one leader a round is enough",
        (Committer, "take_next", _forget_offsets),
    ),
    _seed(
        "score-of-held",
        "leaders depend on what is held",
        (Ordering, "__init__", _know_the_store),
        (Reputation, "_score", _score_the_store),
    ),
    _seed(
        "time-runs-back",
        "commit time may fall",
        (consensus.ordering, "append_commit", _let_time_go),
    ),
    _seed("payload-twice", "what is carried comes twice", (PayloadOrder, "_mark", answer(True))),
    _seed(
        "sent-before-written",
        "blocks are sent, then written",
        (Validator, "_write", _send_before_writing),
        (Pacemaker, "__init__", ask_nobody),
    ),
    _seed(
        "leader-not-waited",
        "no leader is waited for",
        (consensus.pacemaker, "is_complete", answer(True)),
    ),
    _seed(
        "never-timed-out", "a leader is waited for always", (Pacemaker, "__init__", _wait_for_ever)
    ),
)
