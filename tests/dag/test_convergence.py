"""Peers that were given the same vertices agree, whatever the order, the process, the hash seed."""

from __future__ import annotations

import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from dag.heads import compute_heads_digest
from dag.intake import Intake
from dag.types import LANE_SPEECH
from tests.support.dag_builder import START_MS, DagBuilder

NOW = START_MS + 60_000


@st.composite
def dags(draw):
    """A random DAG: joins, forks whose twins are built on or not, blocks, odd parents."""
    builder = DagBuilder(draw(st.integers(1, 4))).profiles()
    for _ in range(draw(st.integers(0, 14))):
        action = draw(st.sampled_from(["note", "note", "odd", "fork", "block", "join", "layer"]))
        author = draw(st.integers(0, len(builder.people) - 1))
        speech = [s.ref for s in builder.vertices if s.vertex.lane == LANE_SPEECH]
        if action == "note":
            builder.vertex(author)
        elif action == "odd":
            builder.vertex(author, parents=draw(st.sets(st.sampled_from(speech), max_size=4)))
        elif action == "fork" and builder.last(author).vertex.seq > 0:
            builder.fork(author, body=draw(st.binary(min_size=4, max_size=4)))
        elif action == "block":
            builder.block(author, builder.heads)
        elif action == "join":
            builder.join(author)
        elif action == "layer":
            builder.layer()
    return builder


def deliver(builder, order):
    """Offer vertices until nothing new enters, as a peer does that fetches what it misses."""
    intake = Intake(builder.genesis)
    before = None
    while before != (len(intake.index), len(intake.quarantine)):
        before = (len(intake.index), len(intake.quarantine))
        for signed in order:
            intake.offer(NOW, "peer", signed)
    assert intake.drain_rejected() == ()
    assert len(intake.quarantine) == 0
    return intake


def describe(intake):
    return (
        [entry.ref for entry in intake.index.iterate()],
        intake.heads.refs,
        intake.heads.speech_refs,
        compute_heads_digest(intake.heads.collect_digest_refs(intake.index, intake.authors)),
        sorted(author.id for author in intake.authors),
        sorted(fork.author for fork in intake.forks),
    )


@given(dags(), st.randoms(use_true_random=False))
def test_store_does_not_depend_on_the_order_of_delivery(builder, random):
    forked = any(len(slot) > 2 for slot in slots(builder).values())
    first = deliver(builder, builder.vertices)
    order = list(builder.vertices)
    random.shuffle(order)
    second = deliver(builder, order)
    if forked:  # of three twins nobody built on, peers may keep different two
        assert describe(first)[3:] == describe(second)[3:]
    else:
        assert describe(first) == describe(second)
        assert len(first.index) == len(builder.vertices)


def slots(builder):
    found: dict[tuple[bytes, int, int], list[bytes]] = {}
    for signed in builder.vertices:
        key = (signed.vertex.author, signed.vertex.lane, signed.vertex.seq)
        found.setdefault(key, []).append(signed.id)
    return found


@given(dags(), st.data())
def test_store_is_closed_under_ancestors_whatever_is_withheld(builder, data):
    intake = Intake(builder.genesis)
    for signed in data.draw(st.permutations(builder.vertices)):
        if data.draw(st.integers(0, 4)):
            intake.offer(NOW, "peer", signed)
        for entry in intake.index.iterate():
            assert intake.index.find_unknown(entry.parents) == ()
        assert len(intake.index) + len(intake.quarantine) <= len(builder.vertices)


@given(dags())
def test_restart_from_the_order_of_admission_gives_the_same_store(builder):
    intake = deliver(builder, builder.vertices)
    by_id = {signed.id: signed for signed in builder.vertices}
    again = Intake(builder.genesis)
    for entry in sorted(intake.index.iterate(), key=lambda entry: entry.position):
        again.restore(by_id[entry.ref.id])
    assert describe(again) == describe(intake)
    assert again.forks == intake.forks


def test_outcomes_do_not_depend_on_the_hash_seed():
    code = "from tests.support.dag_probe import probe; print(probe())"
    digests = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        digests.append(done.stdout.strip())
    assert digests[0] == digests[1]
    assert len(digests[0]) == 64
