"""What `meshnode doctor` says of each way to find others: tried, failed, next step, or unknown."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import time

import msgspec
import pytest

from meshnode.cli import doctor_discovery as ways
from meshnode.config import NodeConfig
from meshnode.home import Bootstrap, Membership, open_home
from meshnode.views import WayInfo
from tests.support.dag_builder import make_genesis, make_person
from tests.support.views import make_status

CLOSED = "/ip4/127.0.0.1/tcp/1"


@pytest.fixture
def home(tmp_path):
    return open_home(tmp_path / "home", check=False)


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"/ip4/127.0.0.1/tcp/{server.getsockname()[1]}"


def join(home, *addresses):
    bootstrap = (Bootstrap("peer", addresses),) if addresses else ()
    return home.add_network(make_genesis([make_person(0)]), Membership(bootstrap=bootstrap))


def fill_book(folder, value):
    with sqlite3.connect(folder.directory / "journal.db") as connection:
        connection.execute("CREATE TABLE named_values (key TEXT PRIMARY KEY, value BLOB NOT NULL)")
        connection.execute("INSERT INTO named_values VALUES ('address-book', ?)", (value,))
    connection.close()


def states(checks, name):
    return [check.state for check in checks if check.name == name]


async def test_fresh_home_has_unknowns_and_nothing_broken(tmp_path):
    checks = await ways.check_ways_offline(tmp_path / "none", NodeConfig())
    assert not [check for check in checks if check.state == "fail"]
    assert states(checks, "reachable") == ["unknown"]
    assert states(checks, "invitation") == ["info"]
    assert not (tmp_path / "none").exists()


async def test_each_listen_address_is_tried(tmp_path, listening):
    free = await ways.check_listen(tmp_path, "/ip4/127.0.0.1/tcp/0")
    assert (free.state, free.detail) == ("ok", "127.0.0.1, any free port")
    taken = await ways.check_listen(tmp_path, listening)
    assert taken.state == "fail"
    assert "another port" in taken.fix
    foreign = await ways.check_listen(tmp_path, "/ip4/192.0.2.1/tcp/0")
    assert foreign.state == "fail"
    assert "this machine has no address" in foreign.detail
    assert (await ways.check_listen(tmp_path, "/dns4/x/tcp/1")).state == "unknown"


async def test_port_of_the_last_run_that_is_taken_is_told(home, listening):
    home.remember_port(int(listening.rpartition("/")[2]))
    check = await ways.check_listen(home.path, "/ip4/127.0.0.1/tcp/0")
    assert check.state == "info"
    assert "invite anew" in check.fix


@pytest.mark.parametrize(
    ("number", "state"), [("EACCES", "fail"), ("ENETDOWN", "unknown"), ("EADDRINUSE", "fail")]
)
async def test_listen_errors_have_their_next_step(tmp_path, monkeypatch, number, state):
    import errno

    async def refuse(*_args):
        raise OSError(getattr(errno, number), "no")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_server", refuse)
    check = await ways.check_listen(tmp_path, "/ip4/127.0.0.1/tcp/80")
    assert check.state == state
    assert bool(check.fix) == (state == "fail")


async def test_home_that_cannot_be_opened_leaves_listening_and_invitation_unknown(home):
    (home.path / "networks").mkdir()
    (home.path / "current").write_text("gone\n")
    (check,) = await ways.check_invitation(home.path)
    assert check.state == "unknown"


def test_clock_behind_the_home_is_broken(home):
    assert ways.check_clock(home.path).state == "unknown"
    ahead_s = time.time() + 3_600
    (home.path / "name").write_text("later")
    os.utime(home.path / "name", (ahead_s, ahead_s))
    check = ways.check_clock(home.path)
    assert check.state == "fail"
    assert "NTP" in check.fix


async def test_invitation_and_book_are_broken_only_where_nobody_answers(home, listening):
    folder = join(home, CLOSED, listening)
    assert {check.state for check in await ways.check_invitation(home.path)} == {"ok"}
    fill_book(folder, msgspec.msgpack.encode({"a": (CLOSED,), "b": ("/dns/x",)}))
    checks = await ways.check_ways_offline(home.path, NodeConfig(rendezvous=(CLOSED,), mdns=True))
    assert states(checks, "book") == ["info", "info", "fail"]
    assert states(checks, "rendezvous") == ["fail"]
    assert states(checks, "mdns") == ["unknown"]
    broken = [check for check in checks if check.state == "fail"]
    assert all(check.fix for check in broken)


async def test_addresses_that_cannot_be_tried_are_unknown(home):
    join(home, "/dns/x")
    assert states(await ways.check_invitation(home.path), "invitation") == ["unknown"]


async def test_founder_has_no_invitation_and_an_empty_book(home):
    folder = join(home)
    (check,) = await ways.check_invitation(home.path)
    assert check.detail == "this node founded its network"
    with sqlite3.connect(folder.directory / "journal.db") as connection:
        connection.execute("CREATE TABLE named_values (key TEXT PRIMARY KEY, value BLOB NOT NULL)")
    connection.close()
    assert ways.read_book(home.path) == {}


@pytest.mark.parametrize("value", [b"\xff\xff", msgspec.msgpack.encode([1])])
async def test_damaged_book_is_unknown(home, value):
    fill_book(join(home), value)
    assert ways.read_book(home.path) is None
    checks = await ways.check_ways_offline(home.path, NodeConfig())
    assert states(checks, "book") == ["unknown"]


def test_settings_that_open_or_close_a_way_are_told():
    assert ways.check_mdns(NodeConfig(mdns=True, listen=("/ip6/::1/tcp/0",))).state == "fail"
    assert ways._check_relay(NodeConfig(serve_relay=True)).detail.startswith("this node will relay")
    assert ways._check_relay(NodeConfig(use_relays=False)).state == "info"


async def test_running_node_tells_of_its_ways(home, listening):
    found = (
        WayInfo(name="relay", state="fail", detail="no member relays", fix="open the port"),
        WayInfo(name="clock", state="ok", detail="as others"),
    )
    status = make_status(addresses=(listening, CLOSED, "/ip4/192.0.2.1/tcp/x"), ways=found)
    checks = await ways.check_ways_running(home.path, status)
    assert states(checks, "listen") == ["ok", "fail", "unknown"]
    assert states(checks, "relay") == ["fail"]
    assert states(checks, "clock") == ["ok"]


async def test_node_of_an_older_version_leaves_them_unknown(home):
    checks = await ways.check_ways_running(home.path, make_status(addresses=()))
    assert states(checks, "reachable") == ["unknown"]
    assert states(checks, "clock") == ["unknown"]
