"""Traces are read as they are published, and what makes no sense is named by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulations.errors import BadModel
from simulations.serving import traces
from simulations.serving.traces import Request, load_trace, make_trace

LINES = """\
{"timestamp": 3000, "input_length": 600, "output_length": 0, "hash_ids": [0, 2]}

{"timestamp": 0, "input_length": 1000, "output_length": 7, "hash_ids": [0, 1]}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "some.jsonl"
    path.write_text(text)
    return path


def test_file_is_read_in_the_order_of_its_times(tmp_path: Path):
    trace = load_trace(write(tmp_path, LINES))
    assert trace.name == "some"
    assert trace.requests == (
        Request(0, 0, 1_000, 7, (0, 1)),
        Request(1, 3_000, 600, 1, (0, 2)),
    )
    assert trace.duration_ms == 3_000


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        '{"timestamp": 0, "input_length": 0, "output_length": 1}',
        '{"timestamp": -1, "input_length": 1, "output_length": 1}',
        '{"timestamp": 0, "input_length": 1, "output_length": -1}',
        '{"timestamp": 0, "output_length": 1}',
    ],
)
def test_line_that_makes_no_sense_is_named(tmp_path: Path, line: str):
    with pytest.raises(BadModel, match="line 2"):
        load_trace(write(tmp_path, "\n" + line))


def test_file_without_requests_is_no_trace(tmp_path: Path):
    with pytest.raises(BadModel, match="no requests"):
        load_trace(write(tmp_path, "\n"))


def test_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(traces, "REQUESTS_MAX", 1)
    with pytest.raises(BadModel, match="over 1 requests"):
        load_trace(write(tmp_path, LINES))


def test_load_compresses_time_and_nothing_else(tmp_path: Path):
    trace = load_trace(write(tmp_path, LINES))
    twice = trace.compress(2)
    assert [one.at_ms for one in twice.requests] == [0, 1_500]
    assert twice.requests[1].blocks == (0, 2)
    assert trace.compress(1) is trace
    with pytest.raises(BadModel):
        trace.compress(0)


def test_digest_names_the_content_and_cut_keeps_the_front(tmp_path: Path):
    trace = load_trace(write(tmp_path, LINES))
    assert trace.cut(1).requests == trace.requests[:1]
    assert trace.cut(1).digest != trace.digest
    assert len(trace.digest) == 8


def test_trace_of_nothing_has_no_duration():
    assert make_trace("none", []).duration_ms == 0
