"""How fast a validator that was away comes back to the order: two real nodes over loopback TCP.

    python -m benchmarks.bench_catchup [--json] [--vertices 100000] [--notes-per-block 7]

One node holds the whole history of a committee of four: signed notes and the blocks that put them
in order. The other holds the first profiles only. The clock runs from its first dial until it holds
every vertex and has made the last commit of the history itself. The floor is the check of every
signature on one core. The history is signed first, by all cores, which takes longer than the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks._harness import cpu_by_thread_s, cpu_s, describe_machine, describe_revision
from benchmarks.peers.mesh import MeshConfig, open_peer_runtime
from consensus.block import BlockBody, encode_body
from dag.canonical import encode
from dag.crypto import sign_suite, verify_suite
from dag.genesis import Genesis, compute_network_id
from dag.heads import compute_lamport
from dag.types import LANE_BLOCKS, LANE_SPEECH, WIRE_VERSION, Kind, Ref
from dag.vertex import Envelope, Vertex, compute_signed_message, compute_vertex_id, encode_vertex
from meshnode.core.commands import Connect
from meshnode.core.effects import StoreVertex
from meshnode.shell.store import Store
from tests.support.dag_builder import START_MS, make_genesis, make_person

AUTHORS = 4
BODY_BYTES = 256
SIGN_BATCH = 500
POLL_S = 0.1
TARGET_VERTICES = 100_000
TARGET_S = 60.0
THREAD_MIN_S = 0.05
"""Threads that used less are not told of."""
VERIFICATIONS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One peer that came back."""

    vertices: int
    blocks: int
    commits: int
    stored_bytes: int
    seconds: float
    rate_per_s: float
    floor_s: float
    """Checking every signature, on one core."""
    cpu_s: float
    """Of the peer that came back, meanwhile."""
    cpu_us_by_thread: dict[str, int]
    """The same per vertex: the event loop, the verifying threads, the one that writes the journal."""
    server_cpu_s: float
    start_s: float
    """The other node's start, with the whole history in its journal."""


class History:
    """Unsigned vertices in an order of admission: rounds of blocks over chains of notes."""

    def __init__(self, genesis: Genesis, authors: Sequence[bytes]) -> None:
        self._network = compute_network_id(genesis)
        self._authors = authors
        self.vertices: list[tuple[int, bytes, Vertex]] = []
        """(number of the author, id, vertex)."""
        self._last: dict[tuple[int, int], tuple[int, Ref]] = {}
        self._speech: list[Ref] = []
        self._row: list[Ref] = []
        self._steps = 0

    def add(self, author: int, lane: int, kind: int, refs: Sequence[Ref], body: bytes) -> Ref:
        """An author's next vertex in a lane, behind its previous one."""
        seq, previous = self._last.get((author, lane), (-1, None))
        parents = (
            tuple(refs) if previous is None else (previous, *(r for r in refs if r != previous))
        )
        self._steps += 1
        vertex = Vertex(
            version=WIRE_VERSION,
            network=self._network,
            author=self._authors[author],
            lane=lane,
            seq=seq + 1,
            lamport=compute_lamport(parents),
            kind=kind,
            time_ms=START_MS + self._steps,
            parents=parents,
            body=body,
        )
        vertex_id = compute_vertex_id(vertex)
        self.vertices.append((author, vertex_id, vertex))
        ref = Ref(vertex.lamport, vertex_id)
        self._last[author, lane] = seq + 1, ref
        return ref

    def say(self, author: int, kind: int, body: bytes) -> None:
        """A lane-0 vertex over everything said."""
        ref = self.add(author, LANE_SPEECH, kind, sorted(self._speech), body)
        self._speech = [ref]

    def close_round(self, round_: int) -> None:
        """A block of each validator; the first puts in order what was said since."""
        row = []
        for author in range(AUTHORS):
            own = [ref for number, ref in enumerate(self._row) if number == author]
            blocks = [*own, *(ref for number, ref in enumerate(self._row) if number != author)]
            payload = self._speech if author == round_ % AUTHORS else []
            body = encode_body(BlockBody(0, round_, round_ - 1, len(blocks)))
            row.append(self.add(author, LANE_BLOCKS, Kind.BLOCK, [*blocks, *payload], body))
        self._row = row


