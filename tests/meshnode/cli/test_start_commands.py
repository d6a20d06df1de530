"""`init`, `up`, `join`, `identity`, `doctor`, `replay`: what is made, refused and found."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import sys
from types import SimpleNamespace

import pytest

from dag.genesis import Grant
from meshnode.cli import checks, probes, setup, starting
from meshnode.cli.join import describe_membership
from meshnode.cli.setup import load_settings, refuse_while_running
from meshnode.config import NodeConfig
from meshnode.errors import CommandRejected, DeadlineExceeded, KeystoreError, NoDaemon
from meshnode.gateway.port import NotReady, Phase
from meshnode.home import open_home
from meshnode.runtime_file import make_runtime_record, write_runtime
from meshnode.secret import Secret
from meshnode.ticket import Ticket, encode_ticket
from meshnode.transport.base import PeerId
from meshnode.views import EngineView, ModelView
from tests.support.cli import FakeRemote, run_command
from tests.support.views import make_consensus, make_peer, make_status

TICKET = encode_ticket(
    Ticket(
        network=bytes(32),
        network_name="kitchen",
        suite="ed25519",
        peer=PeerId("memory-peer"),
        addresses=("/ip4/127.0.0.1/tcp/1",),
        bearer_seed=bytes(32),
    )
)


@pytest.fixture
def started(monkeypatch):
    """What would have been started, instead of starting it."""
    requests = []

    async def spawn(request, **_):
        requests.append(request)
        return SimpleNamespace(pid=42, log_path="node.log", api="127.0.0.1:1")

    remote = FakeRemote()
    monkeypatch.setattr("meshnode.daemon.spawn_detached", spawn)
    monkeypatch.setattr(starting, "connect", lambda _: remote)
    monkeypatch.setattr("meshnode.cli.join.connect", lambda _: remote)
    return SimpleNamespace(requests=requests, remote=remote)


def pretend_running(home):
    """A runtime file of this very process."""
    record = make_runtime_record(
        api="127.0.0.1:1", token=Secret("t"), since_ms=1_700_000_000_000, version="0"
    )
    write_runtime(open_home(home).runtime_path, record)


# --- init ------------------------------------------------------------------------------------


def test_init_says_what_it_makes_and_keeps_it(capsys, home):
    outcome = run_command(capsys, "init", "--name", "ada", "--suite", "ed25519")
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.err.splitlines()] == ["warning:", "made", "founded"]
    assert "network ada-net" in outcome.out
    again = run_command(capsys, "init", "--json")
    assert again.err == ""
    assert again.document["network_name"] == "ada-net"
    assert again.document["suite"] == "ed25519"


@pytest.mark.parametrize(
    ("words", "uruv"), [((), 1_000_000_000), (("--mint", "25"), 25_000_000), (("--mint", "0"), 0)]
)
def test_founder_begins_with_the_ruv_that_are_minted(capsys, home, words, uruv):
    assert run_command(capsys, "init", "--suite", "ed25519", *words).code == 0
    network = open_home(home).get_current_network()
    assert network is not None
    (validator,) = network.genesis.committee
    assert network.genesis.grants == ((Grant(validator.author, uruv),) if uruv else ())


def test_mint_reaches_a_node_that_is_started(capsys, home, started):
    assert run_command(capsys, "up", "--mint", "7").code == 0
    assert started.requests[0].flags["mint_ruv"] == 7
    assert run_command(capsys, "up", "--mint", "-1").code == 2


def test_init_encrypts_with_a_passphrase(capsys, home, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("correct horse canary\n")
    outcome = run_command(capsys, "init", "--passphrase-file", str(secret))
    assert "(encrypted)" in outcome.err
    assert "canary" not in outcome.err + outcome.out


def test_init_refuses_while_a_node_runs(capsys, home):
    pretend_running(home)
    outcome = run_command(capsys, "init")
    assert outcome.code == 4
    assert "`meshnode down` stops it" in outcome.err


def test_person_is_asked_twice_for_a_new_passphrase(monkeypatch, home):
    answers = iter(["canary", "cannery", "canary", "canary"])
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: next(answers))
    monkeypatch.setattr(setup, "is_interactive", lambda: True)
    opened = open_home(home)
    with pytest.raises(KeystoreError, match="differ"):
        setup.choose_key_passphrase(opened, NodeConfig())
    chosen = setup.choose_key_passphrase(opened, NodeConfig())
    assert chosen is not None
    assert chosen.reveal() == "canary"


def test_wrong_setting_names_where_it_was_written(capsys, home):
    open_home(home)
    (home / "config.toml").write_text("nam = 'x'\n")
    outcome = run_command(capsys, "up")
    assert outcome.code == 2
    assert "config.toml" in outcome.err
    assert "did you mean 'name'?" in outcome.err


# --- up --------------------------------------------------------------------------------------


def test_up_starts_what_was_asked_for_and_shows_a_banner(capsys, started, tmp_path):
    outcome = run_command(
        capsys,
        *("up", "--name", "ada", "--engine", "embedded", "--model", "file:x", "--share", "digest"),
        *("--engine-option", "slots=2", "--listen", "/ip4/127.0.0.1/tcp/0", "--api", "[::1]:0"),
        *("--record", str(tmp_path / "r"), "--network-name", "kitchen"),
    )
    assert outcome.code == 0
    (request,) = started.requests
    assert request.flags == {
        "name": "ada",
        "engine": "embedded",
        "engine_options": {"model": "file:x", "slots": 2},
        "listen": ["/ip4/127.0.0.1/tcp/0"],
        "api": "[::1]:0",
        "share": "digest",
        "record": str(tmp_path / "r"),
        "network_name": "kitchen",
    }
    assert outcome.out.startswith("meshnode 0.1.0 is up: alice (")
    assert "engine   embedded: SmolLM2-135M" in outcome.out
    assert 'next     meshnode ask "Why is the sky blue?"' in outcome.out
    assert "Kimi" not in outcome.out


def test_up_as_json_is_the_status(capsys, started):
    assert run_command(capsys, "up", "--json").document["schema"] == "meshnode.status/1"


def test_up_refuses_a_second_start(capsys, home, started):
    pretend_running(home)
    outcome = run_command(capsys, "up")
    assert outcome.code == 4
    assert not started.requests
    assert not (home / "identity.key").exists()


def test_up_refuses_an_option_without_a_value(capsys, started):
    outcome = run_command(capsys, "up", "--engine-option", "slots")
    assert outcome.code == 2
    assert "NAME=VALUE" in outcome.err


def test_up_says_why_a_node_did_not_start(capsys, monkeypatch):
    async def fail(*_, **__):
        raise DeadlineExceeded("the node was not ready within 1 s", hint="its log: x")

    monkeypatch.setattr("meshnode.daemon.spawn_detached", fail)
    assert run_command(capsys, "up").code == 5


def test_up_tells_phases_to_a_person(capsys, monkeypatch, started):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    starting._tell_phase("loading engine")
    assert capsys.readouterr().err == "loading engine ...\n"


def test_up_in_the_foreground_shows_phases_and_banner(capsys, monkeypatch, started):
    async def run_daemon(config, *, ticket, on_phase):
        on_phase(Phase(name="loading", detail="loading engine", elapsed_ms=1), api="127.0.0.1:1")
        on_phase(Phase(name="ready", detail="ready", elapsed_ms=1), api="127.0.0.1:1")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    monkeypatch.setattr("meshnode.daemon.run_daemon", run_daemon)
    outcome = run_command(capsys, "up", "-f")
    assert outcome.code == 0
    assert "loading engine (http://127.0.0.1:1)" in outcome.err
    assert "meshnode 0.1.0 is up" in outcome.err
    assert outcome.err.endswith("stopped\n")
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (None, "none, this node only asks"),
        ("echo", "echo: echo; for a small real model"),
        ("embedded", "embedded: SmolLM2-135M-Instruct Q4_1 (94 MiB)"),
    ],
)
def test_banner_names_engine_model_and_size(engine, words):
    model = ModelView(id="echo", engine="echo")
    if engine == "embedded":
        label = "SmolLM2-135M-Instruct Q4_1"
        model = ModelView(id="smol", engine=engine, label=label, size_bytes=98_400_000)
    view = engine and EngineView(
        name=engine, shareable=True, slots=1, running=0, queued=0, models=(model,)
    )
    status = make_status(engine=view or None, problems=("slow disk",), peers_ready=0)
    text = "\n".join(starting.describe_start(status, pid=1, log=None))
    assert words in text
    assert "problem  slow disk" in text
    assert "meshnode invite" in text


# --- join ------------------------------------------------------------------------------------


def test_join_starts_a_node_with_the_ticket(capsys, started):
    outcome = run_command(capsys, "join", TICKET, "--engine", "none")
    assert outcome.code == 0
    assert started.requests[0].ticket == TICKET
    assert "joined kitchen" in outcome.out
    assert "1 peer connected" in outcome.out
    assert run_command(capsys, "join", TICKET, "--json").document["peers_ready"] == 1


def test_join_tells_the_running_node(capsys, home, started):
    pretend_running(home)
    outcome = run_command(capsys, "join", TICKET, "--name", "bob")
    assert outcome.code == 0
    assert started.remote.asked == [{"ticket": TICKET}]
    assert "its settings stay" in outcome.err
    assert "settings" not in run_command(capsys, "join", TICKET).err


def test_join_says_that_nobody_is_connected_yet(capsys, monkeypatch, started):
    monkeypatch.setattr("meshnode.cli.join.CONNECT_TIMEOUT_S", 0.0)
    started.remote.state = make_status(peers_ready=0)
    assert "no peer is connected yet" in describe_membership(started.remote.state)
    clock = iter([0.0, 1.0, 99.0])
    monkeypatch.setattr("meshnode.cli.join.read_clock_s", lambda: next(clock))
    assert run_command(capsys, "join", TICKET).code == 1


def test_join_reads_the_ticket_from_stdin(capsys, monkeypatch, started):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{TICKET}\n"))
    assert run_command(capsys, "join", "-").code == 0
    assert started.requests[0].ticket == TICKET


@pytest.mark.parametrize("text", ["hello", TICKET[:-3], ""])
def test_join_refuses_what_is_no_ticket_and_never_repeats_it(capsys, home, monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{text}\n"))
    outcome = run_command(capsys, "join", "-")
    assert outcome.code == 4
    assert not text or text not in outcome.err
    assert not home.exists()


def test_join_in_the_foreground_passes_the_ticket(capsys, monkeypatch, started):
    seen = []

    async def run_daemon(config, *, ticket, on_phase):
        seen.append(ticket)

    monkeypatch.setattr("meshnode.daemon.run_daemon", run_daemon)
    assert run_command(capsys, "join", TICKET, "-f").code == 0
    assert seen == [TICKET]


# --- identity --------------------------------------------------------------------------------


def test_identity_is_shown_and_made_when_missing(capsys, home):
    first = run_command(capsys, "identity", "show")
    assert "made a new identity" in first.err
    assert "network      none yet" in first.out
    document = run_command(capsys, "identity", "show", "--json").document
    assert document["schema"] == "meshnode.identity/1"
    assert document["author"] in first.out
    public = run_command(capsys, "identity", "export-public").document
    assert public["author"] == document["author"]
    assert len(public["mldsa65_key"]) == 2 * 1_952
    seed = json.loads((home / "identity.key").read_text())["seed"]
    assert seed not in json.dumps([public, document])


def test_identity_new_puts_the_old_one_aside(capsys, home):
    old = run_command(capsys, "identity", "new").out.strip()
    outcome = run_command(capsys, "identity", "new")
    assert outcome.out.strip() != old
    assert "retired" in outcome.err
    assert list((home / "retired").glob("*/identity.key"))


def test_identity_new_refuses_while_a_node_runs(capsys, home):
    pretend_running(home)
    assert run_command(capsys, "identity", "new").code == 4


def test_identity_of_a_copied_home_is_refused_until_rebound(capsys, home, tmp_path):
    run_command(capsys, "init")
    shutil.copytree(home, tmp_path / "copy")
    (tmp_path / "copy" / "host").write_text("0" * 64 + "\n")
    copy = ("--home", str(tmp_path / "copy"))
    outcome = run_command(capsys, *copy, "identity", "show")
    assert outcome.code == 4
    assert "`meshnode identity new`" in outcome.err
    assert run_command(capsys, "identity", "rebind", *copy).code == 0
    assert run_command(capsys, "identity", "show", *copy).code == 0


# --- doctor ----------------------------------------------------------------------------------


@pytest.fixture
def remote(monkeypatch):
    node = FakeRemote()
    monkeypatch.setattr("meshnode.cli.doctor.connect", lambda _: node)
    return node


def test_doctor_of_a_fresh_machine_finds_nothing_broken(capsys, home, monkeypatch):
    monkeypatch.setenv("MESHNODE_API", "127.0.0.1:0")  # the usual port may be taken here
    outcome = run_command(capsys, "doctor")
    assert outcome.code == 0
    assert "?   peers" in outcome.out
    assert not home.exists()
    document = run_command(capsys, "doctor", "--json").document
    assert document["ok"] is True
    assert {check["name"] for check in document["checks"]} >= {"python", "home", "key", "node"}


def test_doctor_of_a_running_node(capsys, remote):
    remote.members = [make_peer()]
    remote.state = make_status(offences={"malformed": 3})
    outcome = run_command(capsys, "doctor")
    assert outcome.code == 0
    assert "ok  peers       1 of 1 connected" in outcome.out
    assert "refused from peers: malformed 3" in outcome.out


def test_doctor_tells_how_far_the_order_is(capsys, remote):
    remote.state = make_status(consensus=make_consensus())
    outcome = run_command(capsys, "doctor")
    assert "-   order       commit 12, round 14; 1 vertex not final yet; silent: bob" in outcome.out
    alice = make_consensus().validators[:1]
    remote.state = make_status(consensus=make_consensus(validators=alice))
    assert "ok  order       commit 12" in run_command(capsys, "doctor").out
    remote.state = make_status(consensus=make_consensus(halted="two ways"))
    outcome = run_command(capsys, "doctor")
    assert outcome.code == 1
    assert "`meshnode dag log --kind evidence`" in outcome.out


def test_doctor_tries_the_addresses_of_absent_members(capsys, remote):
    remote.members = [make_peer(ready=False, addresses=("/ip4/127.0.0.1/tcp/1", "/dns/x"))]
    remote.state = make_status(problems=("no peers",), engine=None)
    outcome = run_command(capsys, "doctor")
    assert outcome.code == 1
    assert "127.0.0.1:1: refused, so no node listens there" in outcome.out
    assert "?, not an address" in outcome.out
    assert "2 problems found" in outcome.out


def test_doctor_of_a_lone_node(capsys, remote):
    assert "no other members yet" in run_command(capsys, "doctor").out


def test_doctor_of_a_loading_or_silent_node(capsys, monkeypatch, remote):
    remote.failures["status"] = NotReady("loading engine")
    remote.startup_state = {"elapsed_ms": 2_000}
    assert "loading engine, for 2.0 s so far" in run_command(capsys, "doctor").out
    remote.failures["status"] = NoDaemon("it does not answer", hint="restart it")
    assert run_command(capsys, "doctor").code == 1

    def refuse(_):
        raise KeystoreError("runtime.json is damaged")

    monkeypatch.setattr("meshnode.cli.doctor.connect", refuse)
    assert "runtime.json is damaged" in run_command(capsys, "doctor").out


def test_doctor_names_a_taken_port(monkeypatch):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        api = f"127.0.0.1:{server.getsockname()[1]}"
        check = asyncio.run(probes.probe_api_port(NodeConfig(api=api)))
        monkeypatch.setattr(probes, "API_DEFAULT", api)
        assert asyncio.run(probes.probe_api_port(NodeConfig())).state == "info"
    assert (check.state, check.name) == ("fail", "port")
    assert asyncio.run(probes.probe_api_port(NodeConfig(api="127.0.0.1:0"))).state == "ok"
    assert asyncio.run(probes.probe_api_port(NodeConfig(api="192.0.2.200:9"))).state == "unknown"


def test_probe_tells_what_it_saw(monkeypatch):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert "something listens" in asyncio.run(
            probes.probe_address(f"/ip4/127.0.0.1/tcp/{port}")
        )
    assert asyncio.run(probes.probe_address("/ip4/1.2.3.4/tcp/x")) == "?, without a port"
    assert probes._describe(socket.gaierror(1, "x")) == "?, the name is not known"
    assert probes._describe(OSError(113, "No route to host")) == "?, no route to host"
    monkeypatch.setattr(probes, "TIMEOUT_S", 0.01)

    async def never(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr("asyncio.open_connection", never)
    assert "no answer" in asyncio.run(probes.probe_address("/ip4/127.0.0.1/tcp/1"))


def test_checks_name_what_is_wrong(home, monkeypatch):
    opened = open_home(home)
    monkeypatch.setattr(checks, "FREE_BYTES_MIN", 2**62)
    assert checks.check_home(home).state == "fail"
    monkeypatch.setattr(checks, "FREE_BYTES_MIN", 0)
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "cannot be written" in checks.check_home(home).detail
    home.chmod(0o777)
    assert checks.check_home(home).state == "fail"
    home.chmod(0o700)
    opened.key_path.write_text("{}")
    assert checks.check_key(home).state == "fail"
    (home / "config.toml").write_text("= broken")
    assert checks.check_settings(home)[0].state == "fail"
    monkeypatch.setattr(checks, "embedded_is_installed", lambda: False)
    monkeypatch.setattr(checks, "PYTHON_MIN", (99, 0))
    python, local = checks.check_python()
    assert (python.state, local.state) == ("fail", "info")


def test_check_of_an_encrypted_key(home):
    opened = open_home(home)
    opened.ensure_identity(Secret("x"), now_ms=1)
    assert checks.check_key(home).detail == "encrypted"


# --- small things ----------------------------------------------------------------------------


def test_settings_leave_out_what_was_not_given(home):
    assert load_settings(home, name=None, listen=()).name == ""


def test_refuse_while_running_names_the_process(home):
    opened = open_home(home)
    refuse_while_running(opened, "nothing")
    pretend_running(home)
    with pytest.raises(CommandRejected, match="pid"):
        refuse_while_running(opened, "nothing")


def test_replay_says_whether_everything_happened_again(capsys, monkeypatch, tmp_path):
    from meshnode.shell.replay import ReplayReport

    report = ReplayReport(version="0.1.0", inputs=7, digests=1, diverged_after=None)
    monkeypatch.setattr("meshnode.shell.replay.replay", lambda _: report)
    outcome = run_command(capsys, "replay", "x")
    assert outcome.out == "ok: 7 inputs replayed, 1 digest equal (recorded by meshnode 0.1.0)\n"
    bad = ReplayReport(version="0.1.0", inputs=7, digests=1, diverged_after=3)
    monkeypatch.setattr("meshnode.shell.replay.replay", lambda _: bad)
    outcome = run_command(capsys, "replay", "x")
    assert outcome.code == 1
    assert "after input 3" in outcome.out
    assert run_command(capsys, "replay", "x", "--json").document["ok"] is False


def test_replay_of_a_file_that_is_no_recording(capsys, tmp_path):
    (tmp_path / "x").write_bytes(b"no recording")
    outcome = run_command(capsys, "replay", str(tmp_path / "x"))
    assert outcome.code == 1
    assert len(outcome.err.splitlines()) == 1
