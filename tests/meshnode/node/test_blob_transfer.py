"""A large blob between real nodes: one holder lies, one dies in the middle, and all of it arrives."""

from __future__ import annotations

import asyncio
import threading

import pytest

from meshnode.core.blob_manifest import CHUNK_BYTES_MIN
from meshnode.testing import mesh
from tests.support.runtimes import wait_until
from tests.vectors.generate_blobs import make_content

CHUNKS = 200
GIVEN_FIRST = 2
"""Chunks that a bad holder gives before it is bad: less than it is asked for at once."""


def change_reads(node, change):
    """Let a holder read its third chunk, and those after it, as `change` does: in a thread."""
    real_open = node.blobs.store.open
    given = []

    async def open_changed(blob_id):
        file = await real_open(blob_id)
        real_read = file.read

        def read(index):
            given.append(index)
            return real_read(index) if len(given) <= GIVEN_FIRST else change(real_read, index)

        file.read = read
        return file

    node.blobs.store.open = open_changed
    return given


@pytest.mark.parametrize("transport", ["memory", "libp2p"])
async def test_large_blob_arrives_though_one_holder_lies_and_one_dies(transport, tmp_path):
    content = await asyncio.to_thread(make_content, CHUNKS * CHUNK_BYTES_MIN)
    reached, dead = threading.Event(), threading.Event()

    def lie(_read, _index):
        return bytes(CHUNK_BYTES_MIN)

    def die(read, index):
        reached.set()
        dead.wait(30)
        return read(index)

    async with mesh(4, engine="none", transport=transport, suite="ed25519", validates=False) as (
        fetcher,
        liar,
        mortal,
        honest,
    ):
        info, *_ = [await node.blobs.put(content) for node in (liar, mortal, honest)]
        lied, died = change_reads(liar, lie), change_reads(mortal, die)
        fetch = asyncio.create_task(fetcher.blobs.fetch(info.id))
        await wait_until(reached.is_set)
        closing = asyncio.create_task(mortal.close())
        dead.set()
        await closing
        assert (await fetch).whole
        await fetcher.blobs.save(info.id, tmp_path / "copy")
        assert await asyncio.to_thread((tmp_path / "copy").read_bytes) == content
        assert len(lied) > GIVEN_FIRST
        assert GIVEN_FIRST < len(died) < CHUNKS
        await wait_until(lambda: fetcher._runtime.view().offences.get("bad_proof") == 1)
