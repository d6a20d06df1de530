"""Who counts as a member where addresses and places at relays are given away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from meshnode.core.commands import Found
from meshnode.discovery.mesh import MEMBERS_FRESH_MS, Mesh
from meshnode.errors import CommandRejected
from tests.support.dag_builder import make_genesis, make_person
from tests.support.find_scene import key_of, peer_of


class FakeRuntime:
    def __init__(self, count):
        self.genesis = make_genesis([make_person(0)])
        self.transport = SimpleNamespace(peer_id=peer_of(0), addresses=("/a",))
        self.time_ms = 10_000
        self.gone: set[bytes] = set()
        self.roll = SimpleNamespace(is_gone=self.gone.__contains__)
        self.count = count
        self.submitted: list[Found] = []
        self.is_stopping = False

    def now_ms(self):
        return self.time_ms

    def view(self):
        members = [
            SimpleNamespace(id=bytes([number]), keys=SimpleNamespace(libp2p_key=key_of(number)))
            for number in range(self.count)
        ]
        peers = [SimpleNamespace(peer=peer_of(1))]
        return SimpleNamespace(members=members, peers=peers)

    async def submit(self, command):
        if self.is_stopping:
            raise CommandRejected("the node is stopping")
        self.submitted.append(command)


def test_member_that_was_put_out_is_none_within_a_second():
    runtime = FakeRuntime(3)
    mesh = Mesh(cast("Any", runtime))
    assert mesh.is_member(peer_of(2))
    assert not mesh.is_member(peer_of(9))
    runtime.gone.add(bytes([2]))
    runtime.time_ms += MEMBERS_FRESH_MS
    assert not mesh.is_member(peer_of(2))
    assert mesh.list_members() == {peer_of(0): key_of(0), peer_of(1): key_of(1)}


async def test_peer_that_is_ready_is_not_waited_for_and_findings_end_with_the_node():
    runtime = FakeRuntime(2)
    mesh = Mesh(cast("Any", runtime))
    await mesh.wait_ready(peer_of(1), ())
    found = Found(peer_of(1), ("/b",))
    await mesh.tell_found([found])
    runtime.is_stopping = True
    await mesh.tell_found([found])
    assert runtime.submitted == [found]
