"""Signatures off the event loop: a few threads that check frames, verify and sign.

Both signature libraries release the interpreter's lock while they compute (two threads verify 1.96
times as fast as one on two cores), so threads are enough. One hop carries many frames: a hop costs
about as much as one Ed25519 signature.

A thread that has checked a signature needs the interpreter's lock for the next one, and does not get
it while the event loop computes. So verifying stands still meanwhile, and one thread alone would be
as slow as if there was no other: a reader with much to check hands over a further hop wherever a
thread is free for it. It takes the answers in order, so order holds, and nothing piles up.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, assert_never

from dag.crypto import sign_suite, verify_suite
from dag.errors import Offence
from dag.vertex import compute_signed_message
from meshnode.core.effects import SignProof, SignVertex, Verify
from meshnode.core.inputs import Checks, Signed
from meshnode.errors import InvalidMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dag.genesis import Suite
    from dag.keys import SecretKeys
    from meshnode.core.admission import Admission
    from meshnode.core.inputs import Checked, Outcome

HOP_BYTES_MAX: Final = 128_000
"""Frames of one hop: some 25 vertices of 5 KB, so about 5 ms until the thread is free again."""
_INLINE_BYTES_MAX: Final = 1_024
"""A few small messages cost less than handing them over."""
JOBS_PER_HOP: Final[dict[Suite, int]] = {"hybrid": 8, "ed25519": 64}
"""Signatures of one hop: at most some 10 ms until the thread can verify again."""

_T = TypeVar("_T")
CryptoWork = SignVertex | SignProof | Verify


@dataclass(frozen=True, slots=True)
class Refusal:
    """Bytes that admission refused, and why."""

    offence: Offence
    detail: str


class VerifyPool:
    """Threads that check, verify and sign. `close` ends them."""

    def __init__(self, secrets: SecretKeys, suite: Suite, *, threads: int = 2) -> None:
        self._secrets = secrets
        self._suite: Suite = suite
        self._thread_count = threads
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="verify")
        self._hops: dict[asyncio.Future[Any], None] = {}

    @property
    def is_idle(self) -> bool:
        """Whether there is a thread for a further hop; one waits, so that none has to."""
        return len(self._hops) <= self._thread_count

    @property
    def jobs_per_hop(self) -> int:
        """How many jobs one call of `run` should take, so that others get their turn."""
        return JOBS_PER_HOP[self._suite]

    def check(
        self, admission: Admission, frames: Sequence[bytes], peer: str = ""
    ) -> asyncio.Future[list[Checked | Refusal]]:
        """Begin to check frames that arrived together from a peer, in order."""
        if admission.verifies and sum(map(len, frames)) > _INLINE_BYTES_MAX:
            return self._start(lambda: _check_all(admission, frames, peer))
        done: asyncio.Future[list[Checked | Refusal]] = asyncio.get_running_loop().create_future()
        done.set_result(_check_all(admission, frames, peer))
        return done

    async def run(self, jobs: Sequence[tuple[int, CryptoWork]]) -> list[tuple[int, Outcome]]:
        """Do jobs in order, at most `jobs_per_hop` at a time; the outcomes by job."""
        return await self._start(lambda: [(job, self.compute(work)) for job, work in jobs])

    def _start(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        hop = asyncio.get_running_loop().run_in_executor(self._threads, work)
        self._hops[hop] = None
        hop.add_done_callback(self._hops.pop)
        return hop

    def compute(self, work: CryptoWork) -> Outcome:
        """Do one job at once, on the thread that asks."""
        match work:
            case SignVertex():
                return Signed(self._sign(compute_signed_message(work.id)))
            case SignProof():
                return Signed(self._sign(work.message))
            case Verify():
                return Checks(
                    tuple(
                        verify_suite(self._suite, item.keys, item.message, item.signature)
                        for item in work.items
                    )
                )
            case _:
                assert_never(work)

    def _sign(self, message: bytes) -> bytes:
        return sign_suite(self._suite, self._secrets, message)

    async def close(self) -> None:
        """Drop what waits, wait for what is running, end the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._hops:
            await asyncio.wait(list(self._hops))
        self._threads.shutdown(wait=True)


def split_frames(frames: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Cut frames into hops, in order, each at least one frame."""
    start = size_bytes = 0
    for position, frame in enumerate(frames):
        if position > start and size_bytes + len(frame) > HOP_BYTES_MAX:
            yield frames[start:position]
            start, size_bytes = position, 0
        size_bytes += len(frame)
    if start < len(frames):
        yield frames[start:]


def _check_all(admission: Admission, frames: Sequence[bytes], peer: str) -> list[Checked | Refusal]:
    return [_check(admission, frame, peer) for frame in frames]


def _check(admission: Admission, frame: bytes, peer: str) -> Checked | Refusal:
    try:
        return admission.check(frame, peer)
    except InvalidMessage as error:
        return Refusal(error.offence, str(error))
