"""`meshnode blob`: files in, files out, and what is said of them."""

from __future__ import annotations

import pytest

from meshnode.cli.blob import describe_readers, describe_state
from meshnode.views import VertexDetail
from tests.support.cli import FakeRemote, run_command
from tests.support.fake_blobs import make_blob
from tests.support.views import make_vertex

CONTENT = b"some content that is longer than a piece"


@pytest.fixture
def blobs(monkeypatch):
    remote = FakeRemote()
    monkeypatch.setattr("meshnode.cli.blob.connect", lambda _: remote)
    return remote.blobs


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "paper.txt"
    path.write_bytes(CONTENT)
    return path


def test_file_is_put_and_gotten_again(capsys, blobs, file, tmp_path):
    put = run_command(capsys, "blob", "put", str(file), "--type", "text/plain")
    assert put.code == 0
    assert "paper.txt" in put.out
    (blob_id,) = blobs.infos
    assert blob_id in put.out
    copy = tmp_path / "copy"
    got = run_command(capsys, "blob", "get", blob_id[:8], "-o", str(copy))
    assert got.code == 0
    assert copy.read_bytes() == CONTENT
    assert f"written to {copy}" in got.err


def test_content_goes_to_standard_output(capfdbinary, blobs, file):
    from meshnode.cli.app import run

    assert run(["blob", "put", str(file), "--json"]) == 0
    capfdbinary.readouterr()
    assert run(["blob", "get", next(iter(blobs.infos)), "-o", "-"]) == 0
    assert capfdbinary.readouterr().out == CONTENT


def test_put_says_who_may_have_it(capsys, blobs, file):
    document = run_command(capsys, "blob", "put", str(file), "--to", "bob", "--json").document
    assert document["schema"] == "meshnode.blob/1"
    assert document["readers"] == ["bob"]
    document = run_command(capsys, "blob", "put", str(file), "--private", "--json").document
    assert document["readers"] == []
    document = run_command(capsys, "blob", "put", str(file), "--no-pin", "--json").document
    assert (document["readers"], document["pinned"]) == (None, False)


def test_put_shares_a_note(capsys, blobs, file):
    outcome = run_command(capsys, "blob", "put", str(file), "--share", "--title", "a paper")
    assert blobs.shared == [(next(iter(blobs.infos)), "a paper")]
    assert outcome.out.splitlines()[-1].startswith("note ")
    document = run_command(capsys, "blob", "put", str(file), "--share", "--json").document
    assert len(document["note"]) == 64


@pytest.mark.parametrize(
    "options",
    [("--private", "--to", "bob"), ("--share", "--private"), ("--share", "--to", "bob")],
)
def test_put_refuses_what_contradicts_itself(capsys, blobs, file, options):
    assert run_command(capsys, "blob", "put", str(file), *options).code == 2
    assert blobs.infos == {}


def test_get_refuses_two_documents_on_one_output(capsys, blobs):
    assert run_command(capsys, "blob", "get", "ab", "-o", "-", "--json").code == 2


def test_list_shows_blobs_and_room(capsys, blobs, file):
    assert run_command(capsys, "blob", "ls").out == "0 blobs, 0 B of 1.0 GiB\n"
    run_command(capsys, "blob", "put", str(file))
    outcome = run_command(capsys, "blob", "ls")
    assert "paper.txt" in outcome.out
    assert all(len(line) <= 80 for line in outcome.out.splitlines())
    document = run_command(capsys, "blob", "ls", "--json").document
    assert document["schema"] == "meshnode.blobs/1"
    assert document["used_bytes"] == len(CONTENT)


def test_blob_is_shown_pinned_and_removed(capsys, blobs, file):
    run_command(capsys, "blob", "put", str(file), "--to", "bob")
    shown = run_command(capsys, "blob", "show", next(iter(blobs.infos))[:6])
    assert "reader      bob" in shown.out
    blob_id = next(iter(blobs.infos))
    assert run_command(capsys, "blob", "show", blob_id, "--json").document["id"] == blob_id
    assert "is not pinned" in run_command(capsys, "blob", "pin", blob_id, "--off").out
    assert "is pinned" in run_command(capsys, "blob", "pin", blob_id).out
    assert run_command(capsys, "blob", "pin", blob_id, "--json").document["pinned"]
    assert "is gone" in run_command(capsys, "blob", "rm", blob_id).out
    assert run_command(capsys, "blob", "rm", blob_id).code == 4
    run_command(capsys, "blob", "put", str(file))
    removed = run_command(capsys, "blob", "rm", blob_id, "--force", "--json").document
    assert removed == {"schema": "meshnode.blob_removed/1", "id": blob_id}


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"whole": False}, "partial"),
        ({}, "pinned"),
        ({"pinned": False, "referenced": True}, "named"),
        ({"pinned": False}, "kept"),
    ],
)
def test_state_says_whether_it_stays(changes, state):
    assert describe_state(make_blob(**changes)) == state


@pytest.mark.parametrize(
    ("readers", "text"), [(None, "all"), ((), "nobody"), (("a", "b"), "2 members")]
)
def test_readers_are_counted(readers, text):
    assert describe_readers(make_blob(readers=readers)) == text


# --- dag show --------------------------------------------------------------------------------------


def make_detail(blob_id, **body):
    ref = {"id": blob_id, "size_bytes": len(CONTENT)}
    vertex = make_vertex("note", "ada", 1, kind="note")
    return VertexDetail(vertex=vertex, body={**body, "blob": ref}, wire="")


@pytest.fixture
def source(monkeypatch, blobs):
    remote = FakeRemote(blobs=blobs)
    monkeypatch.setattr("meshnode.cli.vertex_source.connect", lambda _: remote)
    return remote


def test_dag_show_names_the_blob_and_prints_its_text_when_told(capsys, blobs, source, file):
    run_command(capsys, "blob", "put", str(file))
    (blob_id,) = blobs.infos
    source.detail = make_detail(blob_id, media_type="text/plain", title="t", content="")
    shown = run_command(capsys, "dag", "show", "ab")
    assert blob_id in shown.out
    assert "`meshnode blob get` fetches" in shown.out
    assert "not shared" not in shown.out
    assert CONTENT.decode() in run_command(capsys, "dag", "show", "ab", "--full").out
    source.detail = make_detail(blob_id, media_type="image/png", title="t", content="")
    assert CONTENT.decode() not in run_command(capsys, "dag", "show", "ab", "--full").out


def test_dag_show_refuses_a_blob_that_is_not_the_answer(capsys, blobs, source, file):
    from meshnode.serving.results import compute_answer_digest

    run_command(capsys, "blob", "put", str(file))
    (blob_id,) = blobs.infos
    right = compute_answer_digest(CONTENT.decode()).hex()
    source.detail = make_detail(blob_id, answer="", answer_digest=right)
    assert CONTENT.decode() in run_command(capsys, "dag", "show", "ab", "--full").out
    source.detail = make_detail(blob_id, answer="", answer_digest="00" * 32)
    outcome = run_command(capsys, "dag", "show", "ab", "--full")
    assert outcome.code == 4
    assert "not the answer it signs" in outcome.err
