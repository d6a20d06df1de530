"""Whether others reach this node: whom it believes, and when it takes a place at a relay."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from meshnode.core.entropy import Entropy
from meshnode.core.peer_record import ROLE_RELAY
from meshnode.core.record_book import RecordBook
from meshnode.discovery.own_record import AGE_MAX_MS, OwnRecord
from meshnode.discovery.reaching import (
    ASK_AGAIN_MS,
    CLOCK_MAX_MS,
    RELAYS_WANTED,
    SURE_MS,
    UPKEEP_MS,
    Reaching,
    dial_back,
    read_port,
)
from meshnode.discovery.rendezvous import PeersDesk
from meshnode.errors import DialFailed, TransportError
from tests.support.find_scene import (
    NETWORK,
    NOW_MS,
    FakeMesh,
    key_of,
    make_record,
    peer_of,
    seed_of,
)

RELAYED = "/ip4/1.2.3.4/tcp/5/p2p/relay/p2p-circuit"


class FakeCircuits:
    def __init__(self):
        self.relays: tuple[str, ...] = ()
        self.refused = ""
        self.error: TransportError | None = None
        self.expires_s = NOW_MS // 1000 + 3_600
        self.reserved: list[str] = []
        self.probed: list[tuple[str, str]] = []

    async def reserve(self, relay, addresses):
        if self.refused:
            raise TransportError(self.refused)
        self.reserved.append(relay)
        self.relays = (*self.relays, relay)
        return SimpleNamespace(address=f"/ip4/1.2.3.4/tcp/5/p2p/{relay}", expires_s=self.expires_s)

    def release(self, relay):
        self.relays = tuple(one for one in self.relays if one != relay)

    async def probe(self, peer, address):
        self.probed.append((peer, address))
        if self.error is not None:
            raise self.error
        if self.refused:
            raise DialFailed(self.refused)


class Scene:
    def __init__(self, *, uses_relays=True):
        self.mesh = cast("Any", FakeMesh(8))
        self.circuits = cast("Any", FakeCircuits())
        self.book = RecordBook(NETWORK, self.mesh.is_member)
        self.moves: list[tuple[str, ...]] = []
        self.reaching = Reaching(
            self.mesh,
            self.circuits,
            self.book,
            Entropy(bytes(32)),
            uses_relays=uses_relays,
            on_moved=lambda: self.moves.append(self.reaching.relayed_addresses),
        )

    def helper(self, number, answer, *, time_ms=None, serves=True):
        async def probe(_peer, _port):
            return "10.0.0.1", answer

        self.mesh.connect(number)
        self.mesh.desks[peer_of(number)] = PeersDesk(
            self.book,
            serves=False,
            read_own=lambda: make_record(number),
            probe=probe if serves else None,
            now_ms=lambda: self.mesh.time_ms if time_ms is None else time_ms,
        )

    def relay(self, number):
        self.book.admit(self.mesh.time_ms, make_record(number, roles=ROLE_RELAY))

    async def step(self, after_ms=1_000):
        self.mesh.time_ms += after_ms
        self.reaching.peers_changed(self.mesh.time_ms)
        await self.reaching.step(self.mesh.time_ms)

    def way(self, name):
        return next(way for way in self.reaching.describe() if way.name == name)


@pytest.fixture
async def scene():
    scene = Scene()
    yield scene
    await scene.mesh.close()


async def test_nothing_is_known_before_a_peer_was_asked(scene):
    await scene.step()
    assert scene.reaching.is_reachable is None
    assert [way.state for way in scene.reaching.describe()] == ["unknown", "unknown", "info"]


async def test_node_that_is_dialled_back_needs_no_relay(scene):
    scene.helper(1, "")
    scene.relay(5)
    await scene.step()
    assert scene.reaching.is_reachable
    assert scene.circuits.reserved == []
    assert scene.way("reachable").state == "ok"
    assert scene.reaching.next_deadline() <= scene.mesh.time_ms + UPKEEP_MS


async def test_hidden_node_takes_places_at_relays_and_says_so(scene):
    scene.helper(1, "refused")
    for number in (5, 6, 7):
        scene.relay(number)
    await scene.step()
    assert scene.reaching.is_reachable is False
    assert len(scene.circuits.reserved) == RELAYS_WANTED
    assert scene.way("reachable").state == "info"
    assert scene.way("relay").state == "ok"
    (addresses,) = scene.moves
    assert all(text.endswith(f"/p2p-circuit/p2p/{peer_of(0)}") for text in addresses)


async def test_one_liar_among_three_changes_nothing(scene):
    scene.relay(5)
    scene.helper(1, "lie")
    scene.helper(2, "")
    scene.helper(3, "")
    for _ in range(4):
        await scene.step()
    assert scene.reaching.is_reachable
    assert scene.circuits.relays == (), "a place taken in between was given back"
    assert scene.reaching._ask_due_ms >= scene.mesh.time_ms + SURE_MS // 2


async def test_peer_that_cannot_tell_counts_for_nothing_and_is_asked_again_later(scene):
    scene.helper(1, "", serves=False)
    await scene.step()
    assert scene.reaching.is_reachable is None
    scene.helper(1, "")
    await scene.step()
    assert scene.reaching.is_reachable is None
    await scene.step(ASK_AGAIN_MS)
    assert scene.reaching.is_reachable


async def test_peer_behind_a_relay_and_peer_that_is_gone_are_not_asked(scene):
    scene.mesh.connect(1, RELAYED)
    await scene.step()
    scene.mesh.connect(2)  # its stream cannot be opened
    await scene.step(10_000)
    assert scene.reaching.is_reachable is None


async def test_lost_place_is_taken_anew_and_one_that_grows_old_is_renewed(scene):
    scene.helper(1, "refused")
    scene.relay(5)
    await scene.step()
    scene.circuits.relays = ()
    await scene.step(UPKEEP_MS)
    assert scene.circuits.reserved == [peer_of(5)] * 2
    assert len(scene.moves) == 2
    scene.circuits.expires_s += 10_000
    await scene.step(1_801_000)
    assert len(scene.circuits.reserved) == 3


async def test_relay_that_refuses_is_named_with_its_reason(scene):
    scene.helper(1, "refused")
    await scene.step()
    assert "no member that is known relays" in scene.way("relay").detail
    scene.relay(5)
    scene.circuits.refused = "no place"
    await scene.step(UPKEEP_MS)
    assert scene.way("relay").state == "fail"
    assert "no place" in scene.way("relay").detail
    scene.circuits.refused = ""
    await scene.step(UPKEEP_MS)
    assert scene.way("relay").state == "ok"


async def test_node_that_wants_no_relay_takes_none():
    scene = Scene(uses_relays=False)
    scene.helper(1, "refused")
    scene.relay(5)
    await scene.step()
    await scene.mesh.close()
    assert scene.circuits.reserved == []
    assert scene.way("reachable").state == "fail"
    assert scene.way("relay").state == "info"


async def test_clock_is_compared_with_most_others(scene):
    for number, ahead_ms in ((1, 90_000), (2, 100), (3, 0)):
        scene.helper(number, "", time_ms=NOW_MS + ahead_ms)
    for _ in range(6):
        await scene.step()
    assert len(scene.reaching._offsets) == 3
    assert scene.way("clock").state == "ok"
    scene.reaching._offsets = dict.fromkeys("abc", -2 * CLOCK_MAX_MS)
    assert "ahead of the clock" in scene.way("clock").detail
    scene.reaching._offsets = dict.fromkeys("abc", 2 * CLOCK_MAX_MS)
    assert "behind the clock" in scene.way("clock").detail


async def test_only_where_a_peer_is_seen_is_dialled_back():
    mesh = cast("Any", FakeMesh(4))
    circuits = cast("Any", FakeCircuits())
    mesh.connect(1, "/ip4/10.0.0.9/tcp/50123")
    assert await dial_back(circuits, mesh, peer_of(1), 4001) == ("10.0.0.9", "")
    assert circuits.probed == [(peer_of(1), "/ip4/10.0.0.9/tcp/4001")]
    circuits.refused = "closed"
    assert (await dial_back(circuits, mesh, peer_of(1), 4001))[1].startswith("closed")
    circuits.error = TransportError("no time")
    circuits.error.code = "negotiation_failed"
    assert (await dial_back(circuits, mesh, peer_of(1), 4001))[1].startswith("?, no time")
    mesh.connect(2, RELAYED)
    mesh.connect(3, "/memory/x")
    for number in (2, 3, 9):
        host, reason = await dial_back(circuits, mesh, peer_of(number), 4001)
        assert not host
        assert reason.startswith("?")
    assert len(circuits.probed) == 3


def test_port_is_that_of_the_first_tcp_address():
    assert read_port(("/memory/x", "/ip4/1.2.3.4/tcp/7/p2p/x")) == 7
    assert read_port(()) == 0


def test_own_record_is_made_anew_only_when_it_says_something_else_or_grows_old():
    own = OwnRecord(seed_of(0), peer_of(0), NETWORK, 0)
    book = RecordBook(NETWORK, lambda _: True)
    first = own.read(NOW_MS, ("/a",))
    assert own.read(NOW_MS + 1, ("/a",)) == first
    moved = own.read(NOW_MS, ("/b",))
    for wire in (first, moved):
        book.admit(NOW_MS, wire)
    held = book.get(key_of(0))
    assert held is not None
    assert held.addresses == ("/b",), "of one moment, and newer all the same"
    assert own.read(NOW_MS + AGE_MAX_MS + 1, ("/b",)) != moved
    assert "masked" in repr(own)
