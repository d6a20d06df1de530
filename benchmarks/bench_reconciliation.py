"""What comparing two stores by ranges costs: bytes, round trips and CPU, by how much they differ.

    python -m benchmarks.bench_reconciliation [--common 20000] [--json]

Two stores hold the same 20,000 vertices of 50 authors, were equal but for 500 of them the last time,
and differ in so many vertices, half of them on either side. Every message is encoded, checked and
decoded as on the wire; bytes are those of RANGES in both directions. An answer that says no more
than that nothing differs counts half a round trip. The references are what a prototype of the
protocol took for the same task. GET is what asking for the vertices takes beside that.

Then answers are lies that keep to the limits of every message, about the same store. What they cost
stands beside what they may cost: questions of a session, bytes both ways, and vertices noted.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

from benchmarks._harness import describe_machine, describe_revision
from dag.ranges import START
from meshnode.core.messages import GET_IDS_MAX, Get, Ranges, encode_message
from meshnode.core.range_answers import ANSWER_BYTES_MAX, ROUNDS_MAX
from meshnode.core.range_session import FOUND_MAX
from tests.support.hostile_ranges import claim_nothing, name_nothing, split_evenly
from tests.support.range_pair import RangePair, Shelf

REFERENCES: Final = {
    0: (367, 0.5),
    1: (823, 2.0),
    10: (872, 1.0),
    100: (3_041, 2.0),
    1_000: (21_000, 2.0),
    5_000: (89_000, 2.0),
}
"""Bytes and round trips by differences."""
ALLOWANCE: Final = 1.5
SEEDS: Final = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """One number of differences; the worst of several pairs of stores."""

    differences: int
    bytes: int
    round_trips: float
    cpu_ms: float
    get_bytes: int
    reference_bytes: int
    reference_round_trips: float

    @property
    def is_met(self) -> bool:
        """Whether bytes and round trips are within the allowance."""
        return (
            self.bytes <= ALLOWANCE * self.reference_bytes
            and self.round_trips <= ALLOWANCE * self.reference_round_trips
        )


def measure(common: int, differences: int, seeds: int = SEEDS) -> Figures:
    """Compare pairs of stores. Raises `AssertionError` if a difference was not found."""
    pairs = [RangePair.build(common, differences, seed=10 * seed) for seed in range(seeds)]
    cpu_s, get_bytes = 0.0, 0
    for pair in pairs:
        begin_s = time.process_time()
        session = pair.compare()
        cpu_s = max(cpu_s, time.process_time() - begin_s)
        found = len(session.needed) + len(session.lacked)
        assert session.is_settled, "the session ended too early"
        assert found == differences, f"found {found} of {differences} differences"
        names = list(session.needed)
        gets = [names[at : at + GET_IDS_MAX] for at in range(0, len(names), GET_IDS_MAX)]
        get_bytes = max(get_bytes, sum(len(encode_message(Get(1, tuple(ids)))) for ids in gets))
    return Figures(
        differences,
        max(pair.size_bytes for pair in pairs),
        max(pair.round_trips for pair in pairs),
        round(1e3 * cpu_s, 1),
        get_bytes,
        *REFERENCES[differences],
    )


SESSION_BYTES_MAX: Final = ROUNDS_MAX * 2 * ANSWER_BYTES_MAX
"""A session's questions and answers, each of one frame."""


@dataclass(frozen=True, slots=True)
class HostileFigures:
    """What one way of lying costs whoever asks."""

    answers: str
    rounds: int
    bytes: int
    noted: int
    cpu_ms: float

    @property
    def is_met(self) -> bool:
        """Whether the bounds of a session held."""
        return (
            self.rounds <= ROUNDS_MAX
            and self.bytes <= SESSION_BYTES_MAX
            and self.noted <= 2 * FOUND_MAX
        )


def measure_hostile(common: int) -> list[HostileFigures]:
    """Ask whoever answers with lies about a store of so many."""
    chance = random.Random(1)
    store = RangePair.build(common, 0).asking
    ways: list[tuple[str, Shelf, Callable[[Ranges], Ranges]]] = [
        ("false fingerprints", store, lambda question: split_evenly(question, 1, chance)),
        ("endless parts", store, lambda question: split_evenly(question, 2_000, chance)),
        # Whoever holds nothing must ask about everything, and believes most.
        ("names of nothing", Shelf(), lambda question: name_nothing(question, chance)),
        ("an empty store", store, claim_nothing),
    ]
    found = []
    for name, asking, answer in ways:
        pair = RangePair(asking, Shelf(), START)
        begin_s = time.process_time()
        session = pair.compare(answer)
        cpu_ms = round(1e3 * (time.process_time() - begin_s), 1)
        noted = len(session.needed) + len(session.lacked)
        found.append(HostileFigures(name, session.rounds, pair.size_bytes, noted, cpu_ms))
    return found


def show_hostile(figures: HostileFigures) -> str:
    """A line for people."""
    return (
        f"{figures.answers:<20}{figures.rounds:>3} of {ROUNDS_MAX}"
        f"{figures.bytes:>11,} of {SESSION_BYTES_MAX:,} B"
        f"{figures.noted:>8,} of {2 * FOUND_MAX:,}{figures.cpu_ms:>8.1f} ms"
        f"  {'ok' if figures.is_met else 'TOO MUCH'}"
    )


def show(figures: Figures) -> str:
    """A line for people."""
    return (
        f"{figures.differences:>6}  {figures.bytes:>9,} / {figures.round_trips:<4g}"
        f"{figures.reference_bytes:>9,} / {figures.reference_round_trips:<4g}"
        f"{figures.bytes / figures.reference_bytes:>7.2f}x{figures.cpu_ms:>8.1f} ms"
        f"{figures.get_bytes:>10,}  {'ok' if figures.is_met else 'TOO MUCH'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--common", type=int, default=20_000)
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    arguments = parser.parse_args()
    origin = {
        "common": arguments.common,
        "machine": describe_machine(),
        "revision": describe_revision(),
    }
    if not arguments.json:
        print("differ   bytes / round trips    reference   bytes       CPU  GET bytes")
    for differences in REFERENCES:
        figures = measure(arguments.common, differences)
        line = {**asdict(figures), "is_met": figures.is_met, **origin}
        print(json.dumps(line) if arguments.json else show(figures))
    if not arguments.json:
        print("\nanswers            rounds      bytes both ways     vertices noted     CPU")
    for hostile in measure_hostile(arguments.common):
        line = {**asdict(hostile), "is_met": hostile.is_met, **origin}
        print(json.dumps(line) if arguments.json else show_hostile(hostile))


if __name__ == "__main__":
    main()
