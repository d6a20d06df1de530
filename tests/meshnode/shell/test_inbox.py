"""The bounded inbox of the core: its order, its limit and its end."""

from __future__ import annotations

import asyncio

from meshnode.core.inputs import Ticked
from meshnode.shell.inbox import Inbox


async def test_inbox_gives_entries_in_order_and_stamps_them_when_taken():
    inbox = Inbox(4)
    await inbox.put([Ticked, lambda now: Ticked(now + 1)])
    first, second = inbox.take(), inbox.take()
    assert first is not None
    assert second is not None
    assert [first(5), second(6)] == [Ticked(5), Ticked(7)]
    assert inbox.take() is None


async def test_inbox_makes_a_putter_wait_until_there_is_room():
    inbox = Inbox(2)
    await inbox.put([Ticked, Ticked])
    waiting = asyncio.ensure_future(inbox.put([Ticked]))
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.release()
    await asyncio.sleep(0)
    assert not waiting.done(), "still full"
    inbox.take()
    inbox.release()
    await waiting
    assert len(inbox) == 2


async def test_inbox_takes_receipts_even_when_full():
    inbox = Inbox(1)
    inbox.put_now([Ticked])
    inbox.put_now([Ticked])
    assert len(inbox) == 2


async def test_inbox_wait_ends_by_news_and_by_wake():
    inbox = Inbox(1)
    waiting = asyncio.ensure_future(inbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put_now([Ticked])
    await waiting
    await inbox.wait()
    inbox.take()
    waiting = asyncio.ensure_future(inbox.wait())
    await asyncio.sleep(0)
    inbox.wake()
    await waiting


async def test_inbox_drops_everything_once_closed():
    inbox = Inbox(1)
    await inbox.put([Ticked])
    waiting = asyncio.ensure_future(inbox.put([Ticked]))
    await asyncio.sleep(0)
    inbox.close()
    await waiting
    inbox.put_now([Ticked])
    assert inbox.take() is None
    await inbox.wait()
