"""What one vertex costs the dag kernel, in microseconds of CPU, beside its signature work.

    python -m benchmarks.bench_dag [--vertices 2000] [--body 5000] [--json]

Every figure is the best of several runs over the same vertices, so that a noisy machine shows.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

from dag.crypto import get_provider
from dag.genesis import Suite
from dag.identity import VerifiedVertex, sign_vertex, trust_stored, verify_vertex
from dag.intake import Intake
from dag.keys import PublicKeys
from dag.vertex import decode_signed
from tests.support.dag_builder import START_MS, DagBuilder

RUNS = 5
VERIFIED_MAX = 400
"""Signatures checked per run; they cost some 250 us each."""


def build(suite: Suite, vertices: int, body_bytes: int, authors: int) -> DagBuilder:
    """A dense DAG: every vertex names as many parents as it may."""
    builder = DagBuilder(authors, suite=suite).profiles()
    while len(builder.vertices) < vertices:
        builder.layer(body=bytes(body_bytes))
    return builder


def measure(run: Callable[[], int]) -> float:
    """Microseconds of CPU per vertex, best of several runs; `run` answers how many it handled."""
    best = float("inf")
    for _ in range(RUNS):
        start = time.process_time()
        count = run()
        best = min(best, (time.process_time() - start) / count)
    return best * 1e6


def measure_suite(suite: Suite, vertices: int, body_bytes: int, authors: int) -> dict[str, float]:
    """The steps of a foreign vertex's way into the store, and of signing an own one."""
    builder = build(suite, vertices, body_bytes, authors)
    wires = [signed.wire for signed in builder.vertices]
    keys: dict[bytes, PublicKeys] = {person.author: person.keys for person in builder.people}
    decoded = [decode_signed(wire) for wire in wires]
    sample = decoded[:VERIFIED_MAX]

    def decode() -> int:
        for wire in wires:
            decode_signed(wire)
        return len(wires)

    def verify() -> int:
        for signed in sample:
            verify_vertex(keys[signed.vertex.author], suite, signed)
        return len(sample)

    def sign() -> int:
        for signed in sample[:100]:
            sign_vertex(builder.people[0].secrets, suite, signed.vertex)
        return len(sample[:100])

    figures = {"decode_us": measure(decode), "verify_us": measure(verify), "sign_us": measure(sign)}
    figures |= measure_intake(builder, [trust_stored(signed) for signed in decoded])
    kernel = figures["decode_us"] + figures["admit_us"]
    figures["total_over_verify"] = (kernel + figures["verify_us"]) / figures["verify_us"]
    figures["wire_bytes"] = sum(map(len, wires)) / len(wires)
    return {name: round(value, 3) for name, value in figures.items()}


def measure_intake(builder: DagBuilder, verified: list[VerifiedVertex]) -> dict[str, float]:
    """Admission in order, admission in reverse (all through the quarantine), and restoring."""
    now_ms = START_MS + 10_000_000

    def admit() -> int:
        intake = Intake(builder.genesis)
        for signed in verified:
            intake.offer(now_ms, "peer", signed)
        assert len(intake.index) == len(verified)
        return len(verified)

    def admit_reversed() -> int:
        intake = Intake(builder.genesis)
        for start in range(0, len(verified), 32):
            for signed in verified[start : start + 32][::-1]:
                intake.offer(now_ms, "peer", signed)
        assert len(intake.index) == len(verified)
        return len(verified)

    def restore() -> int:
        intake = Intake(builder.genesis)
        for signed in verified:
            intake.restore(signed)
        return len(verified)

    return {
        "admit_us": measure(admit),
        "admit_reversed_us": measure(admit_reversed),
        "restore_us": measure(restore),
    }


def main() -> None:
    """Measure both suites and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--vertices", type=int, default=2_000)
    parser.add_argument("--body", type=int, default=5_000, help="bytes of each body")
    parser.add_argument("--authors", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    suites: tuple[Suite, ...] = ("hybrid", "ed25519")
    figures = {
        suite: measure_suite(suite, options.vertices, options.body, options.authors)
        for suite in suites
    }
    if options.json:
        print(json.dumps({"mldsa": get_provider().name, "suites": figures}))
        return
    print(f"per vertex of {options.body} body bytes, ML-DSA by {get_provider().name}")
    for name in figures["hybrid"]:
        print(
            f"  {name:20}" + "".join(f"{suite}{figures[suite][name]:12.2f}   " for suite in suites)
        )


if __name__ == "__main__":
    main()
