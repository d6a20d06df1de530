"""The store: what stays, what goes, and what a crash leaves."""

from __future__ import annotations

import pytest

from meshnode.blobs.content import copy_bytes
from meshnode.blobs.errors import BlobQuotaFull, NoSuchBlob
from meshnode.blobs.store import copy_into, open_store
from meshnode.core.blob_manifest import (
    CHUNK_BYTES_MIN,
    compute_blob_id,
    digest_content,
    encode_manifest,
)
from meshnode.errors import CommandRejected, StorageError
from tests.vectors.generate_blobs import make_content

CONTENT = make_content(3 * CHUNK_BYTES_MIN + 9)
MANIFEST = encode_manifest(digest_content(CONTENT))
BLOB_ID = compute_blob_id(MANIFEST)


class Clock:
    def __init__(self):
        self.now_ms = 1_700_000_000_000

    def __call__(self):
        self.now_ms += 1_000
        return self.now_ms


async def open_it(path, *, quota_bytes=10_000_000):
    return await open_store(path, quota_bytes=quota_bytes, read_clock_ms=Clock())


async def put(store, content=CONTENT, **options):
    return await store.put(copy_bytes(content), size_bytes=len(content), **options)


async def test_blob_is_there_after_another_start(tmp_path):
    store = await open_it(tmp_path)
    record = await put(store, name="a", media_type="b", is_pinned=True, readers=(bytes(32),))
    again = await open_it(tmp_path)
    assert again.find(record.id) == record
    assert again.list_whole() == [record]
    file = await again.open(record.id)
    assert file.read(3) == CONTENT[-9:]
    file.close()
    file.close()
    assert file.read(3) is None


async def test_same_content_twice_is_one_blob_with_what_both_want(tmp_path):
    store = await open_it(tmp_path)
    first = await put(store, readers=(b"a" * 32,))
    second = await put(store, readers=(b"b" * 32,), is_pinned=True, name="named")
    assert first.id == second.id
    assert second.readers == (b"a" * 32, b"b" * 32)
    assert (second.is_pinned, second.name) == (True, "named")
    assert (await put(store)).readers is None
    assert (await put(store, readers=())).readers is None
    assert store.used_bytes == len(CONTENT)


async def test_least_lately_used_goes_and_what_is_kept_stays(tmp_path):
    store = await open_it(tmp_path, quota_bytes=35_000)
    pinned = await put(store, make_content(10_000), is_pinned=True)
    old = await put(store, make_content(10_001))
    used = await put(store, make_content(10_002))
    (await store.open(old.id)).close()
    await put(store, make_content(10_003))
    assert store.find(used.id) is None
    assert store.find(old.id) is not None
    await store.note_reference(old.id)
    await put(store, make_content(10_004))
    assert {pinned.id, old.id} <= {record.id for record in store.list_whole()}
    with pytest.raises(BlobQuotaFull, match="no room"):
        await put(store, make_content(20_000))
    assert store.find(old.id) is not None


async def test_broken_off_fetch_goes_before_anything_whole(tmp_path):
    store = await open_it(tmp_path, quota_bytes=len(CONTENT) + 20_000)
    whole = await put(store, make_content(10_000))
    active = await store.begin(BLOB_ID, MANIFEST, readers=None)
    with pytest.raises(BlobQuotaFull):
        await put(store, make_content(20_001))
    store.pause(active)
    await put(store, make_content(20_000 - 1))
    assert store.find_partial(BLOB_ID) is None
    assert store.find(whole.id) is not None


async def test_what_is_kept_is_removed_only_by_force(tmp_path):
    store = await open_it(tmp_path)
    record = await put(store, is_pinned=True)
    with pytest.raises(CommandRejected, match="is pinned"):
        await store.remove(record.id)
    await store.pin(record.id, is_pinned=False)
    await store.note_reference(record.id)
    with pytest.raises(CommandRejected, match="is named"):
        await store.remove(record.id)
    await store.remove(record.id, force=True)
    with pytest.raises(NoSuchBlob):
        await store.remove(record.id)
    assert list(tmp_path.glob("*/*")) == []


