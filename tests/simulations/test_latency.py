"""One-way latencies and their tables."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from simulations.errors import BadModel
from simulations.latency import Constant, Lognormal, Matrix, Uniform, load_latency, parse_latency

STREAM = random.Random(1)


def test_constant_is_the_same_for_every_pair():
    assert Constant(2.5).sample_ns(0, 9, STREAM) == 2_500_000


def test_uniform_stays_within_its_bounds():
    drawn = [Uniform(10, 20).sample_ns(0, 1, STREAM) for _ in range(2_000)]
    assert 10_000_000 <= min(drawn) < 10_100_000
    assert 19_900_000 < max(drawn) <= 20_000_000


def test_lognormal_has_its_median():
    drawn = sorted(Lognormal(67, 0.5).sample_ns(0, 1, STREAM) for _ in range(4_001))
    assert math.isclose(drawn[2_000], 67e6, rel_tol=0.05)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(-1),
        lambda: Constant(math.nan),
        lambda: Uniform(5, 4),
        lambda: Matrix([], []),
        lambda: Matrix(["a"], [[1, 2]]),
        lambda: Matrix(["a", "b"], [[1, 2]]),
        lambda: parse_latency(""),
        lambda: parse_latency("x,a\na,one"),
        lambda: parse_latency("x,a,b\nb,1,2\na,3,4"),
        lambda: load_latency("mars"),
    ],
)
def test_nonsense_is_refused(make):
    with pytest.raises(BadModel):
        make()


def test_the_aws_table_holds_half_of_measured_round_trips():
    table = load_latency("aws-13")
    assert len(table.names) == 13
    place = {name: number for number, name in enumerate(table.names)}

    def one_way_ms(source: str, target: str) -> float:
        return table.sample_ns(place[source], place[target], STREAM) / 1e6

    assert one_way_ms("N. Virginia", "Ireland") == 33
    assert one_way_ms("Singapore", "Sao Paulo") == 161
    assert one_way_ms("Tokyo", "Seoul") == 16
    assert one_way_ms("Seoul", "Tokyo") == 17, "not every pair is symmetric"
    assert one_way_ms("London", "London") == 0.5
    pairs = sorted(one_way_ms(a, b) for a in place for b in place if a < b)
    assert pairs[-1] == 161
    assert math.isclose(pairs[len(pairs) // 2], 69, abs_tol=1)


def test_nodes_stand_in_turn_or_where_they_are_put():
    table = parse_latency("one_way_ms,a,b\na,0,7\nb,9,0\n")
    assert table.sample_ns(2, 5, STREAM) == 7_000_000
    assert [table.place_of(node) for node in range(3)] == [0, 1, 0]
    placed = parse_latency("one_way_ms,a,b\na,0,7\nb,9,0\n", places=[1, 1, 0])
    assert placed.sample_ns(0, 2, STREAM) == 9_000_000
    assert placed.place_of(1) == 1


@pytest.mark.parametrize("as_path", [True, False])
def test_any_csv_file_is_read(tmp_path: Path, as_path: bool):
    file = tmp_path / "own.csv"
    file.write_text("# measured\none_way_ms, x, y\nx, 1, 2\ny, 3, 4\n\n", encoding="utf-8")
    table = load_latency(file if as_path else str(file))
    assert table.names == ("x", "y")
    assert table.sample_ns(1, 0, STREAM) == 3_000_000
