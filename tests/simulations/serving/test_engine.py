"""An engine: what is computed when, to the millisecond."""

from __future__ import annotations

import pytest

from simulations.kernel import NS_PER_MS, Kernel
from simulations.serving.engine import Engine, EngineSpec, Job
from simulations.serving.traces import Request

SPEC = EngineSpec(1_000.0, slots=2, decode_ms=10.0, decode_per_sequence_ms=5.0, interference=0.0)


class Bench:
    """An engine, and when jobs said what."""

    def __init__(self, spec: EngineSpec = SPEC) -> None:
        self.kernel = Kernel(traced=False)
        self.engine = Engine(self.kernel, 0, spec)
        self.firsts: dict[int, float] = {}
        self.ends: dict[int, float] = {}

    def submit(
        self, number: int, tokens: int, output: int = 1, blocks: tuple[int, ...] = ()
    ) -> Job:
        job = Job(
            Request(number, 0, tokens, output, blocks),
            lambda job: self.firsts.update({job.request.number: self.now_ms}),
            lambda job: self.ends.update({job.request.number: self.now_ms}),
        )
        self.engine.submit(job)
        return job

    @property
    def now_ms(self) -> float:
        return round(self.kernel.now_ns / NS_PER_MS, 3)

    def run(self, until_ms: int = 1_000_000) -> None:
        self.kernel.run(until_ms * NS_PER_MS)


def test_prompts_are_computed_one_after_the_other():
    bench = Bench()
    bench.submit(0, 1_000)
    bench.submit(1, 500)
    bench.run()
    assert bench.firsts == {0: 1_000, 1: 1_500}
    assert bench.ends == bench.firsts
    assert bench.engine.prefilled_tokens == 1_500


def test_chunks_let_a_short_prompt_past_a_long_one():
    bench = Bench(EngineSpec(1_000.0, slots=2, chunk_tokens=500))
    bench.submit(0, 2_000)
    bench.submit(1, 400)
    bench.run()
    assert bench.firsts == {1: 900, 0: 2_400}


def test_third_request_waits_for_a_slot():
    bench = Bench()
    for number in range(3):
        bench.submit(number, 100)
    assert not bench.engine.has_room
    assert len(bench.engine.waiting) == 1
    bench.run()
    assert bench.firsts == {0: 100, 1: 200, 2: 300}


def test_request_waits_for_memory():
    bench = Bench(EngineSpec(1_000.0, slots=9, memory_tokens=1_000))
    bench.submit(0, 900)
    bench.submit(1, 900)
    bench.run()
    assert bench.firsts == {0: 900, 1: 1_800}


def test_cached_prefix_is_not_computed_again():
    bench = Bench()
    bench.submit(0, 1_024, blocks=(1, 2))
    bench.run(5_000)
    bench.submit(1, 1_536, blocks=(1, 2, 3))
    bench.run(10_000)
    assert bench.firsts[1] == 5_512
    bench.submit(2, 1_536, blocks=(1, 2, 3))
    bench.run()
    assert bench.firsts[2] == 10_001


def test_tokens_slow_down_with_the_batch():
    bench = Bench()
    bench.submit(0, 10, output=101)
    bench.run()
    assert bench.ends[0] == pytest.approx(10 + 100 * 15)
    both = Bench()
    both.submit(0, 10, output=101)
    both.submit(1, 10, output=101)
    both.run()
    assert both.ends[0] == pytest.approx(10 + 10 + (100 - 10 / 15) * 20, abs=0.1)
    assert both.ends[1] - both.ends[0] < 15


def test_prompts_slow_tokens_down():
    bench = Bench(EngineSpec(1_000.0, 4, 10.0, 0.0, interference=1.0))
    bench.submit(0, 10, output=101)
    bench.submit(1, 1_000)
    bench.run()
    assert bench.ends[0] == pytest.approx(10 + 1_000 + 50 * 10)


@pytest.mark.parametrize("chunk", [0, 100])
def test_slowdown_takes_effect_at_once_and_ends(chunk: int):
    bench = Bench(EngineSpec(1_000.0, 2, 10.0, 0.0, interference=0.0, chunk_tokens=chunk))
    bench.submit(0, 1_000, output=11)
    bench.run(450)
    bench.engine.set_slowdown(8.0)
    bench.run(1_250)
    bench.engine.set_slowdown(1.0)
    bench.run()
    assert bench.firsts[0] == pytest.approx(1_250 + 450)
    assert bench.ends[0] == pytest.approx(1_800)
    bench.engine.set_slowdown(2.0)
    assert bench.engine.running == 0


def test_cancelled_jobs_free_what_they_held():
    bench = Bench(EngineSpec(1_000.0, slots=3, decode_ms=10.0, decode_per_sequence_ms=0.0))
    first = bench.submit(0, 1_000, output=101)
    second = bench.submit(1, 1_000)
    third = bench.submit(2, 1_000)
    waiting = bench.submit(3, 1_000)
    bench.run(100)
    assert bench.engine.cancel(waiting) == 0
    assert bench.engine.cancel(waiting) == 0
    assert bench.engine.cancel(second) == 0
    assert bench.engine.cancel(first) == 100
    bench.run(600)
    assert bench.engine.cancel(third) == 500
    bench.run()
    assert not bench.firsts
    assert bench.engine.running == 0
    assert bench.engine.cache.pinned_tokens == 0


def test_cancelled_answer_says_how_many_tokens_were_for_nothing():
    bench = Bench()
    job = bench.submit(0, 1_000, output=101)
    other = bench.submit(1, 1_000, output=101)
    bench.run(2_500)
    spent = bench.engine.cancel(job)
    assert 1_000 + 80 < spent < 1_101
    bench.run()
    assert list(bench.ends) == [1]
    assert bench.engine.cancel(other) == 0


def test_cleared_engine_forgets_everything():
    bench = Bench()
    bench.submit(0, 10, output=500)
    for number in range(1, 4):
        bench.submit(number, 1_000, blocks=(number,))
    bench.run(500)
    bench.engine.clear()
    bench.run()
    assert list(bench.firsts) == [0]
    assert not bench.ends
    bench.submit(9, 10)
    bench.run(1_000_100)
    assert bench.ends == {9: 1_000_010}
