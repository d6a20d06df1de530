"""Plays cases written in the shared notation against this package.

    python -m consensus.conformance FILE.json

Prints `ID pass`, or `ID FAIL expected ... got ...`, one line per case, and exits with 1 if any
failed. Cases whose blocks are all valid go through `Ordering.add`, signed; others are put into the
store as they stand. Each case is decided in one late call, cut off at every round, and in random
causal orders with a decision after every block.

This is a door for people and for other implementations. Nothing in the package imports it, and it
is the one module here that reads a file and writes lines.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Final

import msgspec

from consensus.block import Block
from consensus.clock import ThresholdClock
from consensus.committee import Committee
from consensus.conformance_validity import play_validity
from consensus.decision import Decision, Status
from consensus.leader import FixedSchedule, LeaderSchedule
from consensus.notation import (
    NETWORK,
    Built,
    InvalidCase,
    build,
    make_validators,
    parse_layers,
)
from consensus.ordering import Accepted, Ordering
from consensus.protocol import Profile, ProfileName, Thresholds, Tie, make_profile
from dag.canonical import compute_digest
from dag.errors import MeshError
from dag.order import Commit

Case = Mapping[str, Any]
Mismatch = tuple[object, object]
"""(expected, got)."""

RANDOM_ORDERS: Final = 5
ORDER_DOMAIN: Final = b"meshnode/conformance-order/1"


class CaseSchedule(FixedSchedule):
    """A case's leaders: a map of rounds, or in turn with an offset that commits may change."""

    def __init__(self, case: Case, members: int, wave: int) -> None:
        given = case.get("schedule", case.get("leaders", "rr"))
        table = {} if isinstance(given, str) else given
        self._map = {int(key): _list_leaders(value) for key, value in table.items()}
        self._members = members
        self._count: int = case.get("leaders_per_round", 1)
        self._step = 1 if case.get("pipeline", True) else wave
        rule = case.get("schedule_rule", {}).get("offset_by_commits", ())
        self._due = {commits: offset for commits, offset in rule if commits}
        first = [offset for commits, offset in rule if not commits]
        self._has_rule = bool(rule)
        self._offsets = [(0, offset) for offset in first or [0]]
        self._commits = 0

    def get_leaders(self, round_: int) -> tuple[int, ...]:
        """The leaders of a round in the order of their offsets."""
        if self._map and not self._has_rule:
            return self._map.get(round_, ())
        if round_ % self._step:
            return ()
        shift = [offset for above, offset in self._offsets if round_ > above][-1]
        return tuple((round_ + shift + k) % self._members for k in range(self._count))

    def observe(self, leader: Block, blocks: Sequence[Block], digest: bytes) -> bool:  # noqa: ARG002 - a port
        """Count a commit; answers whether a new offset holds from the next round on."""
        self._commits += 1
        if self._commits not in self._due:
            return False
        self._offsets.append((leader.round, self._due[self._commits]))
        return True


