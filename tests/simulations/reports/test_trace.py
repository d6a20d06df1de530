"""Traces: every message and every vertex, in columns."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from simulations.reports.tables import read_table, write_table
from simulations.reports.trace import COLUMNS, NOBODY, Trace
from tests.support.recorded import run_mesh, run_processes


def test_every_message_and_vertex_is_in_the_trace(tmp_path: Path):
    trace = Trace()
    mesh = run_mesh(trace)
    rows = trace.table.rows
    kinds = Counter(row["kind"] for row in rows)
    counters = mesh.world.network.counters
    assert kinds["sent"] == counters.delivered + counters.dropped + counters.in_flight
    assert kinds["arrived"] <= kinds["sent"]
    assert (kinds["published"], kinds["crashed"], kinds["started"]) == (1, 1, 5)
    times = [int(row["t_ns"] or 0) for row in rows]
    assert times == sorted(times)
    published = next(row for row in rows if row["kind"] == "published")
    assert (published["src"], published["dst"]) == (NOBODY, 0)
    carriers = [
        row for row in rows if row["kind"] == "sent" and row["vertex"] == published["vertex"]
    ]
    assert {row["name"] for row in carriers} <= {"Push", "Items"}
    (path,) = write_table(trace.table, tmp_path)
    assert read_table(path).rows == rows
    assert tuple(trace.table.columns) == COLUMNS


def test_a_trace_ends_at_its_limit_and_counts_the_rest():
    trace = Trace(rows_max=10)
    run_mesh(trace)
    assert len(trace.table) == 10
    assert trace.left_out > 10


def test_a_window_is_traced_alone():
    trace = Trace(start_ms=20, end_ms=40)
    run_processes(trace)
    times = [int(time or 0) for time in trace.table.columns["t_ns"]]
    assert times
    assert all(20_000_000 <= time <= 40_000_000 for time in times)


def test_messages_of_processes_are_named_by_what_they_are():
    trace = Trace()
    run_processes(trace)
    rows = [row for row in trace.table.rows if row["kind"] == "sent"]
    assert {row["name"] for row in rows} == {"message", "frame", "tuple"}
    assert {row["size_bytes"] for row in rows} == {100}
