"""Publications wait for peers that are behind, and never for long."""

from __future__ import annotations

import asyncio

from meshnode.shell.pacing import BEHIND_MAX_S, IGNORED_S, PATIENCE_S, QUEUED_BYTES_MAX, Pace
from tests.support.fake_transport import FakeTransport


class _Queues(FakeTransport):
    """A transport of which only the queues are looked at."""

    def __init__(self, **queued):
        super().__init__()
        self.sizes = queued

    def queued_bytes(self, peer, channel):
        return self.sizes[peer]


class _Loop:
    """Stands in for the running loop's clock."""

    def __init__(self):
        self.now_s = 0.0

    def time(self):
        return self.now_s


def make(monkeypatch, **queued):
    queues, loop = _Queues(**queued), _Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    return Pace(queues, lambda: tuple(queues.sizes)), queues, loop


def test_publication_passes_when_every_peer_has_room(monkeypatch):
    pace, _, _ = make(monkeypatch, a=0, b=QUEUED_BYTES_MAX)
    assert not pace._must_wait()


def test_one_peer_behind_sets_the_pace_until_it_has_caught_up(monkeypatch):
    pace, queues, _ = make(monkeypatch, a=0, b=QUEUED_BYTES_MAX + 1)
    assert pace._must_wait()
    queues.sizes["b"] = 0
    assert not pace._must_wait()


def test_peer_that_stays_behind_loses_its_say_for_a_while(monkeypatch):
    pace, queues, loop = make(monkeypatch, a=0, slow=QUEUED_BYTES_MAX + 1)
    assert pace._must_wait()
    loop.now_s = PATIENCE_S
    assert not pace._must_wait()
    queues.sizes["slow"] = 0
    assert not pace._must_wait()
    queues.sizes["slow"] = QUEUED_BYTES_MAX + 1
    loop.now_s += IGNORED_S - 0.1
    assert not pace._must_wait()
    queues.sizes["a"] = QUEUED_BYTES_MAX + 1
    assert pace._must_wait()
    queues.sizes["a"] = 0
    queues.sizes["slow"] = 0
    assert not pace._must_wait()
    loop.now_s += 0.2
    queues.sizes["slow"] = QUEUED_BYTES_MAX + 1
    assert pace._must_wait()


def test_peer_that_takes_what_is_queued_is_waited_for_longer(monkeypatch):
    pace, queues, loop = make(monkeypatch, a=2 * QUEUED_BYTES_MAX, b=0)
    while loop.now_s < BEHIND_MAX_S:
        assert pace._must_wait(), loop.now_s
        queues.sizes["a"] -= 1
        loop.now_s += PATIENCE_S / 2
    assert not pace._must_wait()


def test_busy_majority_is_waited_for_as_long_as_it_takes_what_is_queued(monkeypatch):
    full = 2 * QUEUED_BYTES_MAX
    pace, queues, loop = make(monkeypatch, a=full, b=full, c=0)
    while loop.now_s < 4 * BEHIND_MAX_S:
        assert pace._must_wait(), loop.now_s
        queues.sizes["a"] -= 1
        queues.sizes["b"] -= 1
        loop.now_s += PATIENCE_S / 2
    assert pace._must_wait()
    loop.now_s += PATIENCE_S
    assert not pace._must_wait()


def test_peer_that_is_gone_is_forgotten(monkeypatch):
    pace, queues, _ = make(monkeypatch, a=QUEUED_BYTES_MAX + 1)
    assert pace._must_wait()
    queues.sizes.clear()
    assert not pace._must_wait()


async def test_waiters_pass_in_order_once_there_is_room():
    queues = _Queues(a=QUEUED_BYTES_MAX + 1)
    pace = Pace(queues, lambda: ("a",))
    passed = []

    async def publish(number):
        await pace.wait()
        passed.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(publish(number))
        await asyncio.sleep(0)
        assert passed == []
        queues.sizes["a"] = 0
    assert passed == [0, 1, 2, 3, 4]
