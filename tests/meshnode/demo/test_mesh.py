"""Bringing a demo up: names, limits, and what is said when it does not work."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from meshnode.daemon import Spawned
from meshnode.demo import mesh as mesh_module
from meshnode.demo import processes
from meshnode.demo.mesh import name_node, open_demo_mesh
from meshnode.demo.processes import open_crew
from meshnode.demo.script import DemoReport, Exchange, describe_model, run_script
from meshnode.errors import CommandRejected, ConfigError, DeadlineExceeded, MeshError
from meshnode.views import HeadsInfo
from tests.support.cli import FakeRemote
from tests.support.views import make_answer, make_finality, make_id, make_small_dag, make_status


class Silent:
    def on_question(self, asker, question):
        pass

    def on_text(self, text):
        pass

    def on_answer(self, exchange):
        pass


def make_heads(name):
    return HeadsInfo(digest=make_id(name), vertices=3, lamport=2, heads=())


def make_report(*heads, everywhere_ms=3, final_ms=200):
    exchange = Exchange(
        asker="bell",
        question="?",
        answer=make_answer(),
        everywhere_ms=everywhere_ms,
        final_ms=final_ms,
        commit=7,
    )
    return DemoReport(
        nodes=({"name": "ada"}, {"name": "bell"}),
        engine="echo",
        model="echo",
        ready_ms=1,
        connected_ms=2,
        exchanges=(exchange,),
        heads=heads,
        vertices=tuple(make_small_dag()),
        blocks=(),
    )


def make_fake_mesh(*remotes):
    nodes = tuple(
        SimpleNamespace(
            name=name_node(number), home="home", remote=remote, spawned=SimpleNamespace(pid=1)
        )
        for number, remote in enumerate(remotes)
    )
    return SimpleNamespace(nodes=nodes, founder=nodes[0], ready_ms=1, connected_ms=1)


@pytest.mark.parametrize("nodes", [0, 1, 17])
async def test_demo_has_few_nodes(nodes):
    with pytest.raises(ConfigError, match="2 to 16 nodes"):
        async with open_demo_mesh(nodes=nodes, engine="echo", tell=print):
            pass


def test_names_differ():
    names = [name_node(number) for number in range(16)]
    assert len(set(names)) == 16
    assert names[8] == "ada-2"


async def test_demo_says_who_is_not_connected(monkeypatch):
    monkeypatch.setattr(mesh_module, "CONNECT_TIMEOUT_S", 0.05)
    fake = make_fake_mesh(FakeRemote(), FakeRemote(state=make_status(peers_ready=0)))
    with pytest.raises(DeadlineExceeded, match="ada 1/1, bell 0/1"):
        await mesh_module._wait_until_connected(fake.nodes)


async def test_crew_removes_its_folder_when_a_node_does_not_start(tmp_path, monkeypatch):
    folder = tmp_path / "demo"
    folder.mkdir()

    async def fail(*_, **__):
        raise MeshError("no")

    monkeypatch.setattr(processes, "spawn_detached", fail)
    with pytest.raises(MeshError, match="no"):
        async with open_crew(folder) as crew:
            await crew.start("ada", {})
    assert not folder.exists()


def test_crew_insists_on_the_end_of_a_node(tmp_path):
    import subprocess
    import sys

    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('up', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    processes._end(Spawned(process, "", tmp_path), timeout_s=0.05)
    assert process.returncode == -9
    process.stdout.close()


def test_environment_of_nodes_has_no_settings_of_a_person(monkeypatch):
    monkeypatch.setenv("MESHNODE_PASSPHRASE", "canary")
    assert "canary" not in processes.make_environment().values()


def test_report_is_ok_when_everything_is_everywhere_and_final():
    same = make_heads("a")
    assert not make_report(same, same, final_ms=None).ok
    assert make_report(same, same).ok
    assert not make_report(same, make_heads("b")).ok
    assert not make_report(same, same, everywhere_ms=None).ok
    document = make_report(same).to_json()
    assert document["schema"] == "meshnode.demo/1"
    assert (document["answers"][0]["final_ms"], document["answers"][0]["commit"]) == (200, 7)


async def test_script_reports_a_vertex_that_does_not_arrive(monkeypatch):
    monkeypatch.setattr("meshnode.demo.script.SPREAD_TIMEOUT_S", 0.05)
    late = FakeRemote(failures={"vertex": CommandRejected("not there")})
    other = FakeRemote(stored=make_small_dag(), place=make_finality(final=False))
    monkeypatch.setattr(late, "heads", lambda: _later(make_heads("x")))
    report = await run_script(make_fake_mesh(late, other), Silent())
    assert [exchange.everywhere_ms for exchange in report.exchanges] == [None] * 3
    assert [exchange.final_ms for exchange in report.exchanges] == [None] * 3
    assert not report.heads_are_equal


async def _later(value):
    return value


async def test_script_wants_a_result(monkeypatch):
    broken = FakeRemote()

    async def stream(*_, **__):
        return
        yield

    monkeypatch.setattr(broken, "stream", stream)
    with pytest.raises(MeshError, match="without a result"):
        await run_script(make_fake_mesh(FakeRemote(), broken), Silent())


def test_model_of_a_node_that_serves_nothing():
    assert describe_model(make_status(engine=None)) == "none"
