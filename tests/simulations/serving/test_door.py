"""A router's side of a request: retries, hedges, patience, and what is said of the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulations.serving.baselines import Random
from simulations.serving.engine import EngineSpec
from simulations.serving.faults import Fault, Kind
from simulations.serving.fleet import Paths
from simulations.serving.outcome import Outcome
from simulations.serving.port import Attempt, Failure, Placement, Refusal
from simulations.serving.run import WARM_UP_MS, ServingWorld
from simulations.serving.traces import Request, Trace
from simulations.streams import Streams

SPEC = EngineSpec(1_000.0, slots=4, decode_ms=10.0, decode_per_sequence_ms=0.0, interference=0.0)
RTT_MS = 100.0


class Scripted(Random):
    """Asks the first replica first, then the next; hedges after a time if one is given."""

    hedge_after_ms: int | None = None
    delay_ms = 0
    is_closed = False

    def choose(self, now_ms: int, request: Request, first_token_ms: int, /) -> Placement | Refusal:
        return Refusal("closed") if self.is_closed else Placement(0)

    def retry(
        self,
        now_ms: int,
        attempt: Attempt,
        failure: Failure,
        tried: tuple[int, ...],
        first_token_ms: int,
        /,
    ) -> Placement | Refusal:
        where = attempt.replica + 1
        return Placement(where, self.delay_ms) if where < 2 else Refusal(failure)

    def hedge(
        self, now_ms: int, attempt: Attempt, tried: tuple[int, ...], /
    ) -> Placement | Refusal:
        return Placement(1)

    def on_sent(self, now_ms: int, attempt: Attempt, /) -> int | None:
        super().on_sent(now_ms, attempt)
        return self.hedge_after_ms


def run_one(
    change: Callable[[ServingWorld], None] = lambda world: None,
    *,
    faults: tuple[Fault, ...] = (),
    output_tokens: int = 11,
    patience_ms: int | None = 60_000,
    lasting_ms: int = 100_000,
    **script: object,
) -> tuple[Outcome, ServingWorld]:
    """One request of 1,000 tokens at two equal replicas, and another long after it."""
    policy = type("Scripted", (Scripted,), script)
    requests = (
        Request(0, 0, 1_000, output_tokens),
        Request(1, lasting_ms, 1, 1),
    )
    paths = Paths(((RTT_MS, RTT_MS),), jitter_sigma=0.0)
    world = ServingWorld(
        Trace("one", requests),
        [SPEC, SPEC],
        paths,
        policy,
        Streams(0),
        faults=faults,
        patience_ms=patience_ms,
    )
    change(world)
    world.run()
    return next(one for one in world.outcomes if one.number == 0), world


def hit(kind: Kind, begin: float = 0.0, end: float = 1.0) -> tuple[Fault, ...]:
    return (Fault(kind, (0,), (0,), 8.0, begin, end),)


def test_answer_takes_a_round_trip_a_prompt_and_its_tokens():
    outcome, _ = run_one()
    assert outcome.first_ms == pytest.approx(1_100)
    assert outcome.tpot_ms == pytest.approx(10)
    assert outcome.whole_ms == pytest.approx(1_200)
    assert (outcome.retries, outcome.hedges, outcome.error) == (0, 0, "")


@pytest.mark.parametrize(
    ("kind", "lost_ms"), [("killed", 100), ("rate-limit", 100), ("rubbish", 120)]
)
def test_failure_before_the_first_token_is_retried_elsewhere(kind: Kind, lost_ms: int):
    outcome, _ = run_one(faults=hit(kind))
    assert outcome.error == ""
    assert outcome.retries == 1
    assert outcome.first_ms == pytest.approx(1_100 + lost_ms)


def test_retry_may_wait():
    outcome, _ = run_one(faults=hit("rate-limit"), delay_ms=500)
    assert outcome.first_ms == pytest.approx(1_700)


def test_replica_that_dies_in_the_middle_breaks_the_answer_off():
    outcome, _ = run_one(faults=hit("killed", 0.02), output_tokens=1_000)
    assert outcome.error == "gone"
    assert outcome.first_ms == pytest.approx(1_100)


def test_request_that_waits_when_its_replica_dies_goes_elsewhere():
    outcome, _ = run_one(faults=hit("killed", 0.005))
    assert outcome.error == ""
    assert outcome.retries == 1


def test_partition_is_noticed_by_silence_and_the_request_goes_elsewhere():
    outcome, world = run_one(faults=hit("partition"))
    assert outcome.error == ""
    assert outcome.retries == 1
    assert 9_000 < outcome.first_ms < 14_000
    assert len(world.outcomes) == 2


def test_partition_in_the_middle_of_an_answer_ends_it():
    outcome, _ = run_one(faults=hit("partition", 0.02), output_tokens=1_000)
    assert outcome.error == "gone"


def test_hedge_goes_out_when_the_first_token_is_late_and_the_loser_is_cancelled():
    def slow(world: ServingWorld) -> None:
        world.replicas[0].engine.set_slowdown(8.0)

    outcome, world = run_one(slow, hedge_after_ms=2_000)
    assert outcome.hedges == 1
    assert outcome.retries == 0
    assert outcome.first_ms == pytest.approx(3_100)
    assert world.replicas[0].wasted_tokens > 0
    assert world.replicas[0].engine.running == 0


def test_hedge_does_not_go_out_when_the_first_token_is_there():
    outcome, _ = run_one(hedge_after_ms=1_500)
    assert outcome.hedges == 0


def test_patience_ends():
    outcome, world = run_one(patience_ms=500)
    assert outcome.error == "deadline"
    assert outcome.first_ms < 0
    assert world.replicas[0].wasted_tokens > 0


def test_patience_of_strict_users_is_what_counts_as_good():
    def slow(world: ServingWorld) -> None:
        world.replicas[0].engine.set_slowdown(8.0)

    outcome, _ = run_one(slow, patience_ms=None)
    assert outcome.error == "deadline"
    assert outcome.whole_ms == pytest.approx(2_250)


def test_refused_request_ends_at_once():
    outcome, _ = run_one(is_closed=True)
    assert outcome.error == "closed"
    assert outcome.whole_ms == 0


def test_request_that_never_ends_is_unfinished(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("simulations.serving.run.DRAINS_MAX", 1)
    outcome, _ = run_one(output_tokens=10_000, lasting_ms=1_000)
    assert outcome.error == "unfinished"


def test_requests_wait_in_line_and_are_turned_away_when_too_many_wait():
    narrow = EngineSpec(1_000.0, slots=1, decode_ms=10.0, decode_per_sequence_ms=0.0)
    requests = tuple(Request(number, 0, 1_000, 1) for number in range(6))
    paths = Paths(((0.0,),), jitter_sigma=0.0)
    world = ServingWorld(Trace("six", requests), [narrow], paths, Random, Streams(0))
    world.run()
    errors = [one.error for one in world.outcomes]
    assert errors.count("refused") == 3
    firsts = sorted(one.first_ms for one in world.outcomes if not one.error)
    assert firsts == pytest.approx([1_000, 2_000, 3_000])


def test_warm_up_comes_before_the_first_request():
    _, world = run_one()
    assert world.kernel.now_ns >= WARM_UP_MS * 1_000_000
