"""One long run of intake, as one digest: equal in every process."""

from __future__ import annotations

import hashlib
import random

from dag.intake import Intake
from dag.quarantine import QuarantineLimits
from tests.support.dag_builder import START_MS, DagBuilder


def probe() -> str:
    """Deliver a forked DAG in a bad order through a small quarantine; digest every outcome."""
    builder = DagBuilder(5).profiles()
    for number in range(8):
        builder.layer()
        builder.fork(number % 5)
        builder.block(number % 5, builder.heads)
    builder.join(0)
    order = builder.vertices * 3
    random.Random(7).shuffle(order)
    intake = Intake(builder.genesis, QuarantineLimits(peer_count_max=10, author_count_max=6))
    trace = hashlib.sha256()
    for step, signed in enumerate(order):
        outcome = intake.offer(START_MS + step * 500, f"peer-{step % 4}", signed)
        trace.update(repr(outcome).encode())
        trace.update(repr(intake.expire(START_MS + step * 500)).encode())
    trace.update(repr(intake.heads.refs).encode())
    trace.update(repr([entry.ref for entry in intake.index.iterate()]).encode())
    return trace.hexdigest()
