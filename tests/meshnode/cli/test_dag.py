"""`meshnode dag` reads the running node, or the store that lies on the disk."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing

import pytest

from dag.bodies import Note, Result
from dag.canonical import encode
from dag.genesis import encode_genesis
from dag.order import Commit, compute_commit_digest
from dag.types import Horizon, Kind
from meshnode.core.effects import StoreVertex
from meshnode.core.events import Committed
from meshnode.core.recovered import PRUNED_KEY
from meshnode.errors import StorageError
from meshnode.shell.store import Store
from meshnode.views import VertexDetail
from tests.support.cli import FakeRemote, run_command
from tests.support.dag_builder import DagBuilder
from tests.support.views import make_small_dag, make_vertex

ANSWER = "A long answer. " * 12 + "\n\nIts end.\x1b[2J"


def make_result(answer: str) -> bytes:
    return encode(
        Result(
            request_digest=bytes(32),
            requester=bytes(32),
            model="echo",
            model_revision="",
            engine="echo",
            answer=answer,
            answer_digest=bytes(32),
            answer_bytes=len(answer),
            finish_reason="stop",
            prompt_tokens=3,
            completion_tokens=9,
            queued_ms=0,
            first_token_ms=5,
            total_ms=1_500,
        )
    )


BUILDER = DagBuilder(authors=2, name="kitchen").profiles().layer(body=b"opaque")
RESULT = BUILDER.vertex(0, kind=Kind.RESULT, body=make_result(ANSWER))
SILENT = BUILDER.vertex(1, kind=Kind.RESULT, body=make_result(""))
NOTE = BUILDER.vertex(0, kind=Kind.NOTE, body=encode(Note("text/plain", "a title", b"a content")))


def write_store(home, builder=BUILDER, *, current=True):
    folder = home / "networks" / builder.network.hex()[:16]
    folder.mkdir(parents=True)
    (folder / "genesis.bin").write_bytes(encode_genesis(builder.genesis))
    if current:
        (home / "current").write_text(folder.name + "\n")
    store = Store.open(folder, builder.network)
    store.append([StoreVertex(v.id, v.wire) for v in builder.vertices])
    store.close()
    return folder / "journal.db"


@pytest.fixture
def journal(home):
    return write_store(home)


@pytest.fixture
def remote(monkeypatch):
    node = FakeRemote(stored=make_small_dag())
    monkeypatch.setattr("meshnode.cli.vertex_source.connect", lambda _: node)
    return node


# --- log -------------------------------------------------------------------------------------


def test_log_of_a_store_is_newest_first_and_fits(capsys, journal):
    outcome = run_command(capsys, "dag", "log")
    lines = outcome.out.splitlines()
    assert outcome.code == 0
    assert all(len(line) <= 80 for line in lines)
    assert lines[2].startswith(NOTE.id.hex()[:8])
    assert "peer-0" in lines[2]
    assert "a title" in lines[2]


def test_log_takes_limit_and_kind(capsys, journal):
    document = run_command(
        capsys, "dag", "log", "--kind", "result", "--limit", "1", "--json"
    ).document
    assert document["schema"] == "meshnode.vertices/1"
    assert [vertex["id"] for vertex in document["vertices"]] == [SILENT.id.hex()]
    assert (
        "no decision is stored yet" in run_command(capsys, "dag", "log", "--kind", "decision").out
    )


def test_log_of_a_fresh_home_is_empty(capsys):
    assert run_command(capsys, "dag", "log").out == "nothing is stored yet\n"


def test_log_of_a_running_node(capsys, remote):
    outcome = run_command(capsys, "dag", "log", "--kind", "note")
    assert "carol" in outcome.out
    assert len(outcome.out.splitlines()) == 3


# --- show ------------------------------------------------------------------------------------


def test_show_wraps_the_answer_and_cleans_it(capsys, journal):
    out = run_command(capsys, "dag", "show", RESULT.id.hex()[:9]).out
    assert "A long answer." in out
    assert "    Its end.\ufffd[2J" in out
    assert "total           1.5 s" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_show_says_what_is_not_shared(capsys, journal):
    assert "not shared, only its digest" in run_command(capsys, "dag", "show", SILENT.id.hex()).out


def test_show_of_a_note_and_of_an_opaque_body(capsys, journal):
    assert "a content" in run_command(capsys, "dag", "show", NOTE.id.hex()).out
    opaque = BUILDER.vertices[2].id.hex()
    assert "of a form this version does not know" in run_command(capsys, "dag", "show", opaque).out


def test_show_says_which_commit_made_a_vertex_final(capsys, home, journal):
    out = run_command(capsys, "dag", "show", NOTE.id.hex()).out
    assert "final           not yet" in out
    digest = bytes(32)
    commit = Commit(3, digest, digest, RESULT.id, (NOTE.ref, RESULT.ref), 1_700_000_000_000)
    store = Store.open(journal.parent, BUILDER.network)
    store.append((), [Committed(commit, 1)])
    store.close()
    assert "final           commit 3, 20" in run_command(capsys, "dag", "show", NOTE.id.hex()).out
    assert "commit 3, as its leader" in run_command(capsys, "dag", "show", RESULT.id.hex()).out


def test_show_as_json_holds_the_bytes(capsys, journal):
    document = run_command(capsys, "dag", "show", RESULT.id.hex(), "--json").document
    assert document["schema"] == "meshnode.vertex/1"
    assert bytes.fromhex(document["wire"]) == RESULT.wire


def test_show_of_a_running_node(capsys, remote):
    body = {"names": ["a", "b"], "first": {"x": 1}, "empty": "", "first_token_ms": 7}
    remote.detail = VertexDetail(vertex=make_vertex("a0", "alice", 0), body=body, wire="00")
    out = run_command(capsys, "dag", "show", "ab").out
    assert "names           a, b" in out
    assert "final " not in out
    assert "first           x=1" in out
    assert "empty           -" in out
    assert "first token     7 ms" in out


def test_show_without_an_id_draws_the_newest_part(capsys, monkeypatch, remote):
    lines = run_command(capsys, "dag", "show").out.splitlines()
    assert lines[0].startswith("alice  P")
    remote.stored = [
        *remote.stored,
        make_vertex("x1", "alice", 0, lane=1, kind="block", round=1, epoch=0, commit=1, leads=True),
    ]
    assert "L1" in run_command(capsys, "dag", "show").out
    assert "L1" not in run_command(capsys, "dag", "show", "--no-blocks").out
    document = run_command(capsys, "dag", "show", "--json").document
    assert document["slots"] == [{"epoch": 0, "round": 1, "commit": 1}]
    monkeypatch.setattr("meshnode.cli.dag.wants_colour", lambda: True)
    assert "\x1b[1;33mL1" in run_command(capsys, "dag", "show").out


def test_a_picture_ends_where_one_of_its_halves_does(capsys, remote):
    blocks = [make_vertex(f"x{n}", "alice", n, lane=1, kind="block", lamport=n) for n in range(9)]
    remote.stored = [*remote.stored[:2], *reversed(blocks)]
    document = run_command(capsys, "dag", "export", "--limit", "4", "--format", "json").document
    assert {vertex["lamport"] for vertex in document["vertices"]} == {5, 6, 7, 8}


@pytest.mark.parametrize("text", ["xyz", "0" * 65, "ffffffffffff"])
def test_show_refuses_what_names_nothing(capsys, journal, text):
    outcome = run_command(capsys, "dag", "show", text)
    assert outcome.code == 4
    assert "`meshnode dag log`" in outcome.err


def test_show_asks_for_more_of_an_ambiguous_id(capsys, home):
    builder = DagBuilder(authors=1).profiles()
    for _ in range(40):
        builder.layer()
    write_store(home, builder)
    firsts = [vertex.id.hex()[0] for vertex in builder.vertices]
    double = next(letter for letter in firsts if firsts.count(letter) > 1)
    outcome = run_command(capsys, "dag", "show", double)
    assert outcome.code == 4
    assert "more" in outcome.err


def test_show_says_that_an_unknown_vertex_may_be_pruned(capsys, journal):
    outcome = run_command(capsys, "dag", "show", "0" * 64)
    assert "no stored vertex begins with" in outcome.err
    assert "pruned" not in outcome.err
    with closing(sqlite3.connect(journal)) as store, store:
        store.execute(
            "INSERT INTO named_values VALUES (?, ?)", (PRUNED_KEY, encode(Horizon(104, 300)))
        )
    outcome = run_command(capsys, "dag", "show", "0" * 64)
    assert "history up to lamport 104 is pruned here" in outcome.err
    assert "older than the history" in run_command(capsys, "dag", "show", NOTE.id.hex()).out


# --- export ----------------------------------------------------------------------------------


def test_export_to_stdout_and_file(capsys, journal, tmp_path):
    assert run_command(capsys, "dag", "export").out.startswith("<svg")
    assert run_command(capsys, "dag", "export", "--format", "dot").out.startswith("digraph")
    as_json = run_command(capsys, "dag", "export", "--json").out
    assert as_json == run_command(capsys, "dag", "export", "--format", "json").out
    target = tmp_path / "dag.json"
    outcome = run_command(capsys, "dag", "export", "--format", "json", "--output", str(target))
    assert outcome.out == ""
    assert str(target) in outcome.err
    assert '"network": "kitchen (' in target.read_text()


def test_export_of_a_running_node(capsys, remote):
    out = run_command(capsys, "dag", "export").out
    assert "kitchen (" in out
    assert "6 vertices in 3 chains, 1 head" in out


def test_export_says_where_it_cannot_write(capsys, journal, tmp_path):
    outcome = run_command(capsys, "dag", "export", "--output", str(tmp_path / "no" / "x.svg"))
    assert outcome.code == 1
    assert "--output" in outcome.err


# --- verify ----------------------------------------------------------------------------------


def test_verify_of_a_sound_store(capsys, journal):
    outcome = run_command(capsys, "dag", "verify")
    assert outcome.code == 0
    assert f"ok: {len(BUILDER.vertices)} vertices" in outcome.out
    document = run_command(capsys, "dag", "verify", "--json").document
    assert (document["schema"], document["ok"]) == ("meshnode.verify/1", True)


def test_verify_checks_the_commits_too(capsys, journal):
    digest = bytes(32)
    refs = (NOTE.ref, RESULT.ref)
    right = compute_commit_digest(digest, 1, RESULT.id, refs, 5)
    for commit, word in ((right, "1 commit: each follows"), (digest, "bad store: commit 1: its")):
        store = Store.open(journal.parent, BUILDER.network)
        store.append((), [Committed(Commit(1, commit, digest, RESULT.id, refs, 5), 1)])
        store.close()
        outcome = run_command(capsys, "dag", "verify")
        assert word in outcome.out
        assert outcome.code == (0 if commit == right else 1)
    assert run_command(capsys, "dag", "verify", "--json").document["commits"] == 1


@pytest.mark.parametrize("place", ["journal", "folder", "home"])
def test_verify_finds_the_store_of_a_copy(capsys, home, journal, tmp_path, place):
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    found = copy / journal.relative_to(home)
    path = {"journal": found, "folder": found.parent, "home": copy}[place]
    path.chmod(path.stat().st_mode | 0o044)
    assert run_command(capsys, "dag", "verify", "--store", str(path)).code == 0


def test_verify_names_each_bad_vertex_and_what_stands_on_it(capsys, journal):
    data = bytearray(journal.read_bytes())
    data[data.find(b"opaque")] ^= 1
    journal.write_bytes(bytes(data))
    outcome = run_command(capsys, "dag", "verify")
    bad = BUILDER.vertices[2:4]
    assert outcome.code == 1
    assert any(f"bad vertex {vertex.id.hex()}" in outcome.out for vertex in bad)
    assert "stand on damaged ones" in outcome.out
    assert outcome.out.splitlines()[-1].startswith("damaged: ")
    document = run_command(capsys, "dag", "verify", "--json").document
    assert not document["ok"]
    assert document["findings"][0]["vertex"]


def test_verify_counts_what_it_does_not_list(capsys, journal, monkeypatch):
    monkeypatch.setattr("meshnode.shell.journal_check.FINDINGS_MAX", 1)
    journal.write_bytes(b"no database" * 1_000)
    outcome = run_command(capsys, "dag", "verify")
    assert outcome.code == 1
    assert "bad store: " in outcome.out
    assert "further finding" in outcome.out


def test_verify_shows_a_bar_to_a_person(capsys, journal, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert run_command(capsys, "dag", "verify").code == 0


def test_verify_says_when_there_is_no_store(capsys, home, tmp_path):
    assert "no store" in run_command(capsys, "dag", "verify", "--store", str(tmp_path)).err
    assert run_command(capsys, "dag", "verify", "--store", str(tmp_path / "x")).code == 1
    assert run_command(capsys, "dag", "verify").code == 1
    outcome = run_command(capsys, "dag", "verify", "--home", str(tmp_path / "y"))
    assert "is not there yet; `meshnode up` makes it" in outcome.err


def test_verify_wants_to_know_which_store(capsys, home):
    write_store(home, current=False)
    assert run_command(capsys, "dag", "verify").code == 0
    write_store(home, DagBuilder(authors=1, name="attic").profiles(), current=False)
    outcome = run_command(capsys, "dag", "verify")
    assert outcome.code == 1
    assert "2 stores" in outcome.err
    (home / "current").write_bytes(b"\xff")
    assert "2 stores" in run_command(capsys, "dag", "verify").err


def test_verify_needs_the_genesis(capsys, journal):
    genesis = journal.with_name("genesis.bin")
    genesis.write_bytes(b"damage")
    assert "is damaged" in run_command(capsys, "dag", "verify").err
    genesis.unlink()
    assert "copy genesis.bin" in run_command(capsys, "dag", "verify").err


def test_find_store_of_a_file_that_is_not_there(tmp_path):
    from meshnode.cli.stores import find_store

    with pytest.raises(StorageError, match="there is nothing"):
        find_store(tmp_path / "journal.db")
