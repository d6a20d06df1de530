"""Delta debugging: what stays fails, and nothing in it can be spared."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from simulations.fuzzing.run import run
from simulations.fuzzing.shrink import reduce, shrink
from simulations.fuzzing.spec import draw_spec, load_spec, save_spec


@given(st.integers(1, 60), st.sets(st.integers(0, 59), max_size=5))
def test_reduce_keeps_exactly_what_is_needed(count: int, wanted: set[int]):
    needed = {item for item in wanted if item < count}
    assert set(reduce(range(count), lambda part: needed <= set(part), 10_000)) == needed


def test_reduce_stops_at_its_limit():
    runs = []

    def fails(part: tuple[int, ...]) -> bool:
        runs.append(part)
        return 7 in part

    kept = reduce(range(100), fails, 5)
    assert len(runs) == 5
    assert 7 in kept


def test_planted_bug_shrinks_to_few_faults_and_replays(tmp_path: Path):
    drawn = (draw_spec(seed, mutant="relay-charged") for seed in range(100))
    spec = next(spec for spec in drawn if len(spec.faults) > 15)
    check = run(spec).check
    assert check == "no-honest-ban"
    told = []
    small = shrink(spec, check, runs_max=40, tell=lambda runs, left: told.append((runs, left)))
    assert len(small.faults) <= 8
    assert told[-1] == (len(told), len(small.faults))
    path = tmp_path / "small.jsonl"
    save_spec(small, path)
    replayed = run(load_spec(path))
    assert replayed.check == check
    assert replayed == run(small)
