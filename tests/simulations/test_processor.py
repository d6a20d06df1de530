"""A CPU does one thing after the other, and its books balance."""

from __future__ import annotations

from simulations.kernel import Kernel
from simulations.processor import Processor


class Scene:
    def __init__(self) -> None:
        self.kernel = Kernel()
        self.processor = Processor(self.kernel, 0, 5)
        self.done: list[tuple[int, str]] = []
        self.kernel.register(0, self.handle)

    def handle(self, kind: int, payload: tuple[int, str]) -> None:
        assert kind == 5
        self.done.append((self.kernel.now_ns, self.processor.finish(payload)))


def test_work_is_done_in_turn():
    scene = Scene()
    scene.processor.submit(10, "a")
    scene.processor.submit(5, "b")
    scene.kernel.run(12)
    scene.processor.submit(1, "c")
    scene.kernel.run(100)
    scene.processor.submit(1, "d")
    scene.kernel.run(200)
    assert scene.done == [(10, "a"), (15, "b"), (16, "c"), (101, "d")]


def test_a_slow_processor_takes_a_multiple_and_never_nothing():
    scene = Scene()
    scene.processor.slowness = 3
    scene.processor.submit(10, "a")
    scene.processor.submit(0, "b")
    scene.kernel.run(100)
    assert scene.done == [(30, "a"), (31, "b")]


def test_the_books_balance_exactly_when_it_is_empty():
    scene = Scene()
    for number in range(50):
        scene.kernel.at(number * 7, scene.processor.submit, 3 + number % 9, "w")
    scene.kernel.run(23)
    assert scene.processor.flow.present > 0
    assert scene.processor.flow.balanced
    scene.kernel.run(10_000)
    flow = scene.processor.flow
    assert (flow.arrived, flow.served, flow.present) == (50, 50, 0)
    assert flow.item_ns == flow.stayed_ns > 0
    assert flow.balanced


def test_the_books_show_what_was_lost():
    scene = Scene()
    scene.processor.submit(3, "a")
    scene.kernel.run(10)
    scene.processor.flow.stayed_ns += 1
    assert not scene.processor.flow.balanced
