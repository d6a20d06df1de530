"""The benchmark of catching up, with both nodes in one process, and the figures it prints."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import _harness, bench_catchup
from benchmarks._harness import cpu_by_thread_s
from benchmarks.bench_catchup import AUTHORS, Figures, make_history, run_laggard, run_server
from benchmarks.peers.mesh import MeshConfig
from dag.genesis import compute_network_id
from meshnode.core.effects import StoreVertex
from meshnode.shell.store import Store
from tests.support.dag_builder import make_genesis, make_person

VERTICES = 40


def store_history(folders: list[Path]) -> int:
    people = [make_person(number, "hybrid") for number in range(AUTHORS)]
    network = compute_network_id(make_genesis(people, suite="hybrid"))
    items = make_history(VERTICES, 1).vertices
    records = [
        StoreVertex(item[1], wire)
        for item, wire in zip(items, bench_catchup.sign_batch(items), strict=True)
    ]
    for folder, count in zip(folders, (len(items), AUTHORS), strict=True):
        folder.mkdir()
        with closing(Store.open(folder, network)) as store:
            store.append(records[:count])
    return len(items)


async def test_a_node_that_was_away_catches_up_and_tells_what_it_cost(tmp_path: Path):
    folders = [tmp_path / "holder", tmp_path / "laggard"]
    count = store_history(folders)
    pipes = [multiprocessing.Pipe() for _ in folders]
    configs = [
        MeshConfig(number, AUTHORS, 0, str(folder), "hybrid", verify=True)
        for number, folder in zip((0, AUTHORS - 1), folders, strict=True)
    ]
    server = asyncio.create_task(run_server(pipes[0][1], configs[0]))
    address = await asyncio.to_thread(pipes[0][0].recv)
    _, commits, held = await asyncio.to_thread(pipes[0][0].recv)
    assert held == count
    assert commits > 0
    pipes[1][0].send((address, commits, held))
    await run_laggard(pipes[1][1], configs[1])
    while (answer := pipes[1][0].recv())[0] == "progress":
        pass
    seconds, used_s, by_thread = answer[1]
    assert seconds > 0
    assert used_s >= sum(by_thread.values())
    pipes[0][0].send(None)
    await server
    assert pipes[0][0].recv() > 0


def test_history_puts_what_was_said_in_order_round_by_round():
    history = make_history(VERTICES, 1)
    blocks = [vertex for _, _, vertex in history.vertices if vertex.lane]
    rounds = len(blocks) // AUTHORS
    assert len(history.vertices) == AUTHORS + 2 * AUTHORS * rounds
    assert sum(len(block.parents) > AUTHORS for block in blocks) == rounds - 1


def test_figures_are_printed_with_what_each_kind_of_thread_used(
    capsys: pytest.CaptureFixture[str],
):
    figures = Figures(
        vertices=100,
        blocks=12,
        commits=3,
        stored_bytes=400_000,
        seconds=70.0,
        rate_per_s=1.4,
        floor_s=0.03,
        cpu_s=0.05,
        cpu_us_by_thread={"MainThread": 110, "verify": 310},
        server_cpu_s=0.01,
        start_s=0.5,
    )
    bench_catchup.print_figures(figures)
    printed = capsys.readouterr().out
    assert "us of CPU per vertex here: MainThread 110, verify 310\n" in printed
    assert printed.endswith("target: 100,000 in 60 s [MISSED]\n")


def test_what_threads_used_is_added_up_by_pool_and_subtracted(monkeypatch: pytest.MonkeyPatch):
    stop = threading.Event()
    pool = [threading.Thread(target=stop.wait, name=f"verify_{number}") for number in range(2)]
    for thread in pool:
        thread.start()
    names = list(cpu_by_thread_s())
    stop.set()
    for thread in pool:
        thread.join()
    assert {"MainThread", "verify"} <= dict.fromkeys(names).keys()
    monkeypatch.setattr(_harness, "Path", lambda _: Path("/nowhere"))
    assert cpu_by_thread_s() == {}
    before = {"loop": 1.0, "idle": 0.99}
    after = {"loop": 3.0, "new": 1.0, "idle": 1.0}
    assert bench_catchup.subtract(after, before) == {"loop": 2.0, "new": 1.0}