class Play:
    """One case, ready to be played in any order of arrival."""

    def __init__(self, case: Case, tie: Tie = "skip") -> None:
        self._case = case
        self.committee = make_committee(case, tie)
        self.built = build(self.committee, parse_layers(len(self.committee), case["layers"]))
        self.names = {item.signed.id: str(item.name) for item in self.built}
        self._through_door = self._is_valid()

    def _is_valid(self) -> bool:
        claimed = self._case.get("all_blocks_valid")
        if claimed is False:
            return False
        ordering = self._make_ordering()
        for item in self.built:
            verdict = ordering.add(item.signed)
            if not isinstance(verdict, Accepted):
                if claimed:
                    raise InvalidCase(f"{item.name} is said to be valid: {verdict}")
                return False
        return True

    def _make_ordering(self) -> Ordering:
        schedule: LeaderSchedule = CaseSchedule(
            self._case, len(self.committee), self.committee.thresholds.wave
        )
        return Ordering(NETWORK, self.committee, schedule, gc_depth=self._case.get("gc_depth"))

    def play(
        self, built: Sequence[Built], *, late: bool
    ) -> tuple[list[tuple[Decision, Commit | None]], tuple[Decision, ...]]:
        """What is decided in sequence, and what stands behind it."""
        ordering = self._make_ordering()
        taken: list[tuple[Decision, Commit | None]] = []
        for item in built:
            if self._through_door:
                ordering.add(item.signed)
            else:
                ordering.insert(item.block)
            if not late:
                taken += ordering.advance()
        taken += ordering.advance()
        return taken, ordering.list_pending()

    def shuffle(self, seed: int) -> list[Built]:
        """The blocks in a causal order that the seed picks."""
        by_id = {item.signed.id: item for item in self.built}
        children: dict[bytes, list[bytes]] = {}
        waiting: dict[bytes, int] = {}
        for item in self.built:
            waiting[item.signed.id] = len(item.block.parents)
            for ref in item.block.parents:
                children.setdefault(ref.id, []).append(item.signed.id)
        ready = [(_mix(seed, key), key) for key, count in waiting.items() if not count]
        heapify(ready)
        order: list[Built] = []
        while ready:
            _, key = heappop(ready)
            order.append(by_id[key])
            for child in children.get(key, ()):
                waiting[child] -= 1
                if not waiting[child]:
                    heappush(ready, (_mix(seed, child), child))
        return order


def make_committee(case: Case, tie: Tie = "skip", *, epoch: int = 0) -> Committee:
    """The committee of a case, with the thresholds that it sets one by one."""
    stakes: Sequence[int] = case.get("stake") or [1] * case["n"]
    name: ProfileName = case.get("profile", "bft3")
    base = make_profile(name, sum(stakes)).thresholds
    quorum = case.get("quorum", base.quorum)
    thresholds = Thresholds(
        wave=case.get("wave", base.wave),
        quorum=quorum,
        certificate=case.get("cert_quorum", base.certificate),
        commit=case.get("commit_quorum", base.commit),
        skip=case.get("skip_quorum", base.skip),
        link=case.get("anchor_link", base.link),
        tie=tie,
    )
    # A case names no fault bound, so only what holds without faults is asked of its thresholds.
    return Committee(epoch, make_validators(stakes), Profile("case", sum(stakes), 0, 0, thresholds))


def describe(decision: Decision, names: Mapping[bytes, str]) -> list[object]:
    """A decision as cases write it."""
    line: list[object] = [decision.slot.round, decision.author, str(decision.status)]
    if decision.status == Status.UNDECIDED:
        return line
    line.append("direct" if decision.anchor is None else "indirect")
    if decision.block is not None:
        line.append(names[decision.block.id])
    if decision.anchor is not None:
        line.append(f"anchor {names[decision.anchor.id]}")
    return line


def play_commit(case: Case) -> Iterator[Mismatch]:
    """Play a case of the commit rule; gives what differs."""
    skip_rule = case.get("expect_slots_per_candidate_skip")
    twins_skipped = case.get("expect_slots_tie_skip")
    if twins_skipped is not None or case.get("tie", "skip") == "skip":
        yield from _play_slots(case, "skip", skip_rule or twins_skipped or case["expect_slots"])
    if case.get("tie") == "min":
        yield from _play_slots(case, "least", skip_rule or case["expect_slots"])


def _play_slots(case: Case, tie: Tie, expected: Sequence[Any]) -> Iterator[Mismatch]:
    play = Play(case, tie)
    taken, pending = play.play(play.built, late=True)
    got = [describe(decision, play.names) for decision, _ in taken]
    got += [describe(decision, play.names) for decision in pending]
    yield list(expected), got
    length = case.get("expect_sequence_length_per_candidate_skip")
    if length is None:
        length = case.get("expect_sequence_length", len(taken))
    yield length, len(taken)
    yield from _play_heights(case, play)
    yield from _play_orders(play, taken, pending)


