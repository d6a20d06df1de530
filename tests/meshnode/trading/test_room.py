"""The room says what is to be said, again where it got lost, and ends with the node."""

from __future__ import annotations

import asyncio

import pytest

from dag.canonical import encode
from dag.crypto import HYBRID_SIGNATURE_BYTES
from dag.types import BODY_BYTES_MAX
from market.commands import Batch, Command, Decline, PostReceipt
from market.receipts import SignedReceipt
from meshnode.errors import StorageError
from meshnode.trading import room as room_module
from meshnode.trading.records import DeliveryRecords
from meshnode.trading.room import open_room, pack
from tests.support.serving_net import until
from tests.support.trading_net import BUYER, FIRST, PRICE


def trade(net) -> None:
    net.scene.make_provider(FIRST)
    net.scene.offer(FIRST, PRICE, 5)
    net.scene.bid(BUYER, PRICE, 5)
    net.ring()


async def test_node_without_an_engine_takes_no_task(net):
    provider = await net.add(FIRST)
    trade(net)
    await until(lambda: provider.said(Decline))
    await net.settle()


async def test_what_got_lost_is_said_again(net, monkeypatch):
    monkeypatch.setattr(room_module, "SAID_AGAIN_MS", 50)
    monkeypatch.setattr(room_module, "LOOK_EVERY_MS", 20)
    provider = await net.add(FIRST)
    provider.port.mutes = (Decline,)
    trade(net)
    await until(lambda: len(provider.said(Decline)) == 2)
    provider.port.mutes = ()
    await net.settle()


async def test_what_cannot_be_said_now_is_said_later(net, monkeypatch):
    monkeypatch.setattr(room_module, "LOOK_EVERY_MS", 20)
    provider = await net.add(FIRST)
    provider.port.refuses = True
    trade(net)
    await until(lambda: provider.port.refused > 1)
    assert provider.port.said == []
    provider.port.refuses = False
    await net.settle()


async def test_old_records_are_forgotten_while_the_node_runs(net, monkeypatch):
    forgotten: list[int] = []

    async def forget(self: DeliveryRecords, time_ms: int) -> None:
        forgotten.append(time_ms)

    monkeypatch.setattr(DeliveryRecords, "forget_before", forget)
    monkeypatch.setattr(room_module, "KEPT_MS", -1)
    monkeypatch.setattr(room_module, "IDLE_LOOK_MS", 5)
    await net.add(FIRST)
    await until(lambda: forgotten)


async def test_room_ends_with_the_node(net, tmp_path):
    trader = await net.add(FIRST)

    async def end(on_commit) -> None:
        on_commit()

    trader.port.follow = end
    async with open_room(trader.port, tmp_path) as again:
        await asyncio.wait_for(again.run(), 5)


async def test_what_made_a_room_end_is_told(net, tmp_path, monkeypatch):
    failed = asyncio.Event()

    async def fail(self, time_ms: int) -> None:
        failed.set()
        raise StorageError("the disk is full")

    trader = await net.add(FIRST)
    monkeypatch.setattr(DeliveryRecords, "forget_before", fail)
    monkeypatch.setattr(room_module, "KEPT_MS", -1)
    monkeypatch.setattr(room_module, "IDLE_LOOK_MS", 5)
    with pytest.raises(ExceptionGroup) as caught:
        async with open_room(trader.port, tmp_path):
            await asyncio.wait_for(failed.wait(), 5)
    assert caught.group_contains(StorageError)


def test_commands_are_said_in_as_many_vertices_as_they_take():
    signature = bytes(HYBRID_SIGNATURE_BYTES)
    receipts = [
        PostReceipt(SignedReceipt(bytes([n]) * 150, signature, signature)) for n in range(5)
    ]
    commands: list[Command] = [Decline(bytes(32)), *receipts, Decline(bytes(32))]
    groups = list(pack(commands))
    assert [len(group) for group in groups] == [3, 2, 2]
    assert [each for group in groups for each in group] == commands
    assert all(len(encode(Batch(group))) <= BODY_BYTES_MAX for group in groups)
    assert list(pack([])) == []