async def test_blob_that_is_being_fetched_is_not_removed(tmp_path):
    store = await open_it(tmp_path)
    active = await store.begin(BLOB_ID, MANIFEST, readers=None)
    with pytest.raises(CommandRejected, match="being fetched"):
        await store.remove(BLOB_ID)
    store.pause(active)
    store.pause(active)
    await store.remove(BLOB_ID)
    assert store.list_partial() == []


async def test_wrong_bytes_are_not_written(tmp_path):
    store = await open_it(tmp_path)
    active = await store.begin(BLOB_ID, MANIFEST, readers=None)
    assert not await active.write(0, bytes(CHUNK_BYTES_MIN))
    assert active.file.find_held() == 0
    store.pause(active)


async def test_chunks_of_a_killed_fetch_are_found_by_their_digests(tmp_path):
    store = await open_it(tmp_path)
    active = await store.begin(BLOB_ID, MANIFEST, readers=())
    assert await active.write(1, CONTENT[CHUNK_BYTES_MIN : 2 * CHUNK_BYTES_MIN])
    assert await active.write(3, CONTENT[3 * CHUNK_BYTES_MIN :])
    store.pause(active)
    (data,) = tmp_path.glob("partial/*.data")
    with data.open("r+b") as file:  # a chunk of which the crash kept a part
        file.write(b"half")
    again = await open_it(tmp_path)
    assert [record.readers for record in again.list_partial()] == [()]
    active = await again.begin(BLOB_ID, MANIFEST, readers=None)
    assert active.held == 0b1010
    for index in (0, 2):
        start = index * CHUNK_BYTES_MIN
        assert await active.write(index, CONTENT[start : start + CHUNK_BYTES_MIN])
    record = await again.finish(active)
    assert (record.readers, again.find(BLOB_ID), again.list_partial()) == ((), record, [])


async def test_crash_between_record_and_data_leaves_nothing_false(tmp_path):
    store = await open_it(tmp_path)
    record = await put(store)
    other = await put(store, b"other")
    (tmp_path / "objects" / f"{record.id.hex()}.data").unlink()
    (tmp_path / "incoming" / "left").write_bytes(b"x")
    (tmp_path / "objects" / "stray.data").write_bytes(b"x")
    (tmp_path / "objects" / f"{'0' * 64}.record").write_bytes(b"no record")
    again = await open_it(tmp_path)
    assert again.list_whole() == [other]
    assert {path.name for path in tmp_path.glob("*/*")} == {
        f"{other.id.hex()}.data",
        f"{other.id.hex()}.record",
    }


async def test_blob_of_another_size_is_partial_after_the_next_start(tmp_path):
    store = await open_it(tmp_path)
    record = await put(store)
    with (tmp_path / "objects" / f"{record.id.hex()}.data").open("r+b") as file:
        file.truncate(CHUNK_BYTES_MIN)
    again = await open_it(tmp_path)
    assert again.find(record.id) is None
    active = await again.begin(record.id, MANIFEST, readers=None)
    assert active.held == 0b1
    again.pause(active)


async def test_partial_of_a_whole_blob_is_forgotten(tmp_path):
    store = await open_it(tmp_path)
    active = await store.begin(BLOB_ID, MANIFEST, readers=None)
    store.pause(active)
    await put(store)
    assert store.list_partial() == []
    assert (await open_it(tmp_path)).list_partial() == []


async def test_files_that_change_or_fail_are_told(tmp_path):
    store = await open_it(tmp_path / "store")
    with pytest.raises(StorageError, match="missing"):
        await store.put(copy_into(tmp_path / "missing"), size_bytes=1)
    with pytest.raises(CommandRejected, match="a blob of"):
        await store.put(copy_bytes(b""), size_bytes=5 * 1024**3)
    record = await put(store)
    (tmp_path / "store" / "objects" / f"{record.id.hex()}.data").unlink()
    with pytest.raises(StorageError):
        await store.open(record.id)
    await store.demote(bytes(32))
    assert store.used_bytes == len(CONTENT)
