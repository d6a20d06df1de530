"""The one task that owns the core: batches, deadlines, commands and failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dag.types import Kind
from meshnode.core.commands import Command, Connect, Leave, Publish, Serve
from meshnode.core.effects import Effect, Emit, Persist, RunJob, SignVertex, StoreValue
from meshnode.core.events import Alone, Published, PublishFailed
from meshnode.core.inputs import (
    Completed,
    Connected,
    Disconnected,
    Input,
    Signed,
    Submitted,
    Ticked,
)
from meshnode.errors import CommandRejected, DeadlineExceeded, StorageError
from meshnode.shell.clock import ManualClock
from meshnode.shell.crash import FILE_NAME, CrashFile
from meshnode.shell.inbox import Inbox
from meshnode.shell.recording import InputRecord, decode_input
from meshnode.shell.runner import STANDING_MAX, Runner
from meshnode.shell.subscriptions import EventHub
from meshnode.shell.telemetry import Telemetry
from tests.support.dag_builder import DagBuilder
from tests.support.runtimes import wait_until

SIGNED = DagBuilder(authors=1).profiles().vertices[0]


class Core:
    """Notes its inputs; answers what it is told to."""

    def __init__(self):
        self.inputs = []
        self.next_wakeup = None
        self.is_over = False
        self.answer: Callable[[Input], list[Effect]] = lambda entry: []

    def start(self, now_ms):
        self.inputs.append(("start", now_ms))
        return []

    def handle(self, entry):
        self.inputs.append(entry)
        return self.answer(entry)


class Applier:
    def __init__(self):
        self.batches = []
        self.jobs = 0
        self.failure = None
        self.dropped = 0
        self.runner: Any = None

    async def drop_jobs(self):
        self.dropped += 1

    async def apply(self, effects):
        self.batches.append(list(effects))
        if self.failure:
            raise self.failure
        for effect in effects:
            if isinstance(effect, Emit):
                self.runner.on_event(effect.event)


def stand_in(fake) -> Any:
    return fake


class Bench:
    def __init__(self, folder):
        self.core = stand_in(Core())
        self.applier = stand_in(Applier())
        self.clock = ManualClock(1_000)
        self.inbox, self.hub, self.telemetry = Inbox(8), EventHub(), Telemetry()
        self.crash_path = folder / FILE_NAME
        self.runner = Runner(
            self.core,
            clock=self.clock,
            inbox=self.inbox,
            hub=self.hub,
            telemetry=self.telemetry,
            crash=CrashFile(folder),
            sign=lambda work: Signed(b"of " + work.id),
            begin_anew=self.begin_anew,
        )
        self.applier.runner = self.runner
        self.task = asyncio.ensure_future(self.runner.run(self.applier))

    async def begin_anew(self):
        self.core = stand_in(Core())
        return self.core


@pytest.fixture
async def bench(tmp_path):
    bench = Bench(tmp_path)
    await bench.runner.wait_started()
    yield bench
    bench.runner.stop()
    await bench.task


async def test_runner_starts_the_core_and_hands_it_what_comes_in_one_batch(bench):
    batches = len(bench.applier.batches)
    entries = [lambda now: Connected(now, "a", True, ""), lambda now: Connected(now, "b", True, "")]
    await bench.inbox.put(entries)
    await wait_until(lambda: len(bench.core.inputs) == 3)
    assert bench.core.inputs[0] == ("start", 1_000)
    assert [entry.peer for entry in bench.core.inputs[1:]] == ["a", "b"]
    assert len(bench.applier.batches) == batches + 1


async def test_what_is_urgent_is_signed_and_answered_within_its_batch(bench):
    batches = len(bench.applier.batches)
    usual, urgent = RunJob(1, SignVertex(b"a")), RunJob(2, SignVertex(b"b", urgent=True))
    next_urgent = RunJob(3, SignVertex(b"c", urgent=True))
    record, block = (Persist(StoreValue(key, b"1")) for key in ("record", "block"))

    def answer(entry):
        return [block, next_urgent] if isinstance(entry, Completed) else [usual, urgent, record]

    bench.core.answer = answer
    await bench.inbox.put([lambda now: Connected(now, "a", True, "")])
    await wait_until(lambda: len(bench.applier.batches) > batches)
    assert bench.applier.batches[batches] == [usual, record, block, next_urgent]
    assert bench.core.inputs[2] == Completed(1_000, 2, Signed(b"of b"))


async def test_what_is_urgent_when_time_has_come_is_signed_at_once_too(bench):
    def answer(entry):
        bench.core.next_wakeup = None
        is_tick = isinstance(entry, Ticked)
        return [RunJob(1, SignVertex(b"a", urgent=True))] if is_tick else []

    bench.core.next_wakeup = 1_000
    bench.core.answer = answer
    bench.inbox.wake()
    await wait_until(lambda: Completed(1_000, 1, Signed(b"of a")) in bench.core.inputs)


async def test_runner_ticks_when_the_deadline_of_the_core_is_due(bench):
    bench.core.next_wakeup = 1_005
    await bench.inbox.put([lambda now: Connected(now, "a", True, "")])
    await wait_until(lambda: len(bench.core.inputs) == 2)

    def forget(entry):
        bench.core.next_wakeup = None
        return []

    bench.core.answer = forget
    bench.clock.advance(5)
    await wait_until(lambda: len(bench.core.inputs) == 3)
    assert bench.core.inputs[-1] == Ticked(1_005)


async def test_submit_returns_when_the_core_has_taken_the_command(bench):
    await bench.runner.submit(Leave("bye"))
    assert bench.core.inputs[-1] == Submitted(1_000, 1, Leave("bye"))


async def test_submit_raises_what_the_core_says_against_it(bench):
    def refuse(entry):
        raise CommandRejected("not now")

    bench.core.answer = refuse
    with pytest.raises(CommandRejected, match="not now"):
        await bench.runner.submit(Leave("bye"))
    assert bench.runner.failure is None


async def test_publish_returns_when_the_vertex_is_durable(bench):
    publishing = asyncio.ensure_future(
        bench.runner.publish(Publish(Kind.NOTE, b""), timeout_ms=5_000)
    )
    await wait_until(lambda: len(bench.core.inputs) == 2)
    assert not publishing.done()
    bench.core.answer = lambda entry: [Emit(Published(1, SIGNED)), Emit(Published(9, SIGNED))]
    bench.runner.on_receipt(4, Signed(b""))
    assert await publishing == SIGNED
    assert bench.core.inputs[-1] == Completed(1_000, 4, Signed(b""))


async def test_publish_raises_when_the_core_gives_the_publication_up(bench):
    bench.core.answer = lambda entry: [Emit(PublishFailed(entry.token, "the keys are in use"))]
    with pytest.raises(CommandRejected, match="the keys are in use"):
        await bench.runner.publish(Publish(Kind.NOTE, b""), timeout_ms=5_000)


async def test_publish_gives_up_after_its_time(bench):
    with pytest.raises(DeadlineExceeded, match="within 0 ms"):
        await bench.runner.publish(Publish(Kind.NOTE, b""), timeout_ms=0)
    bench.runner.on_event(Published(1, SIGNED))


async def test_commands_are_refused_while_the_node_stops_but_it_may_leave(bench):
    bench.runner.refuse_commands("the node is stopping")
    with pytest.raises(CommandRejected, match="is stopping"):
        await bench.runner.submit(Leave("x"))
    bench.runner.leave(Leave("bye"))
    assert await bench.runner.drain(5_000)
    assert bench.core.inputs[-1] == Submitted(1_000, 0, Leave("bye"))


async def test_drain_waits_for_publications_and_not_for_ever(bench):
    publishing = asyncio.ensure_future(
        bench.runner.publish(Publish(Kind.NOTE, b""), timeout_ms=60_000)
    )
    await wait_until(lambda: len(bench.core.inputs) == 2)
    assert not await bench.runner.drain(10)
    draining = asyncio.ensure_future(bench.runner.drain(5_000))
    await asyncio.sleep(0)
    bench.core.answer = lambda entry: [Emit(Published(1, SIGNED))]
    bench.runner.on_receipt(4, Signed(b""))
    assert await draining
    assert await publishing == SIGNED


async def test_who_waits_for_a_publication_hears_that_the_node_stopped(bench):
    publishing = asyncio.ensure_future(
        bench.runner.publish(Publish(Kind.NOTE, b""), timeout_ms=60_000)
    )
    events = bench.hub.subscribe(4)
    await wait_until(lambda: len(bench.core.inputs) == 2)
    bench.runner.stop()
    with pytest.raises(CommandRejected, match="has stopped"):
        await publishing
    assert [event async for event in events] == []
    assert not await bench.runner.drain(5_000)


async def test_a_full_disk_stops_the_node_and_everybody_hears_why(bench):
    publishing = asyncio.ensure_future(
        bench.runner.publish(Publish(Kind.NOTE, b""), timeout_ms=60_000)
    )
    events = bench.hub.subscribe(4)
    bench.applier.failure = StorageError("the disk is full")
    with pytest.raises(StorageError, match="full"):
        await publishing
    with pytest.raises(StorageError, match="full"):
        await anext(events)
    await bench.task
    assert isinstance(bench.runner.failure, StorageError)
    assert not bench.crash_path.exists()


async def test_a_bug_in_the_core_stops_the_node_and_leaves_the_last_inputs(bench):
    def fail(entry):
        raise AssertionError("invariant broken")

    await bench.inbox.put([lambda now: Disconnected(now, "first", "")])
    await wait_until(lambda: len(bench.core.inputs) == 2)
    bench.core.answer = fail
    await bench.inbox.put([lambda now: Disconnected(now, "last", ""), Ticked])
    await bench.task
    assert isinstance(bench.runner.failure, AssertionError)
    data = await asyncio.to_thread(bench.crash_path.read_bytes)
    text, frames = msgspec.msgpack.decode(data, type=tuple[str, list[InputRecord]])
    assert "invariant broken" in text
    assert [decode_input(frame) for frame in frames] == [
        Disconnected(1_000, "first", ""),
        Disconnected(1_000, "last", ""),
    ]
    with pytest.raises(CommandRejected, match="has stopped"):
        await bench.runner.submit(Leave("x"))


async def test_the_crash_file_is_the_owners_alone_and_never_in_the_way(tmp_path):
    crash = CrashFile(tmp_path)
    await crash.write(RuntimeError("x"), [])
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    await CrashFile(tmp_path / "missing").write(RuntimeError("x"), [])


async def test_something_failing_beside_the_core_stops_the_node(bench):
    bench.runner.on_failure(RuntimeError("first"))
    bench.runner.on_failure(RuntimeError("second"))
    await bench.task
    assert str(bench.runner.failure) == "first"


async def test_a_core_that_cannot_start_says_why(tmp_path):
    bench = Bench(tmp_path)
    bench.applier.failure = StorageError("the disk is full")
    with pytest.raises(StorageError):
        await bench.runner.wait_started()
    await bench.task


async def test_runner_takes_no_more_than_a_batch_at_once(bench, monkeypatch):
    monkeypatch.setattr("meshnode.shell.runner.BATCH_MAX", 2)
    batches = len(bench.applier.batches)
    bench.inbox.put_now([lambda now: Connected(now, "a", True, "")] * 5)
    await wait_until(lambda: len(bench.core.inputs) == 6)
    assert len(bench.applier.batches) >= batches + 2
    monkeypatch.setattr("meshnode.shell.runner.BATCH_S", -1)
    bench.inbox.put_now([lambda now: Connected(now, "b", True, "")] * 3)
    await wait_until(lambda: len(bench.core.inputs) == 9)


async def test_effects_of_a_batch_are_applied_together(bench):
    record = Persist(StoreValue("k", b"v"))
    bench.core.answer = lambda entry: [record, Emit(Alone(()))]
    bench.inbox.put_now([lambda now: Connected(now, "a", True, "")] * 3)
    await wait_until(lambda: len(bench.core.inputs) == 4)
    assert bench.applier.batches[-1] == [record, Emit(Alone(()))] * 3


async def test_a_batch_ends_where_a_connection_does(bench):
    bench.core.answer = lambda entry: [Emit(Alone(()))]
    batches = len(bench.applier.batches)
    bench.inbox.put_now(
        [lambda now: Disconnected(now, "a", ""), lambda now: Connected(now, "a", True, "")]
    )
    await wait_until(lambda: len(bench.core.inputs) == 3)
    assert bench.applier.batches[batches:] == [[Emit(Alone(()))]] * 2


async def renew(bench: Bench, entry: Submitted | None = None) -> tuple[Core, Core]:
    """Let the core be over with an input; answers it and the one after it."""
    before = bench.core
    over = entry or Disconnected(1_000, "a", "")

    def end(_: Input) -> list[Effect]:
        before.is_over = True
        return [RunJob(9, SignVertex(b"v", urgent=True))]

    before.answer = end
    bench.inbox.put_now([lambda now: over, lambda now: Disconnected(now, "b", "")])
    await wait_until(lambda: bench.core is not before and len(bench.core.inputs) > 1)
    return before, bench.core


async def test_a_core_that_is_over_takes_nothing_more_and_another_is_begun(bench):
    before, after = await renew(bench)
    assert before.inputs[-1] == Disconnected(1_000, "a", "")
    assert after.inputs[:2] == [("start", 1_000), Disconnected(1_000, "b", "")]
    assert bench.applier.dropped == 1
    bench.runner.on_restart("snapshot")
    assert bench.telemetry.snapshot()["counters"]["restarts_snapshot"] == 1


async def test_receipts_of_the_last_core_are_dropped(bench):
    before = bench.core

    def end(_: Input) -> list[Effect]:
        before.is_over = True
        return []

    before.answer = end
    bench.inbox.put_now([lambda now: Disconnected(now, "a", "")])
    bench.runner.on_receipt(1, Signed(b"late"))
    await wait_until(lambda: bench.core is not before and len(bench.core.inputs) > 1)
    assert bench.core.inputs[1] == Ticked(1_000)
    bench.runner.on_receipt(1, Signed(b"own"))
    await wait_until(lambda: len(bench.core.inputs) > 2)
    assert bench.core.inputs[2] == Completed(1_000, 1, Signed(b"own"))


async def test_another_core_is_given_what_the_last_one_was_told_to_do(bench):
    connects: list[Command] = [Connect(str(number), ()) for number in range(STANDING_MAX + 1)]
    serve = Serve((), 0, 0, 0, draining=False)
    for command in (serve, *connects):
        await bench.runner.submit(command)
    waiting = asyncio.ensure_future(bench.runner.publish(Publish(Kind.NOTE, b""), timeout_ms=9_000))
    await wait_until(lambda: len(bench.core.inputs) == len(connects) + 3)
    _, after = await renew(bench)
    await wait_until(lambda: len(after.inputs) == STANDING_MAX + 4)
    again = [entry for entry in after.inputs if isinstance(entry, Submitted)]
    assert [entry.command for entry in again] == [*connects[1:], serve, Publish(Kind.NOTE, b"")]
    bench.runner.on_event(Published(again[-1].token, SIGNED))
    assert await waiting == SIGNED