def sign_batch(batch: Sequence[tuple[int, bytes, Vertex]]) -> list[bytes]:
    """The signed bytes of vertices; in a worker process."""
    wires = []
    for author, vertex_id, vertex in batch:
        secrets = make_person(author, "hybrid").secrets
        signature = sign_suite("hybrid", secrets, compute_signed_message(vertex_id))
        wires.append(encode(Envelope(encode_vertex(vertex), signature)))
    return wires


def make_history(count: int, notes_per_block: int) -> History:
    """About `count` vertices, with four blocks for each `4 * notes_per_block` notes."""
    people = [make_person(number, "hybrid") for number in range(AUTHORS)]
    history = History(make_genesis(people, suite="hybrid"), [person.author for person in people])
    for number, person in enumerate(people):
        history.say(number, Kind.PROFILE, encode(person.profile()))
    round_ = said = 0
    while len(history.vertices) < count - AUTHORS:
        for _ in range(AUTHORS * notes_per_block):
            history.say(said % AUTHORS, Kind.NOTE, bytes(BODY_BYTES))
            said += 1
        round_ += 1
        history.close_round(round_)
    return history


def store_history(history: History, network: bytes, folders: Sequence[Path]) -> int:
    """Sign everything into the first folder's journal, the profiles into all; answers the bytes."""
    items = history.vertices
    starts = (0, *range(AUTHORS, len(items), SIGN_BATCH), len(items))
    batches = [items[start:end] for start, end in itertools.pairwise(starts)]
    context = multiprocessing.get_context("spawn")
    size = 0
    with (
        ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool,
        closing(Store.open(folders[0], network)) as store,
    ):
        for batch, wires in zip(batches, pool.map(sign_batch, batches), strict=True):
            records = [StoreVertex(item[1], wire) for item, wire in zip(batch, wires, strict=True)]
            store.append(records)
            size += sum(map(len, wires))
            for folder in folders[1:] if batch is batches[0] else ():
                with closing(Store.open(folder, network)) as other:
                    other.append(records)
    return size


# --- the two nodes ----------------------------------------------------------------------------------


async def run_server(pipe: Connection, config: MeshConfig) -> None:
    """Hold the history and serve it."""
    begin_s = time.monotonic()
    async with open_peer_runtime(config) as (runtime, _):
        started_s = time.monotonic() - begin_s
        commits = runtime.view().commit_index
        pipe.send(Connect(runtime.transport.peer_id, runtime.transport.addresses))
        pipe.send((started_s, commits, runtime.view().vertices))
        before_s = cpu_s()
        await asyncio.to_thread(pipe.recv)
        pipe.send(cpu_s() - before_s)


