"""What one hop through the HTTP interface costs, and through other gateways beside it.

    python benchmarks/bench_gateway.py [--json] [--proxies FOLDER] [--requests 600]

Every gateway stands in front of the same stub engine, one process each; the stub alone is the base.
They are measured in turns, round by round, so that other work on the machine meets all of them.
Added latency is the median through a gateway less the stub's; requests per core are what a second of
its own processor time carries, whoever else uses the machine; a chunk's cost is processor time of a
stream per word of it. What each figure means: METHODOLOGY.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

from benchmarks._harness import describe_machine, describe_revision, quantile
from benchmarks._openai_stub import MODEL
from benchmarks.peers.proxies import Target, read_cpu_s, run_targets

SYSTEMS = ("meshnode", "litellm", "sglang-router")
LATENCY_TARGET = 0.5
"""Added p50 of one hop, as a part of LiteLLM's: at most this."""
RATE_TARGET = 3.0
"""Requests per core, as a multiple of LiteLLM's: at least this."""
WORDS = 8
WARM_UP = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured."""

    requests: int = 600
    """Of each kind, to each gateway."""
    rounds: int = 6
    at_once: int = 16
    streams: int = 16
    words: int = 200
    """Of each long stream."""


@dataclass(slots=True)
class Tally:
    """What one gateway has done."""

    target: Target
    alone_s: list[float]
    """Times of requests that were sent one after the other."""
    busy_s: list[float]
    cpu_s: float = 0.0
    """For the requests that came at once."""
    wall_s: float = 0.0
    stream_cpu_s: float = 0.0
    chunks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One gateway."""

    system: str
    p50_ms: float
    added_p50_ms: float
    busy_p50_ms: float
    busy_p99_ms: float
    requests_per_s: float
    cpu_ms_per_request: float
    requests_per_core_s: float
    cpu_us_per_chunk: float


async def ask(session: aiohttp.ClientSession, target: Target, *, words: int, stream: bool) -> float:
    """Send one question and read its answer to the end; returns how long that took."""
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "max_tokens": words,
        "stream": stream,
    }
    headers = {"Authorization": f"Bearer {target.key}"}
    began_s = time.perf_counter()
    url = f"{target.base_url}/chat/completions"
    async with session.post(url, json=body, headers=headers) as response:
        data = await response.read()
        assert response.status == 200, f"{target.name}: {response.status} {data[:300]!r}"
        assert not stream or b"[DONE]" in data, f"{target.name}: a stream broke off"
    return time.perf_counter() - began_s


async def run_round(session: aiohttp.ClientSession, tally: Tally, settings: Settings) -> None:
    """One turn of one gateway: alone, at once, and long streams."""
    target, count = tally.target, settings.requests // settings.rounds
    for _ in range(count):
        tally.alone_s.append(await ask(session, target, words=WORDS, stream=False))

    async def work() -> None:
        for _ in range(count // settings.at_once):
            tally.busy_s.append(await ask(session, target, words=WORDS, stream=False))

    cpu_s, wall_s = read_cpu_s(target.pid), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(settings.at_once)))
    tally.wall_s += time.perf_counter() - wall_s
    middle_s = read_cpu_s(target.pid)
    tally.cpu_s += middle_s - cpu_s
    streams = [
        ask(session, target, words=settings.words, stream=True) for _ in range(settings.streams)
    ]
    await asyncio.gather(*streams)
    tally.stream_cpu_s += read_cpu_s(target.pid) - middle_s
    tally.chunks += settings.streams * settings.words


async def measure(targets: Sequence[Target], settings: Settings) -> list[Tally]:
    """Every gateway in turns."""
    tallies = [Tally(target, [], []) for target in targets]
    timeout = aiohttp.ClientTimeout(total=300)
    for _ in range(settings.rounds):
        for tally in tallies:
            # Fresh connections each time: some servers drop those that were quiet for some seconds.
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
                for _ in range(WARM_UP):
                    await ask(session, tally.target, words=WORDS, stream=False)
                await run_round(session, tally, settings)
    return tallies


