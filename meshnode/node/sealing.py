"""What sealing needs to know of a running node: its peers' keys, and its own as they change."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from dag.authors import read_profile
from dag.bodies import PROFILE_DECODER
from dag.canonical import encode
from dag.errors import MalformedMessage
from dag.genesis import compute_network_id
from dag.identity import get_profile_keys, verify_vertex
from dag.types import LANE_SPEECH, Kind
from dag.vertex import decode_signed
from meshnode.errors import CommandRejected, KeystoreError, WrongNetwork
from meshnode.sealed.keys import find_sealing_keys, get_sealing_secrets
from meshnode.sealed.ring import make_ring
from meshnode.sealed.ring_file import draw_secrets
from meshnode.sealing_views import SealingInfo
from meshnode.serving.sealing import Counterpart, Sealing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshnode.config import NodeConfig
    from meshnode.node.setup import NodeSetup
    from meshnode.sealed.keys import SealingKeys
    from meshnode.sealed.ring import KeyRing
    from meshnode.sealed.ring_file import RingFile
    from meshnode.shell.runtime import Runtime

CHECK_MS: Final = 2_000
"""How often the file of keys is looked at: a rotation by hand is taken up within this."""
DAY_MS: Final = 24 * 3_600_000


class RuntimeDirectory:
    """`meshnode.serving.sealing.SealingDirectory` over a runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._network = compute_network_id(runtime.genesis)

    def find_counterpart(self, peer: str) -> Counterpart | None:
        """A ready peer; None for anybody else."""
        view = self._runtime.view()
        ready = next((each for each in view.peers if each.peer == peer), None)
        if ready is None:
            return None
        record = next((each for each in view.members if each.id == ready.author), None)
        if record is None:
            return None
        return Counterpart(
            author=ready.author,
            keys=find_sealing_keys(record.keys),
            seq=record.current_seq,
            session=ready.session,
        )

    async def read_profile(self) -> bytes:
        """Wire bytes of the own newest profile vertex; empty where none is out yet."""
        own = self._runtime.author
        record = next((each for each in self._runtime.view().members if each.id == own), None)
        if record is None or not record.current:
            return b""
        return (await self._runtime.read([record.current])).get(record.current, b"")

    def check_profile(self, author: bytes, wire: bytes) -> tuple[int, SealingKeys | None]:
        """Seq and keys of a profile vertex that this author has signed. Raises `InvalidMessage`."""
        suite = self._runtime.genesis.suite
        signed = decode_signed(wire)
        vertex = signed.vertex
        if vertex.network != self._network:
            raise WrongNetwork("a profile of another network")
        if (vertex.author, vertex.lane, vertex.kind) != (author, LANE_SPEECH, Kind.PROFILE):
            raise MalformedMessage("what came is no profile of this peer")
        keys = read_profile(vertex, suite).keys
        verify_vertex(keys, suite, signed)
        return vertex.seq, find_sealing_keys(keys)


class KeyKeeper:
    """Replaces the own keys in time, erases those whose grace is over, and says so to the mesh."""

    def __init__(
        self,
        runtime: Runtime,
        sealing: Sealing,
        file: RingFile | None,
        *,
        rotate_days: int,
        keep_days: int,
    ) -> None:
        """Without a file the keys end with the node."""
        self._runtime = runtime
        self._sealing = sealing
        self._file = file
        self._rotate_ms = rotate_days * DAY_MS
        self._keep_ms = keep_days * DAY_MS
        self._version = (0, 0)
        self._problem = ""

    @property
    def problem(self) -> str:
        """Why keys cannot be replaced or erased now; empty while they can."""
        return self._problem

    async def keep(self) -> None:
        """Go on until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(CHECK_MS / 1_000)

    async def check(self) -> None:
        """Do what is due."""
        try:
            ring = await self._find_ring()
            if ring is not self._sealing.ring:
                self._sealing.set_ring(ring)
            await self._announce()
            self._problem = ""
        except (KeystoreError, CommandRejected) as error:
            self._problem = error.message

    async def _find_ring(self) -> KeyRing:
        file, ring, now_ms = self._file, self._sealing.ring, self._runtime.now_ms()
        version = (0, 0) if file is None else await asyncio.to_thread(file.get_version)
        if file is not None and version != self._version:
            read = await asyncio.to_thread(file.read)
            ring = ring if read is None else read
            self._version = version
        if self._rotate_ms and now_ms - ring.current.created_ms >= self._rotate_ms:
            ring = await self._rotate(ring, now_ms)
        kept = ring.forget(now_ms, self._keep_ms)
        if kept is not ring and file is not None:
            await asyncio.to_thread(file.forget, now_ms, self._keep_ms)
        return kept

    async def _rotate(self, ring: KeyRing, now_ms: int) -> KeyRing:
        if self._file is None:
            return ring.rotate(draw_secrets(), now_ms)
        return await asyncio.to_thread(self._file.rotate, ring, now_ms)

    async def _announce(self) -> None:
        """Let the own profile name the current keys."""
        keys = self._sealing.ring.current_keys
        profile = PROFILE_DECODER.decode(self._runtime.profile)
        if keys is None or keys == find_sealing_keys(get_profile_keys(profile)):
            return
        renewed = msgspec.structs.replace(
            profile, x25519_key=keys.x25519_key, mlkem768_key=keys.mlkem768_key
        )
        await self._runtime.renew(encode(renewed))


def make_sealing(runtime: Runtime, setup: NodeSetup) -> Sealing | None:
    """What seals a node's streams; None in a network whose profiles name no keys for that."""
    if runtime.genesis.suite != "hybrid":
        return None
    ring = setup.ring or make_ring(get_sealing_secrets(setup.secrets), runtime.now_ms())
    return Sealing(
        network=compute_network_id(runtime.genesis),
        author=runtime.author,
        transport=str(runtime.transport.peer_id),
        directory=RuntimeDirectory(runtime),
        ring=ring,
    )


def make_keeper(
    runtime: Runtime, sealing: Sealing, setup: NodeSetup, config: NodeConfig
) -> KeyKeeper:
    """What looks after a node's keys."""
    return KeyKeeper(
        runtime,
        sealing,
        setup.ring_file,
        rotate_days=config.rotate_keys_days,
        keep_days=config.keep_keys_days,
    )


def show_sealing(sealing: Sealing) -> SealingInfo:
    """What is sealed, and with which key."""
    ring, figures = sealing.ring, sealing.figures
    keys = ring.current_keys
    return SealingInfo(
        key=None if keys is None else keys.id.hex(),
        made_ms=ring.current.created_ms,
        older_keys=len(ring.pairs) - 1,
        asked=figures.asked,
        answered=figures.answered,
        refused=figures.refused_open + figures.refused_keys + figures.refused_replays,
    )


@asynccontextmanager
async def keep_keys(keeper: KeyKeeper) -> AsyncIterator[None]:
    """Look after the keys while the block runs."""
    task = asyncio.create_task(keeper.keep(), name="keep sealing keys")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
