"""Blobs of real nodes: kept, shared, fetched, built on."""

from __future__ import annotations

import pytest

import meshnode
from meshnode.blob_views import BlobProgress
from meshnode.blobs.errors import BlobQuotaFull, NoSuchBlob
from meshnode.errors import CommandRejected, StorageError
from meshnode.testing import mesh, wait_for_equal_heads
from tests.support.serving_net import ScriptedEngine
from tests.vectors.generate_blobs import make_content

CONTENT = make_content(700_000)
LONG = "a long answer. " * 2_000


async def test_blob_is_fetched_by_its_id(tmp_path):
    async with mesh(2, engine="none", suite="ed25519", validates=False) as (a, b):
        path = tmp_path / "paper.bin"
        path.write_bytes(CONTENT)
        info = await a.blobs.put(path, media_type="application/x-test")
        assert (info.name, info.size_bytes, info.chunks) == ("paper.bin", len(CONTENT), 3)
        assert (info.whole, info.own, info.pinned, info.referenced) == (True, True, True, False)
        assert await b.blobs.get(info.id) == CONTENT
        steps: list[BlobProgress] = []
        copied = await b.blobs.save(info.id, tmp_path / "copy", on_progress=steps.append)
        assert (tmp_path / "copy").read_bytes() == CONTENT
        assert (copied.own, copied.pinned) == (False, False)
        shelf = await b.blobs.list()
        assert [blob.id for blob in shelf.blobs] == [info.id]
        assert shelf.used_bytes == len(CONTENT)
        assert await b.blobs.show(info.id[:6]) == copied
        assert (await b.blobs.pin(info.id[:6])).pinned
        with pytest.raises(CommandRejected, match="is pinned"):
            await b.blobs.remove(info.id)
        assert await b.blobs.remove(info.id, force=True) == info.id
        with pytest.raises(NoSuchBlob):
            await b.blobs.show(info.id)


async def test_fetch_is_followed_step_by_step():
    async with mesh(2, engine="none", suite="ed25519", validates=False) as (a, b):
        info = await a.blobs.put(CONTENT)
        steps = [step async for step in b.blobs.follow(info.id)]
        assert steps[-1].blob is not None
        assert steps[-1].held_bytes == len(CONTENT)
        held = [step.held_bytes for step in steps]
        assert held == sorted(held)
        with pytest.raises(NoSuchBlob):
            await anext(b.blobs.follow("0" * 64))


async def test_shared_file_becomes_a_note_that_others_read():
    async with mesh(2, engine="none", suite="ed25519", validates=False) as (a, b):
        info = await a.blobs.put(CONTENT, name="data.bin")
        note = await a.blobs.share(info.id, title="measurements")
        assert note.summary == "measurements (blob of 700000 bytes)"
        await wait_for_equal_heads([a, b])
        body = (await b.vertex(note.id)).body or {}
        assert body["blob"] == {"id": info.id, "size_bytes": 700_000}
        assert await b.blobs.get(body["blob"]["id"]) == CONTENT
        assert (await a.blobs.show(info.id)).referenced
        await a.blobs.pin(info.id, pinned=False)
        with pytest.raises(CommandRejected, match="named by vertices"):
            await a.blobs.remove(info.id)


async def test_blob_with_a_key_is_not_shared():
    async with mesh(1, engine="none", suite="ed25519", validates=False) as (a,):
        key = "sk-" + "Ab3dEf9hIj" * 5
        info = await a.blobs.put(b" " * 262_130 + key.encode() + b" " * 1_000)
        with pytest.raises(CommandRejected, match="holds a key") as caught:
            await a.blobs.share(info.id)
        assert key not in str(caught.value)


async def test_private_blob_is_neither_given_nor_shared():
    async with mesh(2, engine="none", suite="ed25519", validates=False) as (a, b):
        info = await a.blobs.put(CONTENT, readers=[])
        with pytest.raises(NoSuchBlob, match="none of 1"):
            await b.blobs.get(info.id)
        with pytest.raises(CommandRejected, match="not for every member"):
            await a.blobs.share(info.id)
        named = await a.blobs.put(CONTENT[:-1], readers=["node-2"])
        assert named.readers == (b.author,)
        assert await b.blobs.get(named.id) == CONTENT[:-1]
        with pytest.raises(CommandRejected, match="no member is"):
            await a.blobs.put(CONTENT, readers=["nobody"])
        with pytest.raises(CommandRejected, match="readers"):
            await a.blobs.put(CONTENT, readers=["node-2"] * 65)


