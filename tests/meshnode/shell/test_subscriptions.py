"""Subscriptions to events: from now on, bounded, and ended with the node."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.core.events import Alone
from meshnode.errors import StorageError
from meshnode.shell.subscriptions import EventHub, SubscriberLagged


def make_event(number):
    return Alone(((str(number), ""),))


async def test_subscription_sees_what_is_published_from_now_on():
    hub = EventHub()
    hub.publish(make_event(0))
    async with hub.subscribe(4) as events:
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        hub.publish(make_event(1))
        hub.publish(make_event(2))
        assert await waiting == make_event(1)
        assert await anext(events) == make_event(2)


async def test_subscription_that_lags_gets_what_it_had_and_then_a_number():
    hub = EventHub()
    slow, fast = hub.subscribe(2), hub.subscribe(10)
    for number in range(5):
        hub.publish(make_event(number))
    assert [await anext(slow), await anext(slow)] == [make_event(0), make_event(1)]
    with pytest.raises(SubscriberLagged, match="missed 3 events; subscribe again"):
        await anext(slow)
    hub.publish(make_event(5))
    with pytest.raises(StopAsyncIteration):
        await anext(slow)
    assert [await anext(fast) for _ in range(6)] == [make_event(n) for n in range(6)]


async def test_subscription_ends_with_the_node():
    hub = EventHub()
    events = hub.subscribe(2)
    hub.publish(make_event(1))
    hub.end(None)
    assert [event async for event in events] == [make_event(1)]
    assert [event async for event in hub.subscribe(1)] == []


async def test_subscription_raises_what_made_the_node_fail():
    hub = EventHub()
    events = hub.subscribe(2)
    hub.end(StorageError("the disk refused"))
    with pytest.raises(StorageError):
        await anext(events)
    with pytest.raises(StorageError):
        await anext(hub.subscribe(1))


async def test_subscription_closed_twice_is_forgotten_once():
    hub = EventHub()
    events = hub.subscribe(1)
    events.close()
    events.close()
    hub.publish(make_event(1))
    assert [event async for event in events] == []