def summarise(tally: Tally, base_s: float) -> Figures:
    """The figures of one gateway; `base_s` is the engine's own median."""
    p50_s, requests = quantile(tally.alone_s, 0.5), len(tally.busy_s)
    return Figures(
        system=tally.target.name,
        p50_ms=round(p50_s * 1e3, 3),
        added_p50_ms=round((p50_s - base_s) * 1e3, 3),
        busy_p50_ms=round(quantile(tally.busy_s, 0.5) * 1e3, 2),
        busy_p99_ms=round(quantile(tally.busy_s, 0.99) * 1e3, 2),
        requests_per_s=round(requests / tally.wall_s, 1),
        cpu_ms_per_request=round(tally.cpu_s / requests * 1e3, 3),
        requests_per_core_s=round(requests / max(tally.cpu_s, 1e-9), 1),
        cpu_us_per_chunk=round(tally.stream_cpu_s / tally.chunks * 1e6, 1),
    )


def compare(figures: Sequence[Figures]) -> list[dict[str, object]]:
    """Ours beside LiteLLM's, where both were measured."""
    by_name = {each.system: each for each in figures}
    ours, theirs = by_name.get("meshnode"), by_name.get("litellm")
    if ours is None or theirs is None:
        return []
    latency = ours.added_p50_ms / theirs.added_p50_ms
    rate = ours.requests_per_core_s / theirs.requests_per_core_s
    return [
        {
            "target": "added p50 / litellm's",
            "ratio": round(latency, 3),
            "bound": LATENCY_TARGET,
            "met": latency <= LATENCY_TARGET,
        },
        {
            "target": "requests per core / litellm's",
            "ratio": round(rate, 2),
            "bound": RATE_TARGET,
            "met": rate >= RATE_TARGET,
        },
    ]


def show(figures: Figures) -> str:
    """One gateway in one line."""
    return (
        f"{figures.system:14} alone p50 {figures.p50_ms:8.2f} ms (added {figures.added_p50_ms:7.2f})"
        f"  at once p50 {figures.busy_p50_ms:8.1f} p99 {figures.busy_p99_ms:8.1f} ms"
        f"  {figures.requests_per_s:7.1f}/s  {figures.cpu_ms_per_request:7.2f} ms CPU"
        f"  {figures.requests_per_core_s:7.1f}/s per core  {figures.cpu_us_per_chunk:7.1f} us/chunk"
    )


def main() -> None:
    """Measure and print."""
    defaults = Settings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=defaults.requests)
    parser.add_argument("--rounds", type=int, default=defaults.rounds)
    parser.add_argument("--at-once", type=int, default=defaults.at_once)
    parser.add_argument("--streams", type=int, default=defaults.streams)
    parser.add_argument("--words", type=int, default=defaults.words)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--proxies", type=Path, help="folder that setup_proxies.sh has filled")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    options = parser.parse_args()
    settings = Settings(
        requests=options.requests,
        rounds=options.rounds,
        at_once=options.at_once,
        streams=options.streams,
        words=options.words,
    )
    place = {"revision": describe_revision(), "machine": describe_machine()}
    with run_targets(options.systems.split(","), options.proxies) as targets:
        tallies = asyncio.run(measure(targets, settings))
    base_s = quantile(tallies[0].alone_s, 0.5)
    figures = [summarise(tally, base_s) for tally in tallies]
    for each in figures:
        line = {"benchmark": "gateway", **asdict(each), "settings": asdict(settings), **place}
        print(json.dumps(line) if options.json else show(each), flush=True)
    for target in compare(figures):
        if options.json:
            print(json.dumps({"benchmark": "gateway", **target, **place}))
        else:
            sign = "met" if target["met"] else "MISSED"
            print(f"{target['target']:32} {target['ratio']:8} of {target['bound']}  {sign}")


if __name__ == "__main__":
    main()
