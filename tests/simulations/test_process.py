"""Own behaviours: start, messages, timers, CPU time."""

from __future__ import annotations

from typing import Any

import pytest

from simulations import Constant, Context, NetworkSettings, World
from simulations.topology import complete


class Recorder:
    """Notes what happens to it, and does what it is told at the start."""

    def __init__(self, at_start=None, on_message=None) -> None:
        self.seen: list[tuple[int, Any]] = []
        self._at_start = at_start
        self._on_message = on_message

    def on_start(self, context: Context) -> None:
        self.seen.append((context.now_ms, "start"))
        if self._at_start:
            self._at_start(context)

    def on_message(self, context: Context, source: int, message: Any) -> None:
        self.seen.append((context.now_ms, (source, message)))
        if self._on_message:
            self._on_message(context, source, message)

    def on_timer(self, context: Context, name: str) -> None:
        self.seen.append((context.now_ms, name))


def make_world(*processes: Recorder, cost_ns: int = 0) -> tuple[World, list[Context]]:
    world = World(1, network=NetworkSettings(latency=Constant(10)))
    contexts = world.add_processes(processes, complete(len(processes)), cost_ns=cost_ns)
    return world, contexts


def test_processes_start_and_talk():
    def answer(context: Context, source: int, message: str) -> None:
        if message == "ping":
            context.send(source, "pong")

    one, two = Recorder(lambda context: context.send_all("ping")), Recorder(on_message=answer)
    world, _ = make_world(one, two)
    world.run_to_end()
    assert one.seen == [(0, "start"), (20, (1, "pong"))]
    assert two.seen == [(0, "start"), (10, (0, "ping"))]


def test_send_all_spares_one():
    one, two, three = Recorder(lambda context: context.send_all("m", but=1)), Recorder(), Recorder()
    world, _ = make_world(one, two, three)
    world.run_to_end()
    assert len(two.seen) == 1
    assert len(three.seen) == 2


def test_timers_are_named_moved_and_cancelled():
    def plan(context: Context) -> None:
        context.set_timer("a", 5)
        context.set_timer("b", 7)
        context.set_timer("c", 1)
        context.set_timer("a", 9)
        context.cancel_timer("c")
        context.cancel_timer("unknown")

    node = Recorder(plan)
    world, (context,) = make_world(node)
    context.cancel_timer("none is set yet")
    world.run_to_end()
    assert node.seen == [(0, "start"), (7, "b"), (9, "a")]


def test_messages_take_cpu_time():
    def burst(context: Context) -> None:
        for number in range(3):
            context.send(1, number)

    one, two = Recorder(burst), Recorder()
    world, (_, target) = make_world(one, two, cost_ns=4_000_000)
    world.run_to_end()
    assert two.seen[1:] == [(14, (0, 0)), (18, (0, 1)), (22, (0, 2))]
    assert target.processor is not None
    assert target.processor.flow.balanced
    assert target.processor.flow.stayed_ns == (4 + 8 + 12) * 1_000_000


def test_a_stopped_process_takes_nothing():
    one = Recorder(lambda context: context.send(1, "m"))
    two = Recorder(lambda context: context.set_timer("late", 20))
    world, (_, target) = make_world(one, two)
    world.run_for(1)
    target.stop()
    world.run_to_end()
    assert two.seen == [(0, "start")]
    assert world.network.counters.dropped == 1
    assert world.network.counters.conserved


def test_a_process_draws_from_a_stream_of_its_own():
    worlds = [make_world(Recorder(), Recorder()) for _ in range(2)]
    draws = [[context.random.random() for context in contexts] for _, contexts in worlds]
    assert draws[0] == draws[1]
    assert draws[0][0] != draws[0][1]


def test_unknown_events_are_a_mistake():
    world, (context,) = make_world(Recorder())
    world.kernel.schedule(1, context.index, 99)
    with pytest.raises(Exception, match="unknown kind"):
        world.run_to_end()