async def test_long_answer_is_a_blob_that_its_vertex_names():
    engines = [None, ScriptedEngine([LONG], context_tokens=1_000_000)]
    async with mesh(3, engine=[*engines, None], suite="ed25519", validates=False) as (a, b, c):
        answer = await a.ask("talk")
        assert (answer.text, answer.share, answer.verified) == (LONG, "full", True)
        await wait_for_equal_heads([a, b, c])
        detail = await c.vertex(answer.vertex)
        body = detail.body or {}
        assert body["answer"] == ""
        assert body["blob"]["size_bytes"] == len(LONG)
        assert (await c.blobs.get(body["blob"]["id"])).decode() == LONG
        assert f"(blob of {len(LONG)} bytes)" in detail.vertex.summary


async def test_long_answer_as_digest_leaves_no_blob():
    engines = [None, ScriptedEngine([LONG])]
    async with mesh(2, engine=engines, suite="ed25519", validates=False) as (a, b):
        answer = await a.ask("talk", share="digest")
        assert answer.share == "digest"
        assert (await b.blobs.list()).blobs == ()
        assert "blob" not in ((await b.vertex(answer.vertex)).body or {})


async def test_long_answer_is_a_digest_where_there_is_no_room(monkeypatch):
    engines = [None, ScriptedEngine([LONG])]
    async with mesh(2, engine=engines, suite="ed25519", validates=False) as (a, b):
        monkeypatch.setattr(b.blobs.store, "_quota_bytes", 10)
        answer = await a.ask("talk")
        assert (answer.text, answer.share) == (LONG, "digest")
        with pytest.raises(BlobQuotaFull, match="no room"):
            await b.publish("x" * 20_000)


async def test_question_builds_on_texts_in_blobs():
    asked = ScriptedEngine(["fine"], context_tokens=1_000_000)
    async with mesh(2, engine=[None, asked], suite="ed25519", validates=False) as (a, b):
        fact = "the river is 2,850 km long. " * 1_000
        note = await b.publish(fact, title="river")
        assert note.summary.startswith("river (blob of")
        await wait_for_equal_heads([a, b])
        await a.ask("how long?", context=[note.id])
        prompt = str(asked.requests[-1]["messages"])
        assert "river" in prompt
        assert "2,850 km" in prompt
        await a.ask("how long?", knowledge=[note.id])
        assert "2,850 km" in str(asked.requests[-1]["messages"])
        picture = await a.blobs.put(CONTENT, media_type="image/png")
        shown = await a.blobs.share(picture.id)
        with pytest.raises(CommandRejected, match="is no text"):
            await a.ask("what is it?", context=[shown.id])


async def test_blobs_are_read_in_pieces_and_whole_ones_only_up_to_a_limit(monkeypatch):
    async with mesh(1, engine="none", suite="ed25519", validates=False) as (a,):
        info = await a.blobs.put(CONTENT)
        pieces = [piece async for piece in a.blobs.open(info.id)]
        assert b"".join(pieces) == CONTENT
        assert len(pieces) == 3
        monkeypatch.setattr("meshnode.node.blobs.MEMORY_BYTES_MAX", 1_000)
        with pytest.raises(CommandRejected, match="has 700000 bytes"):
            await a.blobs.get(info.id)


@pytest.mark.parametrize("text", ["", "xyz", "0" * 65])
async def test_what_is_no_blob_id_is_refused(text):
    async with mesh(1, engine="none", suite="ed25519", validates=False) as (a,):
        with pytest.raises(CommandRejected, match="no blob id"):
            await a.blobs.show(text)


async def test_file_that_cannot_be_read_or_written_is_an_error(tmp_path):
    async with mesh(1, engine="none", suite="ed25519", validates=False) as (a,):
        with pytest.raises(StorageError, match="missing"):
            await a.blobs.put(tmp_path / "missing")
        with pytest.raises(CommandRejected, match="a blob of 0 bytes"):
            await a.blobs.put(b"")
        info = await a.blobs.put(CONTENT)
        with pytest.raises(StorageError):
            await a.blobs.save(info.id, tmp_path / "no" / "folder")


async def test_damaged_blob_is_not_given_out_and_comes_again_from_another():
    async with mesh(2, engine="none", suite="ed25519", validates=False) as (a, b):
        info = await a.blobs.put(CONTENT)
        await b.blobs.fetch(info.id)
        (path,) = a._setup.directory.glob("blobs/objects/*.data")
        with path.open("r+b") as file:
            file.seek(300_000)
            file.write(b"damaged")
        with pytest.raises(StorageError, match="does not read"):
            await a.blobs.get(info.id)
        assert not (await a.blobs.show(info.id)).whole
        assert await a.blobs.get(info.id) == CONTENT


async def test_node_keeps_its_blobs_over_a_restart(tmp_path):
    options = {"home": tmp_path, "engine": "none", "listen": ("/ip4/127.0.0.1/tcp/0",)}
    async with meshnode.open_node(**options, host_binding=False) as node:
        info = await node.blobs.put(CONTENT)
    async with meshnode.open_node(**options, host_binding=False) as node:
        assert await node.blobs.get(info.id) == CONTENT
