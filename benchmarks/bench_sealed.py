"""What sealing costs: the handshake, a frame, and the first token of an answer between two nodes.

    python -m benchmarks.bench_sealed [--json] [--rounds 300] [--questions 60]

CPU time of this process throughout, for other work on the machine does not count there. The floor is
the cryptography alone, called directly: of a handshake two encapsulations, two decapsulations and the
X25519 operations of both sides; of a frame the AEAD. The first token is that of the echo engine, asked
over the memory transport by one node of another, sealed and in the open in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from nacl import bindings as sodium

from benchmarks._harness import describe_machine, describe_revision
from dag.kem import get_kem
from meshnode.sealed.frames import Opener, Sealer, compute_padded_bytes
from meshnode.sealed.handshake import Asking, Binding, accept_open
from meshnode.sealed.ring import KeyRing, make_ring
from meshnode.sealed.ring_file import draw_secrets
from meshnode.serving.protocol import decode_answer_frame, decode_ask_frame, encode_frame
from meshnode.testing import mesh

FRAMES_BYTES = (200, 1_000, 10_000, 59_000)
BATCHES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU time of one operation and of what cannot be left out of it."""

    name: str
    cpu_us: float
    floor_us: float
    wire_bytes: int

    @property
    def ratio(self) -> float:
        """How often the floor."""
        return self.cpu_us / self.floor_us


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstTokens:
    """Whole questions of one node to another in one process, in the median."""

    questions: int
    open_ms: float
    sealed_ms: float
    open_cpu_ms: float
    sealed_cpu_ms: float


def measure_us(work: Callable[[], object], rounds: int) -> float:
    """CPU time of one call: the best of some batches."""
    best = float("inf")
    for _ in range(BATCHES):
        started_ns = time.process_time_ns()
        for _ in range(rounds):
            work()
        best = min(best, (time.process_time_ns() - started_ns) / rounds / 1_000)
    return best


class Sides:
    """Two rings and what both sides know."""

    def __init__(self) -> None:
        self.asker: KeyRing = make_ring(draw_secrets(), 1)
        self.server: KeyRing = make_ring(draw_secrets(), 1)
        self.binding = Binding(bytes(32), bytes(32), bytes(32), "12D3a", "12D3b", bytes(64))

    def begin(self) -> Asking:
        """The asking side's first half."""
        server = self.server.current_keys
        assert server is not None
        return Asking(
            self.binding,
            ring=self.asker,
            server=server,
            version=1,
            number=1,
            seed=os.urandom(32),
        )

    def shake_hands(self) -> None:
        """Both sides, with their frames written and read."""
        server, asker = self.server.current_keys, self.asker.current_keys
        assert server is not None
        assert asker is not None
        asking = self.begin()
        opened = decode_ask_frame(encode_frame(asking.open))
        accept, _ = accept_open(
            self.binding,
            opened,  # type: ignore[arg-type]  # it is what was written
            own=self.server.current.secrets,
            own_keys=server,
            asker=asker,
            seed=os.urandom(32),
        )
        asking.finish(decode_answer_frame(encode_frame(accept)))  # type: ignore[arg-type]

    def compute_floor(self) -> None:
        """The same cryptography, and nothing else."""
        kem = get_kem()
        for ring in (self.server, self.asker):
            keys, pair = ring.current_keys, ring.current
            assert keys is not None
            found = kem.encapsulate(keys.mlkem768_key)
            kem.decapsulate(pair.mlkem768_secret, found.ciphertext)
        one, other = os.urandom(32), os.urandom(32)
        here, there = sodium.crypto_scalarmult_base(one), sodium.crypto_scalarmult_base(other)
        for secret, public in ((one, there), (other, here)) * 3:
            sodium.crypto_scalarmult(secret, public)


def measure_handshake(rounds: int) -> Cost:
    """Both sides together."""
    sides = Sides()
    asking = sides.begin()
    return Cost(
        name="handshake, both sides",
        cpu_us=measure_us(sides.shake_hands, rounds),
        floor_us=measure_us(sides.compute_floor, rounds),
        wire_bytes=2 * len(encode_frame(asking.open)),
    )


def measure_frame(size: int, rounds: int) -> Cost:
    """Sealing, writing, reading and opening one frame."""
    key, content = os.urandom(32), os.urandom(size)
    sealer, opener = Sealer(key), Opener(key)
    written = 0

    def carry() -> None:
        nonlocal written
        frame = encode_frame(sealer.seal(content))
        written = len(frame)
        opener.open(decode_answer_frame(frame))  # type: ignore[arg-type]  # it is a box

    plain, nonce = bytes(compute_padded_bytes(size + 1)), bytes(24)

    def compute() -> None:
        box = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, None, nonce, key)
        sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(box, None, nonce, key)

    cpu_us, floor_us = measure_us(carry, rounds), measure_us(compute, rounds)
    return Cost(name=f"frame of {size:,} B", cpu_us=cpu_us, floor_us=floor_us, wire_bytes=written)


async def measure_first_tokens(questions: int) -> FirstTokens:
    """One node asks another, sealed and in the open in turns."""
    async with mesh(2, engine=["none", "echo"], validates=False, share="digest") as (asker, server):
        seals = {node: node._sealing for node in (asker, server)}  # noqa: SLF001  # turned off here
        found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        for number in range(2 * questions + 4):
            sealed = number % 2 == 0
            for node, sealing in seals.items():
                node._port._sealing = sealing if sealed else None  # noqa: SLF001  # as above
            cpu_ns = time.process_time_ns()
            answer = await asker.ask(f"question {number}")
            assert answer.sealed is sealed
            cpu_ms = (time.process_time_ns() - cpu_ns) / 1e6
            if number >= 4:  # the first ones warm up
                found[sealed].append((answer.first_token_ms, cpu_ms))
    times = {
        sealed: [statistics.median(column) for column in zip(*rows, strict=True)]
        for sealed, rows in found.items()
    }
    return FirstTokens(
        questions=questions,
        open_ms=times[False][0],
        sealed_ms=times[True][0],
        open_cpu_ms=times[False][1],
        sealed_cpu_ms=times[True][1],
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--questions", type=int, default=60)
    options = parser.parse_args()
    costs = [
        measure_handshake(options.rounds),
        *(measure_frame(size, options.rounds) for size in FRAMES_BYTES),
    ]
    tokens = asyncio.run(measure_first_tokens(options.questions))
    if options.json:
        document = {
            "machine": describe_machine(),
            "revision": describe_revision(),
            "costs": [{**asdict(cost), "ratio": cost.ratio} for cost in costs],
            "first_tokens": asdict(tokens),
        }
        print(json.dumps(document, indent=2))
        return 0
    print(f"{'':<24}{'CPU us':>10}{'floor us':>10}{'ratio':>8}{'wire B':>9}")
    for cost in costs:
        print(
            f"{cost.name:<24}{cost.cpu_us:>10.0f}{cost.floor_us:>10.0f}"
            f"{cost.ratio:>8.2f}{cost.wire_bytes:>9,}"
        )
    print(
        f"question of one node to another, median of {tokens.questions}: first token "
        f"{tokens.open_ms:.1f} ms in the open, {tokens.sealed_ms:.1f} ms sealed; CPU of both "
        f"{tokens.open_cpu_ms:.2f} ms and {tokens.sealed_cpu_ms:.2f} ms"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