def _play_heights(case: Case, play: Play) -> Iterator[Mismatch]:
    key = "expect_sequence_length_by_highest_round"
    expected = case.get(f"{key}_per_candidate_skip")
    if expected is None and "expect_slots_per_candidate_skip" not in case:
        expected = case.get(key)
    if expected is None:
        return
    lengths = []
    for height in range(1, len(expected) + 1):
        below = [item for item in play.built if item.name.round <= height]
        lengths.append(len(play.play(below, late=True)[0]))
    yield list(expected), lengths


def _play_orders(
    play: Play, taken: Sequence[tuple[Decision, Commit | None]], pending: Sequence[Decision]
) -> Iterator[Mismatch]:
    """Decided block by block, in any order, the outcome is the same; only the way may differ."""
    expected = (_strip(taken), _strip((decision, None) for decision in pending))
    for seed in range(RANDOM_ORDERS):
        again, open_ = play.play(play.shuffle(seed), late=False)
        yield expected, (_strip(again), _strip((decision, None) for decision in open_))


def _strip(taken: Any) -> list[tuple[object, ...]]:
    return [
        (decision.slot, decision.author, str(decision.status), decision.block, commit)
        for decision, commit in taken
    ]


def play_linearize(case: Case) -> Iterator[Mismatch]:
    """Play a case of the order inside commits; gives what differs."""
    play = Play(case)
    taken, _ = play.play(play.built, late=True)
    yield list(case["expect_subdags"]), _describe_commits(taken, play)
    for seed in range(RANDOM_ORDERS):
        again, _ = play.play(play.shuffle(seed), late=False)
        yield _strip(taken), _strip(again)


def _describe_commits(
    taken: Sequence[tuple[Decision, Commit | None]], play: Play
) -> list[list[object]]:
    return [
        [play.names[commit.leader], [play.names[ref.id] for ref in commit.vertices]]
        for _, commit in taken
        if commit is not None
    ]


def play_clock(case: Case) -> Iterator[Mismatch]:
    """Play a case of the threshold clock; gives what differs."""
    clock = ThresholdClock(make_committee(case), round_=case.get("start", 0))
    for round_, author, after in case["events"]:
        clock.add(round_, author)
        yield [round_, author, after], [round_, author, clock.round]


def _list_cases(
    document: Case,
) -> Iterator[tuple[Case, Callable[[Case], Iterator[Mismatch]]]]:
    for case in document.get("commit_cases", ()):
        yield case, play_commit
    for section, play in (
        ("linearize", play_linearize),
        ("validity", play_validity),
        ("clock", play_clock),
    ):
        for case in document.get(section, {}).get("cases", ()):
            yield case, play


def run(document: Case) -> Iterator[tuple[str, bool]]:
    """Play every case of a document; gives one line each, and whether it passed."""
    for case, play in _list_cases(document):
        name = case.get("id", "?")
        try:
            wrong = next((pair for pair in play(case) if pair[0] != pair[1]), None)
        except (MeshError, LookupError, TypeError, ValueError) as error:
            # A case may be written badly in any way: that fails the case, not the run.
            wrong = ("a case of the notation", f"{type(error).__name__}: {error}")
        if wrong is None:
            yield f"{name} pass", True
        else:
            yield f"{name} FAIL expected {wrong[0]} got {wrong[1]}", False


def main(arguments: Sequence[str]) -> int:
    """Play the cases of a file; answers the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m consensus.conformance FILE.json\n")
        return 2
    try:
        with io.FileIO(arguments[0]) as file:
            document = msgspec.json.decode(file.read(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        sys.stderr.write(f"{arguments[0]} cannot be read: {error}\n")
        return 2
    failed = 0
    for line, passed in run(document):
        sys.stdout.write(f"{line}\n")
        failed += not passed
    return 1 if failed else 0


def _list_leaders(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


def _mix(seed: int, key: bytes) -> bytes:
    return compute_digest(ORDER_DOMAIN, seed.to_bytes(8, "big") + key)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
