"""Seeded bugs of `consensus`: how stake is counted, what decides a slot, and when blocks are made.

They are hunted by committees of their own (`simulations.consensus`), where every decision is seen.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

import consensus.committer
import consensus.decision
import consensus.ordering
import consensus.validity
from consensus.block_store import BlockStore
from consensus.committee import Committee
from consensus.committer import Committer
from consensus.decision import Decision, Status, decide_by_anchor
from consensus.linearizer import Linearizer
from consensus.pacemaker import Pacemaker
from simulations.consensus.inbox import Log
from simulations.fuzzing.mutants.patches import Make, Mutant, Patch, answer, hide


def _lower(*names: str) -> Make:
    """Ask for one stake less at some thresholds."""

    def make(right: Any) -> Any:
        def thresholds(self: Committee) -> Any:
            limits = right.fget(self)
            lower = {name: max(1, getattr(limits, name) - 1) for name in names}
            return msgspec.structs.replace(limits, **lower)

        return property(thresholds)

    return make


def _count_blocks(right: Any) -> Any:
    def decide(store: BlockStore, slot: Any, author: int) -> Any:
        delay = store.committee.thresholds.decision_delay
        authors = range(len(store.committee))
        for candidate in store.get_slot(slot.round, author):
            certificates = [
                node
                for other in authors
                for node in store.get_slot(slot.round + delay, other)
                if store.certifies(node, candidate)
            ]
            stake = sum(store.committee.get_stake(node.block.author) for node in certificates)
            if stake >= store.committee.thresholds.commit:
                return Decision(slot, author, Status.COMMIT, candidate.block)
        return right(store, slot, author)

    return decide


def _skip_if_empty(right: Any) -> Any:
    def is_skipped(store: BlockStore, round_: int, candidates: Any) -> bool:
        return right(store, round_, candidates) or not (
            candidates or not store.get_authors(round_ + 1)
        )

    return is_skipped


def _certify_by_union(_right: Any) -> Any:
    def is_certificate(self: BlockStore, _node: Any, candidate: Any) -> bool:
        limits = self._committee.thresholds
        return self._committee.weigh(candidate.voters) >= limits.certificate

    return is_certificate


def _see_all(_right: Any) -> Any:
    def collect_history(self: BlockStore, _anchor: Any, round_: int) -> Any:
        authors = range(len(self.committee))
        return [node for author in authors for node in self.get_slot(round_, author)]

    return collect_history


def _resolve_wrongly(*, early: int, leaps: bool) -> Make:
    """Take anchors `early` rounds too soon, or any behind slots that are still open."""

    def make(_right: Any) -> Any:
        def resolve(self: Committer) -> None:
            slots = self._list_slots()
            for position in range(len(slots) - 1, -1, -1):
                slot, author = slots[position]
                if slot in self._decided:
                    continue
                first = slot.round + self._wave - early
                behind = [self._decided.get(other) for other, _ in slots if other.round >= first]
                passed = (Status.SKIP,)
                ends = [one for one in behind if one is None or one.status not in passed]
                if leaps:
                    ends = [one for one in ends if one is not None]
                if ends and ends[0] is not None and ends[0].block is not None:
                    decision = decide_by_anchor(self._store, slot, author, ends[0].block)
                    self._decided[slot] = decision

        return resolve

    return make


def _take_all(right: Any) -> Any:
    def take_slot(self: Linearizer, block: Any) -> bool:
        right(self, block)
        return True

    return take_slot


def _believe_newest(_right: Any) -> Any:
    def median_ms(store: BlockStore, _block: Any) -> int:
        return max(block.time_ms for block in store.get_round(store.highest_round))

    return median_ms


def _look_highest(_right: Any) -> Any:
    def horizon(self: Linearizer) -> int:
        return max(0, self._store.highest_round - (self._gc_depth or 0))

    return property(horizon)


def _jump(_right: Any) -> Any:
    def round_(self: Pacemaker) -> int:
        return max(self.own_round + 1, self._store.highest_round)

    return property(round_)


def ask_nobody(right: Any) -> Any:
    """Go on after a start without having heard of own blocks."""

    def init(self: Pacemaker, *arguments: Any, **named: Any) -> None:
        right(self, *arguments, **{**named, "must_ask": False})

    return init


def _seed(name: str, says: str, *patches: Patch) -> Mutant:
    return Mutant(name, says, patches, shown_by="order")


SEEDED: Final = (
    _seed(
        "quorum-less",
        "a quorum lacks one stake",
        (Committee, "thresholds", _lower("quorum", "certificate", "commit", "skip")),
    ),
    _seed(
        "decides-with-less",
        "commit and skip lack one stake",
        (Committee, "thresholds", _lower("certificate", "commit", "skip")),
    ),
    _seed(
        "blocks-counted",
        "twins count twice",
        (consensus.committer, "decide_directly", _count_blocks),
    ),
    _seed(
        "round-unchecked",
        "a round needs no quorum below",
        (consensus.validity, "check_quorum", answer(None)),
    ),
    _seed(
        "union-certifies",
        "votes count across blocks",
        (BlockStore, "is_certificate", _certify_by_union),
    ),
    _seed(
        "anchor-early",
        "an anchor comes a round early",
        (Committer, "_resolve", _resolve_wrongly(early=1, leaps=False)),
    ),
    _seed(
        "anchor-leaps",
        "anchors pass over open slots",
        (Committer, "_resolve", _resolve_wrongly(early=0, leaps=True)),
    ),
    _seed(
        "anchor-sees-all", "anchors look into the store", (BlockStore, "collect_history", _see_all)
    ),
    _seed(
        "empty-is-skipped",
        "an empty slot needs no quorum",
        (consensus.decision, "is_skipped", _skip_if_empty),
    ),
    _seed(
        "decisions-kept",
        "old leaders' decisions stay",
        (Committer, "forget_decisions", answer(None)),
    ),
    _seed("twins-both-put-out", "both twins are put out", (Linearizer, "_take_slot", _take_all)),
    _seed(
        "time-of-newest",
        "commit time is the newest seen",
        (consensus.ordering, "compute_median_ms", _believe_newest),
    ),
    _seed(
        "horizon-of-highest",
        "what is held moves the horizon",
        (Linearizer, "horizon", _look_highest),
    ),
    _seed("rounds-jumped", "open rounds are left out", (Pacemaker, "round", _jump)),
    _seed("never-quiet", "blocks are made for nothing", (Pacemaker, "is_awake", answer(True))),
    _seed(
        "own-block-forgotten",
        "lost own blocks are not asked",
        (Log, "sync", answer(None)),
        (Pacemaker, "__init__", ask_nobody),
    ),
    _seed(
        "unconnected-builds",
        "blocks need no quorum in reach",
        (Pacemaker, "is_connected", hide(True)),
    ),
)