def subtract(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """What each thread used between two looks; those that used next to nothing are left out."""
    used = {name: time_s - before.get(name, 0.0) for name, time_s in after.items()}
    return {name: time_s for name, time_s in used.items() if time_s > THREAD_MIN_S}


async def run_laggard(pipe: Connection, config: MeshConfig) -> None:
    """Come back; answers how long it took, and the CPU it cost."""
    async with open_peer_runtime(config) as (runtime, _):
        address, commits, vertices = await asyncio.to_thread(pipe.recv)
        begin_s, before_s, threads = time.monotonic(), cpu_s(), cpu_by_thread_s()
        await runtime.submit(address)
        while (view := runtime.view()).commit_index < commits or view.vertices < vertices:
            pipe.send(("progress", view.vertices))
            await asyncio.sleep(POLL_S)
        used = subtract(cpu_by_thread_s(), threads)
        pipe.send(("done", (time.monotonic() - begin_s, cpu_s() - before_s, used)))


def _enter_server(pipe: Connection, config: MeshConfig) -> None:
    asyncio.run(run_server(pipe, config))


def _enter_laggard(pipe: Connection, config: MeshConfig) -> None:
    asyncio.run(run_laggard(pipe, config))


def start(target: Callable[..., None], number: int, folder: Path) -> Connection:
    """A process with one node of the committee."""
    config = MeshConfig(number, AUTHORS, 0, str(folder), "hybrid", verify=True)
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    context.Process(target=target, args=(far, config), daemon=True).start()
    far.close()
    return near


def time_verification() -> float:
    """Seconds to check one signature."""
    person, message = make_person(0, "hybrid"), bytes(64)
    signature = sign_suite("hybrid", person.secrets, message)
    begin_s = time.process_time()
    for _ in range(VERIFICATIONS):
        assert verify_suite("hybrid", person.keys, message, signature)
    return (time.process_time() - begin_s) / VERIFICATIONS


def measure(count: int, notes_per_block: int, folder: Path, show: Callable[[str], None]) -> Figures:
    """Make a history, and let a node catch up with it."""
    show(f"signing {count} vertices")
    history = make_history(count, notes_per_block)
    people = [make_person(number, "hybrid") for number in range(AUTHORS)]
    network = compute_network_id(make_genesis(people, suite="hybrid"))
    folders = [folder / "holder", folder / "laggard"]
    for each in folders:
        each.mkdir()
    size = store_history(history, network, folders)
    show("starting the node that holds them")
    server = start(_enter_server, 0, folders[0])
    address = server.recv()
    start_s, commits, held = server.recv()
    laggard = start(_enter_laggard, AUTHORS - 1, folders[1])
    laggard.send((address, commits, held))
    while (answer := laggard.recv())[0] == "progress":
        show(f"{answer[1]} of {held} vertices")
    seconds, used_s, by_thread = answer[1]
    server.send(None)
    return Figures(
        vertices=held,
        blocks=sum(vertex.lane == LANE_BLOCKS for _, _, vertex in history.vertices),
        commits=commits,
        stored_bytes=size,
        seconds=seconds,
        rate_per_s=held / seconds,
        floor_s=held * time_verification(),
        cpu_s=used_s,
        cpu_us_by_thread={name: round(1e6 * each / held) for name, each in by_thread.items()},
        server_cpu_s=server.recv(),
        start_s=start_s,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--vertices", type=int, default=TARGET_VERTICES)
    parser.add_argument("--notes-per-block", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()

    def show(text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="meshnode-bench-") as folder:
        figures = measure(options.vertices, options.notes_per_block, Path(folder), show)
    show("")
    if options.json:
        place = {"revision": describe_revision(), "machine": describe_machine()}
        print(json.dumps({"benchmark": "catchup", **asdict(figures), **place}))
        return
    print_figures(figures)


def print_figures(figures: Figures) -> None:
    """For people."""
    mark = "ok" if TARGET_VERTICES / figures.rate_per_s <= TARGET_S else "MISSED"
    threads = ", ".join(f"{name} {each}" for name, each in figures.cpu_us_by_thread.items())
    print(
        f"{figures.vertices} vertices ({figures.blocks} blocks, {figures.commits} commits, "
        f"{figures.stored_bytes / 1e6:.0f} MB) in {figures.seconds:.1f} s"
        f" = {figures.rate_per_s:.0f}/s, {figures.seconds / figures.floor_s:.2f} x floor\n"
        f"CPU {figures.cpu_s:.1f} s here, {figures.server_cpu_s:.1f} s there;"
        f" a start with all of it {figures.start_s:.1f} s\n"
        f"us of CPU per vertex here: {threads or 'not told'}\n"
        f"target: {TARGET_VERTICES:,} in {TARGET_S:.0f} s [{mark}]"
    )


if __name__ == "__main__":
    main()
