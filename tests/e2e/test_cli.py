"""The program as a person uses it: two homes, real processes, real sockets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import TIMEOUT_S, Machine, make_environment, open_machine

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SCREEN_LINES = 12
"""What `status` may take of a screen."""
CLIENT_COMMANDS = (["status"], ["peers"], ["ask", "hi"], ["invite"], ["down"])


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two machines in one mesh, brought together by a ticket; the first one serves an echo."""
    folder = tmp_path_factory.mktemp("pair")
    with open_machine(folder / "ada") as ada, open_machine(folder / "bob") as bob:
        ada.up("--engine", "echo", "--name", "ada")
        ticket = ada.succeed("invite")
        assert len(ticket.split()) == 1
        options = ("--api", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0", "--name", "bob")
        told = bob.succeed("join", "-", *options, "--engine", "none", stdin=ticket)
        assert "1 peer connected" in told
        yield ada, bob


def read_json(machine: Machine, *arguments: str):
    return json.loads(machine.succeed(*arguments, "--json"))


def test_answer_streams_from_the_other_machine(pair):
    ada, bob = pair
    done = bob.run("ask", "hello over there")
    assert done.returncode == 0
    assert "hello over there" in done.stdout
    assert "-- ada, echo (echo)" in done.stderr
    assert "-- final in " in done.stderr
    answer = read_json(bob, "ask", "once more", "--peer", "ada")
    assert (answer["schema"], answer["name"], answer["verified"]) == (
        "meshnode.answer/1",
        "ada",
        True,
    )
    shown = ada.succeed("dag", "show", answer["vertex"][:12])
    assert "once more" in shown
    assert answer["author"] in shown


def test_both_machines_hold_the_same(pair):
    ada, bob = pair
    bob.succeed("ask", "something to hold")
    found = [read_json(machine, "status") for machine in pair]
    assert found[0]["network"] == found[1]["network"]
    assert found[0]["heads_digest"] == found[1]["heads_digest"]
    assert all(status["members"] == 2 for status in found)
    assert [peer["name"] for peer in read_json(ada, "peers")["peers"]] == ["bob"]
    assert "echo (not a model) (echo) on ada" in bob.succeed("status")


def test_digest_keeps_the_answer_out_of_the_store(pair):
    ada, bob = pair
    answer = read_json(bob, "ask", "between us", "--share", "digest")
    assert "between us" in answer["text"]
    shown = ada.succeed("dag", "show", answer["vertex"])
    assert "not shared, only its digest" in shown
    assert "between us" not in shown


def test_status_follows_whatever_port_there_is(pair):
    ada, _ = pair
    shown = ada.succeed("status").splitlines()
    assert len(shown) <= SCREEN_LINES
    assert shown[-1] == "problems   none"
    assert read_json(ada, "status")["schema"] == "meshnode.status/1"
    assert "nothing is broken" in ada.succeed("doctor")


def test_second_start_names_the_first(pair):
    ada, _ = pair
    done = ada.run("up")
    assert done.returncode == 4
    assert f"pid {json.loads((ada.home / 'runtime.json').read_text())['pid']}" in done.stderr
    assert "`meshnode status` talks to it" in done.stderr
    assert done.stderr.count("\n") == 1


def test_taken_port_names_who_holds_it(pair, tmp_path):
    ada, _ = pair
    api = read_json(ada, "status")["api"]
    with open_machine(tmp_path / "other") as other:
        done = other.run("up", "--api", api, "--engine", "echo")
        assert done.returncode == 4
        last = done.stderr.splitlines()[-1]
        assert last.startswith("meshnode: error: ")
        assert "another meshnode" in last


def test_member_cannot_join_again_nor_elsewhere(pair):
    ada, bob = pair
    ticket = ada.succeed("invite").strip()
    done = bob.run("join", ticket)
    assert done.returncode == 4
    assert "is a member of" in done.stderr
    assert bob.run("join", ticket[:-1]).returncode == 4
    assert bob.run("join", "-").returncode == 4


def test_nobody_serves_what_is_not_there(pair):
    _, bob = pair
    done = bob.run("ask", "hi", "--model", "kimi-k9")
    assert done.returncode == 1
    assert "echo" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_ticket_appears_in_no_log(pair):
    ada, bob = pair
    ticket = ada.succeed("invite").strip()
    for machine in pair:
        for log in (machine.home / "logs").iterdir():
            assert ticket not in log.read_text()
    assert ticket not in bob.succeed("doctor")


def test_drawing_of_the_store(pair, tmp_path):
    ada, _ = pair
    target = tmp_path / "dag.svg"
    ada.succeed("dag", "export", "--output", str(target))
    assert target.read_text().startswith("<svg")
    assert "->" in ada.succeed("dag", "export", "--format", "dot")
    document = json.loads(ada.succeed("dag", "export", "--format", "json"))
    assert document["schema"] == "meshnode.dag/1"


def test_store_of_a_running_node_verifies_and_a_flipped_byte_names_its_vertex(pair, tmp_path):
    ada, bob = pair
    vertex = read_json(bob, "ask", "proof of the pudding")["vertex"]
    assert "every signature holds" in ada.succeed("dag", "verify")
    copy = tmp_path / "copy"
    shutil.copytree(ada.home / "networks", copy / "networks")
    shutil.copy(ada.home / "current", copy)
    other = Machine(tmp_path / "nobody")
    assert read_json(other, "dag", "verify", "--store", str(copy))["ok"] is True
    wire = bytes.fromhex(read_json(ada, "dag", "show", vertex)["wire"])
    flip_in_copy(copy, wire[-200:-150])
    done = other.run("dag", "verify", "--store", str(copy))
    assert done.returncode == 1
    assert vertex in done.stdout
    assert done.stdout.splitlines()[-1].startswith("damaged")


def flip_in_copy(copy: Path, needle: bytes) -> None:
    """Change one byte of a stored vertex, wherever SQLite has put it."""
    changed = 0
    for path in copy.glob("networks/*/journal.db*"):
        data = bytearray(path.read_bytes())
        start = data.find(needle)
        while start >= 0:
            data[start] ^= 1
            changed += 1
            start = data.find(needle, start + 1)
        path.write_bytes(bytes(data))
    assert changed


# --- without the pair ------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", CLIENT_COMMANDS)
def test_client_command_without_a_node_is_exit_3(tmp_path, arguments):
    done = Machine(tmp_path / "home").run(*arguments)
    assert done.returncode == 3
    assert "`meshnode up`" in done.stderr
    assert "Traceback" not in done.stderr


def test_copied_home_is_refused_with_the_way_out(tmp_path):
    machine = Machine(tmp_path / "home")
    machine.succeed("init", "--name", "ada")
    shutil.copytree(machine.home, tmp_path / "copy")
    (tmp_path / "copy" / "host").write_text("0" * 64 + "\n")
    copy = Machine(tmp_path / "copy")
    done = copy.run("up")
    assert done.returncode == 4
    assert "meshnode identity new" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    copy.succeed("identity", "new")
    assert (
        read_json(copy, "identity", "show")["author"]
        != (read_json(machine, "identity", "show")["author"])
    )


def test_lone_running_node_joins_with_a_ticket(tmp_path):
    with open_machine(tmp_path / "ada") as ada, open_machine(tmp_path / "bob") as bob:
        ada.up("--engine", "echo", "--name", "ada")
        bob.up("--engine", "none", "--name", "bob")
        ticket = ada.succeed("invite").strip()
        assert "1 peer connected" in bob.succeed("join", ticket)
        assert "hello" in bob.succeed("ask", "hello")
        ada.succeed("down")
        assert not ada.is_running()
        assert ada.run("status").returncode == 3
        done = bob.run("doctor")
        assert done.returncode == 1
        assert "none of 1 member is connected" in done.stdout
        assert "refused, so no node listens there" in done.stdout


def test_interrupt_of_a_question_ends_the_work_where_it_runs(tmp_path):
    with open_machine(tmp_path / "ada") as ada, open_machine(tmp_path / "bob") as bob:
        ada.up("--engine", "echo", "--engine-option", "delay_ms=400", "--name", "ada")
        options = ("--api", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0", "--engine", "none")
        bob.succeed("join", "-", *options, stdin=ada.succeed("invite"))
        process = subprocess.Popen(
            [sys.executable, "-m", "meshnode", "ask", "word " * 400, "--home", str(bob.home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=make_environment(),
        )
        assert process.stdout is not None
        assert process.stdout.read(4) == "This"
        assert read_json(ada, "status")["engine"]["running"] == 1
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 130
        assert "Traceback" not in said
        while read_json(ada, "status")["engine"]["running"]:
            pass


def test_node_in_the_foreground_ends_with_a_signal_and_replays(tmp_path):
    machine = Machine(tmp_path / "home")
    recording = tmp_path / "inputs.rec"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "meshnode", "up", "-f", "--home", str(machine.home)),
            *("--api", "127.0.0.1:0", "--engine", "echo", "--record", str(recording)),
        ],
        stderr=subprocess.PIPE,
        text=True,
        env=make_environment(),
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith("next"):
            break
    assert any("is up" in line for line in said)
    assert "echo" in machine.succeed("ask", "are you there")
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT_S) == 0
    assert process.stderr.read().endswith("stopped\n")
    process.stderr.close()
    assert machine.succeed("replay", str(recording)).startswith("ok: ")
    assert "echo: This is an echo" in machine.succeed("dag", "log")
    assert "every signature holds" in machine.succeed("dag", "verify")


def test_encrypted_key_needs_its_passphrase(tmp_path):
    machine = Machine(tmp_path / "home")
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse canary\n")
    machine.succeed("init", "--passphrase-file", str(secret))
    assert "canary" not in (machine.home / "identity.key").read_text()
    done = machine.run("up", "--engine", "echo")
    assert done.returncode == 4
    assert "MESHNODE_PASSPHRASE_FILE" in done.stderr
    secret.write_text("wrong canary\n")
    done = machine.run("identity", "show", "--passphrase-file", str(secret))
    assert done.returncode in (2, 4)
    assert "canary" not in done.stderr + done.stdout


def test_down_of_a_node_that_was_killed_says_that_none_runs(tmp_path):
    with open_machine(tmp_path / "home") as machine:
        machine.up("--engine", "echo")
        pid = json.loads((machine.home / "runtime.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
        assert machine.run("status").returncode == 3
        machine.up("--engine", "echo")
        machine.succeed("down")


def wait_for_end(pid: int) -> None:
    from meshnode.cli.down import is_alive

    while is_alive(pid):
        pass
