"""A large blob between real nodes: one holder lies, one dies in the middle, and all of it arrives."""

from __future__ import annotations

import asyncio

import pytest

from dag.errors import Offence
from meshnode.core.blob_manifest import CHUNK_BYTES_MIN
from meshnode.testing import mesh
from meshnode.transport.memory import MemoryNetwork
from tests.support.runtimes import wait_until
from tests.vectors.generate_blobs import make_content

CHUNKS = 200
LIE = 7


def lie_about(node, blob_id, index):
    """Let a node give wrong bytes for one chunk, as a changed program would; answers its lies."""
    lies = []
    real_open = node.blobs.store.open

    async def open_lying(wanted):
        file = await real_open(wanted)
        real_read = file.read

        def read(number):
            if number != index or wanted.hex() != blob_id:
                return real_read(number)
            lies.append(number)
            return bytes(CHUNK_BYTES_MIN)

        file.read = read
        return file

    node.blobs.store.open = open_lying
    return lies


@pytest.mark.parametrize("transport", ["memory", "libp2p"])
async def test_large_blob_arrives_though_one_holder_lies_and_one_dies(transport, tmp_path):
    content = await asyncio.to_thread(make_content, CHUNKS * CHUNK_BYTES_MIN)
    hub = MemoryNetwork() if transport == "memory" else "libp2p"
    options = {"engine": "none", "suite": "ed25519", "validates": False}
    async with mesh(4, transport=hub, **options) as (fetcher, liar, mortal, honest):
        infos = [await node.blobs.put(content) for node in (liar, mortal, honest)]
        blob_id = infos[0].id
        lies = lie_about(liar, blob_id, LIE)
        seen = []
        fetch = asyncio.create_task(fetcher.blobs.fetch(blob_id, on_progress=seen.append))
        await wait_until(lambda: seen and seen[-1].held_bytes > len(content) // 10)
        await mortal.close()
        assert not fetch.done(), "it died in the middle"
        info = await fetch
        await fetcher.blobs.save(blob_id, tmp_path / "copy")
        assert info.whole
        assert await asyncio.to_thread((tmp_path / "copy").read_bytes) == content
        offences = (await fetcher.status()).offences
        assert bool(lies) == (Offence.BAD_PROOF in offences or "bad_proof" in offences)
