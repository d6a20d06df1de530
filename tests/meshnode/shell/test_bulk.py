"""Sending stored vertices in bulk: order, full frames, rests and peers that are gone."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from meshnode.core.effects import SendStored, StoreVertex
from meshnode.core.messages import Items, Message, Push
from meshnode.errors import StorageError
from meshnode.shell import bulk as bulk_module
from meshnode.shell.bulk import QUEUED_BYTES_MAX, BulkSender
from meshnode.shell.journal import open_journal
from meshnode.shell.telemetry import Telemetry
from meshnode.transport.base import FRAME_BYTES_MAX, Channel
from tests.support.dag_builder import DagBuilder
from tests.support.fake_transport import FakeTransport
from tests.support.runtimes import wait_until

BUILDER = DagBuilder(authors=3).profiles()
for number in range(60):
    BUILDER.layer(body=bytes([number]) * (50 + 251 * number))
IDS = tuple(signed.id for signed in BUILDER.vertices)
FAILURES: list[BaseException] = []
decoder = msgspec.msgpack.Decoder(Message)


@pytest.fixture
async def journal(tmp_path):
    journal = await open_journal(tmp_path, BUILDER.network)
    await journal.append([StoreVertex(v.id, v.wire) for v in BUILDER.vertices])
    yield journal
    await journal.close()


@pytest.fixture
async def bulk(journal):
    sender = BulkSender(FakeTransport(), journal, Telemetry(), FAILURES.append)
    FAILURES.clear()
    yield sender
    await sender.close()


async def idle(bulk):
    while bulk._pumps:
        await asyncio.wait(list(bulk._pumps.values()))
        await asyncio.sleep(0)


def sent(bulk, peer):
    frames = [frame for to, _, frame in bulk._transport.sent if to == peer]
    assert all(len(frame) <= FRAME_BYTES_MAX for frame in frames)
    return [decoder.decode(frame) for frame in frames]


async def test_bulk_sends_everything_in_order_in_full_frames(bulk):
    bulk.submit(SendStored("a", 0, IDS))
    bulk.submit(SendStored("b", 9, IDS[:70]))
    await idle(bulk)
    pushes = sent(bulk, "a")
    assert all(isinstance(message, Push) for message in pushes)
    wires = [wire for message in pushes for wire in message.vertices]
    assert wires == [signed.wire for signed in BUILDER.vertices]
    assert len(pushes) <= sum(map(len, wires)) / FRAME_BYTES_MAX * 1.3 + 1
    items = sent(bulk, "b")
    assert [wire for m in items for wire in m.vertices] == wires[:70]
    assert {m.request for m in items} == {9}
    assert [m.last for m in items] == [False] * (len(items) - 1) + [True]
    assert all(channel is Channel.BULK for _, channel, _ in bulk._transport.sent)


async def test_bulk_names_what_is_missing_in_the_last_frame(bulk):
    unknown = bytes(32)
    bulk.submit(SendStored("a", 3, (unknown, IDS[0]), (b"\x01" * 32,)))
    await idle(bulk)
    missing = (b"\x01" * 32, unknown)
    assert sent(bulk, "a") == [Items(3, (BUILDER.vertices[0].wire,), missing, 0, last=True)]


async def test_bulk_gives_many_missing_ids_a_frame_of_their_own(bulk):
    missing = tuple(bytes([n % 256, n // 256]) * 16 for n in range(512))
    bulk.submit(SendStored("a", 3, IDS[-3:], missing))
    await idle(bulk)
    first, last = sent(bulk, "a")
    assert (len(first.vertices), first.missing, first.last) == (3, (), False)
    assert (last.vertices, last.missing, last.last) == ((), missing, True)


async def test_bulk_sends_nothing_for_a_push_of_nothing(bulk):
    bulk.submit(SendStored("a", 0, (bytes(32),)))
    await idle(bulk)
    assert sent(bulk, "a") == []


async def test_bulk_rests_while_the_transport_is_full_and_goes_on_after(bulk, monkeypatch):
    monkeypatch.setattr(bulk_module, "_REST_S", 0)
    transport = bulk._transport
    transport.queued = QUEUED_BYTES_MAX + 1
    bulk.submit(SendStored("a", 0, IDS))
    bulk.submit(SendStored("a", 0, IDS[:1]))
    await bulk._journal.read([])
    assert transport.sent == []
    transport.queued = 1
    transport.takes = False
    await bulk._journal.read([])
    assert transport.sent == []
    transport.queued = 0
    transport.takes = True
    await idle(bulk)
    assert sum(len(message.vertices) for message in sent(bulk, "a")) == len(IDS) + 1


async def test_bulk_loses_nothing_that_comes_as_a_pump_ends(bulk):
    loop = asyncio.get_running_loop()
    send = bulk._transport.send

    def send_last(*args):
        # Runs after the pump has found nothing more to do, and before its task counts as done.
        loop.call_soon(bulk.submit, SendStored("a", 0, IDS[1:2]))
        bulk._transport.send = send
        return send(*args)

    bulk._transport.send = send_last
    bulk.submit(SendStored("a", 0, IDS[:1]))
    await idle(bulk)
    assert [message.vertices for message in sent(bulk, "a")] == [
        (signed.wire,) for signed in BUILDER.vertices[:2]
    ]


async def test_bulk_forgets_a_peer_that_is_gone(bulk):
    bulk._transport.takes = False
    bulk.submit(SendStored("a", 0, IDS))
    await bulk._journal.read([])
    bulk.drop("a")
    bulk.drop("a")
    await idle(bulk)
    bulk._transport.takes = True
    bulk.submit(SendStored("a", 0, IDS[:1]))
    await idle(bulk)
    assert len(sent(bulk, "a")) == 1
    assert FAILURES == []


@pytest.mark.parametrize("ids", [IDS, IDS[:1]])
async def test_bulk_gives_up_on_a_peer_that_went_before_its_answer(bulk, ids):
    bulk._transport.takes = False
    bulk.submit(SendStored("a", 3, ids))
    await idle(bulk)
    assert (bulk._pumps, bulk._queues) == ({}, {})
    assert FAILURES == []


async def test_bulk_keeps_few_answers_for_a_peer_that_does_not_read(bulk):
    bulk._transport.queued = QUEUED_BYTES_MAX + 1
    bulk.submit(SendStored("a", 1, IDS[:1]))
    await bulk._journal.read([])
    for number in range(2, 2 * bulk_module.ANSWERS_MAX):
        bulk.submit(SendStored("a", number, IDS[:1]))
    assert len(bulk._queues["a"]) == bulk_module.ANSWERS_MAX
    bulk._transport.queued = 0
    await idle(bulk)
    assert len(sent(bulk, "a")) == bulk_module.ANSWERS_MAX + 1


async def test_bulk_reports_a_journal_that_fails(bulk, monkeypatch):
    async def refuse(ids):
        raise StorageError("the disk refused")

    monkeypatch.setattr(bulk._journal, "read", refuse)
    bulk.submit(SendStored("a", 0, IDS))
    await wait_until(lambda: FAILURES)
    assert isinstance(FAILURES[0], StorageError)
