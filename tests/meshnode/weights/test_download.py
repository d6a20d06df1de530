"""A file arrives whole and checked or not at all, however its connection breaks."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest

from meshnode.engines.base import EngineError
from meshnode.errors import CommandRejected, ConfigError
from meshnode.weights import download as downloading
from meshnode.weights import store
from meshnode.weights.download import download
from tests.support.file_hub import file_hub

DATA = bytes(range(256)) * 5_000
DIGEST = hashlib.sha256(DATA).hexdigest()


def list_names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def hub():
    with file_hub(DATA) as hub:
        yield hub


async def fetch(hub, target, *, sha256="", path="a/b/resolve/main/m.gguf", **options):
    seen = []
    hub.received = 0

    def note(size, total):
        hub.received = size
        seen.append((size, total))

    options = {"size_max_bytes": 1 << 30, "pause_s": 0, **options}
    found = await download(
        f"{hub.url}/{path}",
        target,
        sha256=sha256,
        on_progress=note,
        **options,
    )
    return found, seen


async def test_file_of_the_hub_is_checked_against_what_the_hub_tells(hub, tmp_path):
    found, seen = await fetch(hub, tmp_path / "m.gguf")
    assert found == DIGEST
    assert (tmp_path / "m.gguf").read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert list_names(tmp_path) == ["m.gguf"]


async def test_broken_connections_are_continued(hub, tmp_path):
    hub.cut_after = [100_000, 200_000, 300_000]
    await fetch(hub, tmp_path / "m.gguf", sha256=DIGEST)
    ranges = [wanted for method, _, wanted in hub.asked if method == "GET"]
    assert ranges == ["", "bytes=100000-", "bytes=300000-", "bytes=600000-"]
    assert (tmp_path / "m.gguf").read_bytes() == DATA


async def test_later_call_goes_on_where_an_earlier_one_stopped(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "ATTEMPTS_MAX", 1)
    hub.cut_after = [400_000]
    with pytest.raises(EngineError, match="goes on where it stopped"):
        await fetch(hub, tmp_path / "m.gguf")
    assert not (tmp_path / "m.gguf").exists()
    await fetch(hub, tmp_path / "m.gguf")
    assert hub.asked[-1][2] == "bytes=400000-"


async def test_file_that_was_complete_is_not_fetched_again(hub, tmp_path, monkeypatch):
    hub.told_sha256 = "ab" * 32
    part = tmp_path / ".m.gguf.part"
    with pytest.raises(EngineError, match="not abababababababab"):
        await fetch(hub, tmp_path / "m.gguf")
    assert list_names(tmp_path) == []
    hub.told_sha256 = None
    monkeypatch.setattr(type(part), "replace", _fail_to_replace)
    with pytest.raises(EngineError):
        await fetch(hub, tmp_path / "m.gguf")
    monkeypatch.undo()
    assert part.exists()
    before = len([1 for method, _, _ in hub.asked if method == "GET"])
    await fetch(hub, tmp_path / "m.gguf")
    assert len([1 for method, _, _ in hub.asked if method == "GET"]) == before


def _fail_to_replace(*_):
    raise OSError("disk is gone")


async def test_other_file_is_not_continued(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "ATTEMPTS_MAX", 1)
    hub.cut_after = [400_000]
    with pytest.raises(EngineError):
        await fetch(hub, tmp_path / "m.gguf")
    hub.data, hub.etag = DATA[::-1], '"two"'
    found, _ = await fetch(hub, tmp_path / "m.gguf")
    assert found == hashlib.sha256(DATA[::-1]).hexdigest()
    assert hub.asked[-1][2] == ""


async def test_server_without_ranges_starts_over(hub, tmp_path):
    hub.ranges = False
    hub.cut_after = [400_000]
    await fetch(hub, tmp_path / "m.gguf")
    assert (tmp_path / "m.gguf").read_bytes() == DATA


async def test_server_that_never_moves_is_given_up(hub, tmp_path):
    hub.cut_after = [0] * 9
    with pytest.raises(EngineError, match="could not be fetched"):
        await fetch(hub, tmp_path / "m.gguf")
    assert len(hub.cut_after) == 7


async def test_wrong_file_leaves_nothing(hub, tmp_path):
    with pytest.raises(EngineError, match="digest"):
        await fetch(hub, tmp_path / "m.gguf", sha256="cd" * 32)
    assert list_names(tmp_path) == []


async def test_file_without_any_digest_is_refused(hub, tmp_path):
    hub.told_sha256 = ""
    with pytest.raises(ConfigError, match="tells no digest"):
        await fetch(hub, tmp_path / "m.gguf")
    assert not any(method == "GET" for method, _, _ in hub.asked)


async def test_server_that_does_not_say_its_size_is_bounded(hub, tmp_path):
    hub.tells_size, hub.head_status = False, 405
    with pytest.raises(EngineError, match="more than"):
        await fetch(hub, tmp_path / "m.gguf", size_max_bytes=1_000_000)
    found, _ = await fetch(hub, tmp_path / "m.gguf")
    assert found == DIGEST


async def test_server_that_sends_more_than_it_said_is_stopped(hub, tmp_path):
    hub.extra = b"x" * 10
    with pytest.raises(EngineError, match="more than it said"):
        await fetch(hub, tmp_path / "m.gguf")
    assert list_names(tmp_path) == []


async def test_too_large_a_file_is_refused_before_it_is_fetched(hub, tmp_path, monkeypatch):
    with pytest.raises(CommandRejected, match="more than the 1000"):
        await fetch(hub, tmp_path / "m.gguf", size_max_bytes=1_000)
    full = SimpleNamespace(free=store.RESERVE_BYTES + 1_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    with pytest.raises(CommandRejected, match="1000 are free"):
        await fetch(hub, tmp_path / "m.gguf")
    assert not any(method == "GET" for method, _, _ in hub.asked)


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "without an account"), (404, "no such file"), (503, "answered 503"), (418, "418")],
)
async def test_refusals_are_explained(hub, tmp_path, status, words):
    hub.status = status
    with pytest.raises(EngineError, match=words):
        await fetch(hub, tmp_path / "m.gguf")


async def test_redirects_end_and_stay_secure(hub, tmp_path, monkeypatch):
    hub.loops = True
    with pytest.raises(EngineError, match="one address to the next"):
        await fetch(hub, tmp_path / "m.gguf")
    monkeypatch.setattr(downloading, "check_web_address", _refuse)
    with pytest.raises(ConfigError, match="no https"):
        await fetch(hub, tmp_path / "m.gguf")


def _refuse(_):
    raise ConfigError("no https address")


async def test_damaged_note_is_no_reason_to_stop(hub, tmp_path):
    (tmp_path / ".m.gguf.part.json").write_text("{")
    (tmp_path / ".m.gguf.part").write_bytes(b"rest of another day")
    await fetch(hub, tmp_path / "m.gguf")
    assert (tmp_path / "m.gguf").read_bytes() == DATA


async def test_part_that_is_longer_than_the_file_is_thrown_away(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "ATTEMPTS_MAX", 1)
    hub.cut_after = [400_000]
    with pytest.raises(EngineError):
        await fetch(hub, tmp_path / "m.gguf")
    with (tmp_path / ".m.gguf.part").open("ab") as file:
        file.write(bytes(len(DATA)))
    await fetch(hub, tmp_path / "m.gguf")
    assert (tmp_path / "m.gguf").read_bytes() == DATA
