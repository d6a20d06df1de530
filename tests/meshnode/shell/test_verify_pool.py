"""The pool of verifying threads: order, hops of bounded size, signatures."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dag.crypto import verify_suite
from dag.errors import Offence
from dag.vertex import compute_signed_message
from meshnode.core.admission import Admission
from meshnode.core.effects import SignProof, SignVertex, Verify, VerifyItem
from meshnode.core.inputs import Checks, Standing, Vertices
from meshnode.core.messages import Ping, Push, encode_message
from meshnode.shell.verify_pool import HOP_BYTES_MAX, Refusal, VerifyPool, split_frames
from tests.support.dag_builder import DagBuilder

BUILDER = DagBuilder(authors=2).profiles().layer(body=bytes(2_000))
PERSON = BUILDER.people[0]


class Authors:
    def get_keys(self, author):
        return next((p.keys for p in BUILDER.people if p.author == author), None)


ADMISSION = Admission(BUILDER.network, "ed25519", Authors(), lambda vertex_id: False)


@pytest.fixture
async def pool():
    opened = VerifyPool(PERSON.secrets, "ed25519")
    yield opened
    await opened.close()


async def test_pool_checks_frames_in_order_and_keeps_what_is_wrong_apart(pool):
    good = encode_message(Push(tuple(v.wire for v in BUILDER.vertices[2:])))
    bad = bytearray(good)
    bad[-1] ^= 1
    checked = await pool.check(ADMISSION, [good, bytes(bad), encode_message(Ping(1)), b"\xc1"])
    assert isinstance(checked[0], Vertices)
    assert [c.standing for c in checked[0].candidates] == [Standing.VERIFIED] * 2
    assert checked[1].offence is Offence.BAD_SIGNATURE
    assert checked[2] == Ping(1)
    assert isinstance(checked[3], Refusal)
    assert checked[3].offence is Offence.MALFORMED


async def test_pool_checks_a_few_small_frames_without_a_thread(pool):
    before = threading.active_count()
    assert await pool.check(ADMISSION, [encode_message(Ping(7))]) == [Ping(7)]
    assert threading.active_count() == before


async def test_pool_is_idle_until_every_thread_has_a_hop_and_one_waits(pool):
    frames = [encode_message(Push(tuple(v.wire for v in BUILDER.vertices)))]
    hops = []
    while pool.is_idle:
        hops.append(pool.check(ADMISSION, frames))
    assert len(hops) == 3
    await asyncio.wait(hops)
    assert pool.is_idle


async def test_pool_signs_and_verifies(pool):
    vertex_id = BUILDER.vertices[0].id
    jobs = [(1, SignVertex(vertex_id)), (2, SignProof(b"proof"))]
    (first, signed), (second, proof) = await pool.run(jobs)
    assert (first, second) == (1, 2)
    message = compute_signed_message(vertex_id)
    assert verify_suite("ed25519", PERSON.keys, message, signed.signature)
    items = (
        VerifyItem(PERSON.keys, b"proof", proof.signature),
        VerifyItem(PERSON.keys, b"other", proof.signature),
    )
    assert await pool.run([(3, Verify(items))]) == [(3, Checks((True, False)))]


async def test_pool_leaves_no_thread_after_closing():
    before = set(threading.enumerate())
    pool = VerifyPool(PERSON.secrets, "ed25519")
    work = pool.run([(n, SignProof(b"x")) for n in range(20)])
    running = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    await pool.close()
    assert len(await running) == 20
    assert set(threading.enumerate()) == before


def test_split_frames_bounds_each_hop_and_keeps_order():
    frames = [bytes([n]) * 50_000 for n in range(7)]
    hops = list(split_frames(frames))
    assert [frame for hop in hops for frame in hop] == frames
    assert all(sum(map(len, hop)) <= HOP_BYTES_MAX for hop in hops)
    assert list(split_frames([bytes(HOP_BYTES_MAX + 1), b"x"])) == [
        [bytes(HOP_BYTES_MAX + 1)],
        [b"x"],
    ]
    assert list(split_frames([])) == []
