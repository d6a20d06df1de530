"""Applying effects: what order they take, and what one that fails does to the node."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dag.errors import Offence
from meshnode.core.effects import (
    Dial,
    Emit,
    Hangup,
    LoadStored,
    Penalise,
    Persist,
    RunJob,
    Send,
    SendStored,
    SignProof,
    StoreValue,
    StoreVertex,
)
from meshnode.core.events import Alone
from meshnode.core.inputs import DialEnded, Loaded
from meshnode.core.messages import Items, Ping, encode_message
from meshnode.errors import StorageError
from meshnode.shell.apply import Applier
from meshnode.shell.bulk import BulkSender
from meshnode.shell.journal import open_journal
from meshnode.shell.telemetry import Telemetry
from meshnode.shell.verify_pool import VerifyPool
from meshnode.transport.base import Channel
from tests.support.dag_builder import DagBuilder
from tests.support.fake_transport import FakeTransport
from tests.support.runtimes import wait_until

BUILDER = DagBuilder(authors=2).profiles().layer()
PERSON = BUILDER.people[0]


class Applicant:
    def __init__(self):
        self.events = []
        self.receipts = {}
        self.failures = []
        self.news = asyncio.Event()

    def on_event(self, event):
        self.events.append(event)

    def on_receipt(self, job, outcome):
        assert job not in self.receipts, "one receipt per job"
        self.receipts[job] = outcome
        self.news.set()

    def on_failure(self, error):
        self.failures.append(error)
        self.news.set()

    async def wait_receipts(self, count):
        while len(self.receipts) < count:
            self.news.clear()
            await self.news.wait()


@pytest.fixture
async def bench(tmp_path):
    bench = Bench()
    bench.journal = await open_journal(tmp_path, BUILDER.network)
    bench.pool = VerifyPool(PERSON.secrets, "ed25519")
    bench.transport, bench.telemetry, bench.applicant = FakeTransport(), Telemetry(), Applicant()
    bulk = BulkSender(bench.transport, bench.journal, bench.telemetry, bench.applicant.on_failure)
    bench.applier = Applier(
        transport=bench.transport,
        journal=bench.journal,
        pool=bench.pool,
        bulk=bulk,
        telemetry=bench.telemetry,
        applicant=bench.applicant,
        is_heard=lambda peer: peer not in bench.unheard,
    )
    yield bench
    await bench.applier.close()
    await bench.pool.close()
    await bench.journal.close()


class Bench:
    journal: Any
    pool: Any
    transport: Any
    telemetry: Any
    applicant: Any
    applier: Any
    unheard: tuple[str, ...] = ()


def send(nonce, *to):
    return Send(to or ("peer",), Channel.CONTROL, Ping(nonce))


def persist(signed):
    return Persist(StoreVertex(signed.id, signed.wire))


async def test_nothing_behind_a_persist_leaves_before_it_is_durable(bench, monkeypatch):
    started, go_on = asyncio.Event(), asyncio.Event()
    append = bench.journal.append

    async def slow(records, commits):
        started.set()
        await go_on.wait()
        await append(records, commits)

    monkeypatch.setattr(bench.journal, "append", slow)
    durable = []
    bench.transport.on_send = lambda: durable.append(started.is_set() and go_on.is_set())
    effects = [send(1), persist(BUILDER.vertices[0]), send(2), Emit(Alone(()))]
    effects += [persist(BUILDER.vertices[1]), send(3)]
    applying = asyncio.ensure_future(bench.applier.apply(effects))
    await started.wait()
    assert [frame for _, _, frame in bench.transport.sent] == [encode_message(Ping(1))]
    assert bench.applicant.events == []
    go_on.set()
    await applying
    assert durable == [False, True, True]
    assert bench.applicant.events == [Alone(())]
    assert bench.telemetry.snapshot()["counters"]["transactions"] == 1
    assert len(await bench.journal.read([v.id for v in BUILDER.vertices])) == 2


async def test_nothing_behind_a_persist_leaves_when_the_disk_fails(bench, monkeypatch):
    async def refuse(records, commits):
        raise StorageError("the disk refused")

    monkeypatch.setattr(bench.journal, "append", refuse)
    with pytest.raises(StorageError):
        await bench.applier.apply([send(1), persist(BUILDER.vertices[0]), send(2)])
    assert len(bench.transport.sent) == 1


async def test_send_encodes_once_and_counts_what_was_not_taken(bench):
    await bench.applier.apply([send(1, "a", "b")])
    (_, _, first), (_, _, second) = bench.transport.sent
    assert first is second
    bench.transport.takes = False
    await bench.applier.apply([send(2, "a", "b")])
    counters = bench.telemetry.snapshot()["counters"]
    assert (counters["frames_sent"], counters["frames_not_taken"]) == (2, 2)


async def test_every_dial_and_job_ends_in_one_receipt(bench):
    await bench.applier.apply([persist(v) for v in BUILDER.vertices])
    ids = (BUILDER.vertices[3].id, bytes(32), BUILDER.vertices[0].id)
    await bench.applier.apply(
        [
            Dial(1, "a", ("memory:a",)),
            Dial(2, "b", ()),
            RunJob(3, LoadStored(ids)),
            *(RunJob(job, SignProof(b"x")) for job in range(4, 30)),
        ]
    )
    assert bench.applier.jobs > 0
    await bench.applicant.wait_receipts(29)
    receipts = bench.applicant.receipts
    assert receipts[1] == DialEnded("")
    assert receipts[2] == DialEnded("no usable address of b")
    assert isinstance(receipts[3], Loaded)
    assert [v.id for v in receipts[3].vertices] == [ids[0], ids[2]]
    assert bench.transport.dialled == ["a", "b"]


async def test_a_job_that_fails_stops_the_node(bench, monkeypatch):
    async def fail(jobs):
        raise RuntimeError("broken library")

    monkeypatch.setattr(bench.pool, "run", fail)
    await bench.applier.apply([RunJob(1, SignProof(b"x"))])
    await bench.applicant.news.wait()
    assert isinstance(bench.applicant.failures[0], RuntimeError)


async def test_closing_ends_dials_without_receipts(bench, monkeypatch):
    async def hang(peer, addresses):
        await asyncio.Event().wait()

    monkeypatch.setattr(bench.transport, "dial", hang)
    await bench.applier.apply([Dial(1, "a", ("x",))])
    await asyncio.sleep(0)
    await bench.applier.close()
    assert bench.applicant.receipts == {}
    assert bench.applicant.failures == []


async def test_hangups_offences_and_stored_sends_reach_their_places(bench):
    await bench.applier.apply(
        [
            persist(BUILDER.vertices[0]),
            Hangup("a", "reason"),
            Penalise("a", Offence.FLOOD, "", 0),
            Persist(StoreValue("k", b"v")),
            SendStored("b", 5, (BUILDER.vertices[0].id,)),
        ]
    )
    assert bench.transport.hung_up == [("a", "reason")]
    assert bench.telemetry.snapshot()["offences"] == {"flood": 1}
    await wait_until(lambda: bench.transport.sent)
    items = Items(5, (BUILDER.vertices[0].wire,), (), 0, last=True)
    assert bench.transport.sent == [("b", Channel.BULK, encode_message(items))]


async def test_nothing_said_to_an_ended_connection_reaches_the_next_one(bench):
    bench.unheard = ("a",)
    await bench.applier.apply([send(1, "a"), send(2, "a", "b"), Hangup("a", "x")])
    await bench.applier.apply([SendStored("a", 1, ())])
    assert [peer for peer, *_ in bench.transport.sent] == ["b"]
    assert bench.transport.hung_up == []
    assert bench.telemetry.snapshot()["counters"]["frames_not_taken"] == 2
