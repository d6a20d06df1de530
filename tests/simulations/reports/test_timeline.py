"""Timelines as viewers want them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from simulations import load_latency
from simulations.reports.timeline import Timeline
from tests.support.recorded import run_mesh, run_processes


def find(document: dict, phase: str) -> list[dict]:
    return [event for event in document["traceEvents"] if event["ph"] == phase]


def test_a_recorded_world_runs_as_an_unrecorded_one():
    assert run_mesh(Timeline()).world.digest == run_mesh().world.digest


def test_arrows_spans_slices_and_names_are_whole(tmp_path: Path):
    timeline = Timeline()
    mesh = run_mesh(timeline)
    document = json.loads(timeline.write(tmp_path / "timeline.json").read_text())
    events = document["traceEvents"]
    assert document["otherData"] == {
        "seed": 5,
        "digest": mesh.world.digest,
        "note": "complete",
    }
    begun = {event["id"]: event for event in find(document, "s")}
    ended = {event["id"]: event for event in find(document, "f")}
    assert ended.keys() <= begun.keys()
    assert all(begun[arrow]["ts"] < event["ts"] for arrow, event in ended.items())
    spans = Counter((event["id"], event["ph"]) for event in events if event["ph"] in "be")
    assert set(spans.values()) == {1}
    assert len(spans) == 2 * mesh[0].view().vertices
    assert all(event["dur"] > 0 for event in find(document, "X"))
    assert {event["args"]["name"] for event in find(document, "M")} == {
        "mesh",
        *(host.identity.name for host in mesh),
    }
    assert [event["name"] for event in find(document, "i")].count("crashed") == 1
    assert find(document, "C")
    assert all(isinstance(event["pid"], int) for event in events)


def test_arrows_hold_on_to_a_slice():
    timeline = Timeline()
    run_processes(timeline)
    document = timeline.make_document()
    slices = {(event["pid"], event["tid"], event["ts"]) for event in find(document, "X")}
    for phase in "sf":
        arrows = find(document, phase)
        assert arrows
        assert all((event["pid"], event["tid"], event["ts"]) in slices for event in arrows)


def test_regions_are_processes():
    timeline = Timeline()
    mesh = run_mesh(timeline, regions=True)
    names = {
        event["args"]["name"]
        for event in find(timeline.make_document(), "M")
        if event["name"] == "process_name"
    }
    assert len(names) == len(mesh)
    assert names == set(load_latency("aws-13").names[:4])


def test_work_takes_its_time():
    timeline = Timeline()
    run_processes(timeline, cost_ns=2_500_000)
    handled = [
        event
        for event in find(timeline.make_document(), "X")
        if event["name"] == "handle 1 message"
    ]
    assert handled
    assert {event["dur"] for event in handled} == {2_500.0}


def test_a_timeline_ends_at_its_limit_and_says_so():
    timeline = Timeline(events_max=40)
    run_mesh(timeline)
    document = timeline.make_document()
    assert len(document["traceEvents"]) - len(find(document, "M")) <= 40
    assert f"{timeline.left_out} events left out" in document["otherData"]["note"]
    assert timeline.left_out > 0


def test_a_window_is_recorded_alone():
    timeline = Timeline(start_ms=1_000, end_ms=1_200)
    run_mesh(timeline)
    times = [event["ts"] for event in timeline.make_document()["traceEvents"] if "ts" in event]
    # Spans of vertices end when the last node has them, within the window or not.
    assert times
    assert all(ts >= 999_000 for ts in times)
    slices = find(timeline.make_document(), "X")
    assert all(event["ts"] <= 1_200_000 for event in slices)
