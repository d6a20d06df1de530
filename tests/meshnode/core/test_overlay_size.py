"""The overlay begins and ends with the size of the network, and leaves committees their links."""

from __future__ import annotations

from itertools import pairwise

from meshnode.core.effects import Hangup
from meshnode.core.messages import (
    Disconnect,
    Neighbour,
)
from meshnode.core.transport_id import compute_transport_id
from tests.support.overlay_scene import MEMBERS, PEOPLE, OverlayScene


def hangups(effects):
    return [effect.peer for effect in effects if isinstance(effect, Hangup)]


def grow(scene, count):
    """Let all but so many members count as absent."""
    membership = scene.overlay._membership
    for number, name in enumerate(membership._contacts):
        membership._count_failures(membership._contacts[name], 8 if number >= count - 1 else 0)


def test_full_mesh_gives_way_to_the_overlay_link_by_link():
    scene = OverlayScene(full_mesh_max=MEMBERS, outbound_min=1, inbound_max=3)
    assert not scene.overlay.is_on
    peers = [scene.come(number) for number in range(8)]
    assert scene.active == {}
    object.__setattr__(scene.settings.limits, "full_mesh_max", 4)
    scene.overlay._membership._count_present()
    assert scene.node.next_wakeup == 0
    scene.tick(0)
    assert scene.overlay.neighbours == tuple(peers)
    counts = []
    for _ in range(16):
        assert scene.overlay.next_deadline() > scene.now_ms - 1_000
        scene.live(1_000)
        counts.append(len(scene.active))
    assert counts[-1] == 4
    assert sum(item.outbound for item in scene.active.values()) == 1
    assert all(0 <= one - other <= 1 for one, other in pairwise(counts))


def test_overlay_gives_way_to_the_full_mesh_when_members_are_gone_for_good():
    scene = OverlayScene(outbound_min=1, full_mesh_max=8)
    assert scene.overlay.is_on
    peer = scene.join(0)
    refused = OverlayScene(outbound_min=0, inbound_max=0)
    grow(scene, 7)
    scene.tick(0)
    assert scene.overlay.is_on
    grow(scene, 6)
    scene.tick(0)
    assert not scene.overlay.is_on
    assert scene.active == {}
    assert peer in scene.node.get_ready_peers()
    grow(scene, 8)
    scene.tick(0)
    assert not scene.overlay.is_on
    assert not scene.sent(scene.receive(peer, Neighbour(True)), Disconnect)
    late = refused.join(0)
    grow(refused, 2)
    assert hangups(refused.tick(1_000)) == [late]


def test_peers_that_are_being_refused_are_not_taken_up_again():
    scene = OverlayScene(outbound_min=0, inbound_max=0, full_mesh_max=8)
    peer = scene.join(0)
    grow(scene, 4)
    scene.tick(0)
    grow(scene, MEMBERS)
    scene.tick(0)
    assert scene.overlay.is_on
    assert peer not in scene.active


def test_validators_are_dialled_whatever_the_overlay_says_and_take_nobodys_place():
    scene = OverlayScene(validators=5, outbound_min=0, inbound_max=0)
    dialled = {dial.peer for dial in scene.dials([*scene.started, *scene.tick(100)])}
    colleagues = {compute_transport_id(person.keys.libp2p_key) for person in PEOPLE[:5]}
    assert dialled == colleagues - {scene.settings.transport}
    scene.accept(scene.dials(scene.started)[0])
    assert not scene.active
    assert len(scene.overlay.list_colleagues()) == 1


def test_validator_that_dials_is_kept_without_a_place_and_never_given_up():
    scene = OverlayScene(validators=5, outbound_min=0, inbound_max=0)
    peer = scene.join(3)
    assert scene.persons[peer] in PEOPLE[:5]
    assert peer not in scene.active
    assert not hangups(scene.live(60_000))
    assert scene.overlay.list_colleagues() == [peer]


def test_network_that_grows_large_keeps_the_links_of_validators_out_of_its_views():
    scene = OverlayScene(validators=5, full_mesh_max=12)
    validator, other = scene.join(3), scene.join(8)
    assert not scene.overlay.is_on
    scene.node._membership._is_large = True
    scene.tick(0)
    assert list(scene.active) == [other]
    assert scene.node._tree.is_branch(validator)


def test_links_follow_the_committee():
    scene = OverlayScene(validators=5, outbound_min=0, inbound_max=2)
    validator, member = scene.join(3), scene.join(8)
    membership = scene.node._membership
    membership.set_colleagues(scene.now_ms, [scene.persons[member].author])
    scene.tick(0)
    assert not scene.active
    assert scene.overlay.list_colleagues() == [member]
    scene.tick(1_000)
    assert list(scene.active) == [validator]
    membership.set_colleagues(scene.now_ms, [])
    scene.tick(0)
    scene.tick(1_000)
    assert sorted(scene.active) == sorted([validator, member])


def test_committee_that_changes_in_a_small_network_changes_no_link():
    scene = OverlayScene(validators=5, full_mesh_max=12)
    peer = scene.join(8)
    scene.node._membership.set_colleagues(scene.now_ms, [scene.persons[peer].author])
    scene.live(5_000)
    assert not scene.overlay.is_on
    assert peer in scene.node.get_ready_peers()


def test_refused_member_that_becomes_a_validator_is_not_hung_up():
    scene = OverlayScene(validators=5, outbound_min=0, inbound_max=0)
    peer = scene.join(8)
    scene.node._membership.set_colleagues(scene.now_ms, [scene.persons[peer].author, bytes(32)])
    assert not hangups(scene.live(3_000))
