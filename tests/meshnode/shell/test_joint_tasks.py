"""Tasks that end together."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.shell.joint_tasks import join


async def fail():
    raise ValueError("broken")


async def test_first_that_ends_ends_the_others():
    forever = asyncio.create_task(asyncio.Event().wait())
    await join(asyncio.create_task(asyncio.sleep(0)), forever)
    assert forever.cancelled()


async def test_failure_of_one_ends_the_others_and_is_raised():
    forever = asyncio.create_task(asyncio.Event().wait())
    with pytest.raises(ValueError, match="broken"):
        await join(forever, asyncio.create_task(fail()), return_when=asyncio.FIRST_EXCEPTION)
    assert forever.cancelled()


async def test_all_are_waited_for_where_only_a_failure_ends_them():
    done: list[int] = []

    async def work(number: int, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        done.append(number)

    first, last = (asyncio.create_task(work(number, 5 * number)) for number in (1, 2))
    await join(first, last, return_when=asyncio.FIRST_EXCEPTION)
    assert done == [1, 2]


async def test_whoever_is_cancelled_ends_all():
    tasks = [asyncio.create_task(asyncio.Event().wait()) for _ in range(2)]
    joining = asyncio.create_task(join(*tasks))
    await asyncio.sleep(0)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    assert all(task.cancelled() for task in tasks)
