"""Vertices reach everybody about once."""

from __future__ import annotations

from dag.authors import Fork
from dag.errors import Offence
from dag.types import LANE_BLOCKS, Kind, Ref
from meshnode.core.dissemination import FRESH_MS, KNOWN_MAX, KNOWN_MS, Dissemination
from meshnode.core.effects import Penalise, Send
from meshnode.core.messages import Get, Graft, IHave, Prune, Push
from meshnode.core.plumtree import CROSSING_MS
from tests.support.core_net import CoreNet
from tests.support.dag_builder import DagBuilder, make_person
from tests.support.lone_core import LoneCore
from tests.support.overlay_scene import OverlayScene

REF = Ref(1, bytes(32))


def receivers(effects, kind):
    return [
        name
        for effect in effects
        if isinstance(effect, Send) and isinstance(effect.message, kind)
        for name in effect.to
    ]


def test_announcements_go_to_peers_not_known_to_have_the_vertex():
    builder = DagBuilder(authors=3).profiles()
    lone = LoneCore(genesis=builder.genesis)
    one = lone.greet()
    two = lone.greet(make_person(2))
    lone.receive(one, lone.vertices(request=1))
    lone.receive(one, lone.vertices(*builder.vertices[1:]))
    lone.receive(two, IHave((builder.vertices[1].id,)))
    effects = lone.tick(200)
    assert lone.sent(effects, IHave) == [IHave((builder.vertices[2].id,))]
    assert not lone.sent(lone.tick(200), IHave)


def test_announcements_beyond_one_message_are_left_to_reconciliation():
    builder = DagBuilder(authors=2).profiles()
    lone = LoneCore(genesis=builder.genesis)
    one = lone.greet()
    lone.receive(one, lone.vertices(request=1))
    notes = [builder.vertex(1, body=b"%d" % n, parents=()) for n in range(600)]
    lone.receive(one, lone.vertices(builder.vertices[1], *notes))
    lone.disconnect(one)
    lone.greet(transport="again")
    (message,) = lone.sent(lone.tick(200), IHave)
    assert len(message.ids) == 512


def test_memory_of_who_has_what_is_bounded():
    lone = LoneCore()
    dissemination = lone.node._dissemination
    assert isinstance(dissemination, Dissemination)
    peer = lone.greet()
    for number in range(0, KNOWN_MAX + 512, 512):
        lone.now_ms += 1_000
        ids = tuple((number + n).to_bytes(32, "big") for n in range(512))
        dissemination.on_ihave(lone.now_ms, peer, IHave(ids))
    assert len(dissemination._traces) == KNOWN_MAX


def test_who_has_what_is_forgotten_after_two_minutes():
    lone = LoneCore()
    peer = lone.greet()
    dissemination = lone.node._dissemination
    lone.receive(peer, IHave((b"a" * 32, b"b" * 32)))
    lone.now_ms += KNOWN_MS
    lone.receive(peer, IHave((b"c" * 32,)))
    assert list(dissemination._traces) == [b"c" * 32]


def test_each_vertex_crosses_each_link_about_once():
    net = CoreNet(6)
    net.start()
    net.run(3_000)
    before = {host.name: dict(host.sent) for host in net.hosts}
    for number in range(60):
        net.hosts[number % 6].publish(b"%d" % number, kind=Kind.NOTE)
        net.run(30)
    net.run(3_000)
    assert net.converged
    pushes = sum(h.sent.get("Push", 0) - before[h.name].get("Push", 0) for h in net.hosts)
    items = sum(h.sent.get("Items", 0) - before[h.name].get("Items", 0) for h in net.hosts)
    assert pushes == 60 * 5
    assert items == 0


def test_parents_of_a_pushed_vertex_are_given_time_to_come_by_themselves():
    builder = DagBuilder(authors=3).profiles()
    parent = builder.vertex(1)
    child = builder.vertex(2)
    assert parent.ref in child.vertex.parents
    lone = LoneCore(genesis=builder.genesis)
    one = lone.greet()
    lone.receive(one, lone.vertices(request=1))
    lone.receive(one, lone.vertices(*builder.vertices[1:3]))
    assert not lone.sent(lone.receive(one, lone.vertices(child)), Get)
    assert not lone.sent(lone.tick(399), Get)
    (question,) = lone.sent(lone.tick(1), Get)
    assert question.ids == (parent.id,)


def test_parents_of_a_fetched_vertex_are_fetched_at_once():
    builder = DagBuilder(authors=3).profiles()
    parent = builder.vertex(1)
    child = builder.vertex(2)
    lone = LoneCore(genesis=builder.genesis)
    one = lone.greet()
    lone.receive(one, lone.vertices(request=1))
    lone.receive(one, lone.vertices(*builder.vertices[1:3]))
    lone.receive(one, IHave((child.id,)))
    (question,) = lone.sent(lone.tick(400), Get)
    assert question.ids == (child.id,)
    effects = lone.receive(one, lone.vertices(child, request=question.request))
    (question,) = lone.sent(effects, Get)
    assert question.ids == (parent.id,)


def test_peer_that_announces_without_end_is_not_listened_to():
    lone = LoneCore()
    peer = lone.greet()
    for number in range(0, 6_000, 500):
        ids = tuple((number + n).to_bytes(32, "big") for n in range(500))
        lone.receive(peer, IHave(ids))
    assert len(lone.node._dissemination._traces) == 5_000


def test_what_is_admitted_goes_to_branches_at_once_and_to_others_by_name():
    scene = OverlayScene(outbound_min=0, eager_min=1)
    branch, other, source = (scene.join(number) for number in range(3))
    assert scene.node._tree.eager == (branch,)
    signed = scene.say(source)
    effects = scene.receive(source, scene.vertices(signed))
    assert receivers(effects, Push) == [branch]
    assert receivers(scene.tick(100), IHave) == [other]
    scene.receive(other, scene.vertices(signed))
    assert scene.node._tree._branches[other].duplicates == 0


def test_own_vertices_go_to_branches_and_to_everybody_where_there_are_none():
    scene = OverlayScene(outbound_min=0, eager_min=2)
    branch, other = scene.join(0), scene.join(1)
    scene.node._tree.on_prune(scene.now_ms, other)
    scene.receive(branch, scene.vertices(request=1))
    scene.receive(other, scene.vertices(request=2))
    scene.tick(1_000)
    assert receivers(scene.publish(), Push) == [branch]
    bare = OverlayScene(outbound_min=0, eager_min=1)
    peer = bare.come(0)
    bare.receive(peer, bare.vertices(request=1))
    bare.tick(1_000)
    assert receivers(bare.publish(), Push) == [peer]


def test_what_comes_twice_over_the_tree_counts_against_the_second():
    scene = OverlayScene(outbound_min=0)
    one, two, author = (scene.join(number) for number in range(3))
    signed = scene.say(author)
    scene.receive(one, scene.vertices(signed))
    scene.receive(two, scene.vertices(signed))
    branches = scene.node._tree._branches
    assert (branches[one].duplicates, branches[two].duplicates) == (0, 1)
    scene.tick(1_001)
    scene.receive(two, scene.vertices(signed))
    assert branches[two].duplicates == 1


def test_what_had_to_be_pulled_counts_for_whom_it_came_from_and_against_nobody():
    scene = OverlayScene(outbound_min=0)
    one, two, author = (scene.join(number) for number in range(3))
    signed = scene.say(author)
    scene.receive(one, IHave((signed.id,)))
    scene.receive(two, IHave((signed.id,)))
    (question,) = scene.sent(scene.tick(180), Get)
    scene.receive(one, scene.vertices(signed, request=question.request))
    branches = scene.node._tree._branches
    assert (branches[one].pulls, branches[two].pulls) == (1, 0)
    scene.tick(50)
    scene.receive(two, scene.vertices(signed))
    assert branches[two].duplicates == 0


def test_peers_may_change_links():
    scene = OverlayScene(outbound_min=0, eager_min=1)
    first, second = scene.join(0), scene.join(1)
    scene.receive(second, Graft())
    assert list(scene.node._tree.eager) == [first, second]
    scene.receive(first, Prune())
    assert list(scene.node._tree.eager) == [second]


def test_graft_of_a_pruned_link_is_charged_unless_it_was_pulled_over():
    scene = OverlayScene(outbound_min=0, eager_min=1)
    peer, other = scene.join(0), scene.join(1)
    said = [scene.say(name) for name in (peer, other)]
    scene.receive(peer, scene.vertices(*said))
    scene.receive(peer, Prune())
    scene.tick(CROSSING_MS)
    (charge,) = [one for one in scene.receive(peer, Graft()) if isinstance(one, Penalise)]
    assert (charge.offence, charge.ban_ms) == (Offence.FLOOD, 0)
    scene.receive(peer, Get(1, tuple(signed.id for signed in said)))
    assert not [one for one in scene.receive(peer, Graft()) if isinstance(one, Penalise)]
    assert scene.node._tree.is_branch(peer)


def test_vertices_of_authors_that_forked_are_announced_only():
    scene = OverlayScene(outbound_min=0, eager_min=1)
    branch, other, source = (scene.join(number) for number in range(3))
    scene.node._intake.mark_forked(Fork(scene.persons[source].author, 0, 0, REF, REF))
    signed = scene.say(source)
    effects = scene.receive(other, scene.vertices(signed))
    assert receivers(effects, Push) == []
    assert receivers(scene.tick(100), IHave) == [branch, source]


def test_vertices_of_authors_that_forked_show_nothing_of_the_tree():
    scene = OverlayScene(outbound_min=0)
    one, two, author = (scene.join(number) for number in range(3))
    scene.node._intake.mark_forked(Fork(scene.persons[author].author, 0, 0, REF, REF))
    signed = scene.say(author)
    scene.receive(one, IHave((signed.id,)))
    (question,) = scene.sent(scene.tick(180), Get)
    scene.receive(one, scene.vertices(signed, request=question.request))
    scene.receive(two, scene.vertices(signed))
    branches = scene.node._tree._branches
    assert (branches[one].pulls, branches[two].duplicates) == (0, 0)


def make_cut_net() -> CoreNet:
    """Four validators, of whom two cannot reach each other."""
    net = CoreNet(4, validates=True)
    net.cut(net.hosts[:1], net.hosts[1:2])
    net.start()
    net.run(5_000)
    return net


def test_validators_that_cannot_reach_each_other_get_their_blocks_by_whom_they_asked():
    net = make_cut_net()
    rounds = net.hosts[0].core.view().consensus.round
    questions = sum(host.sent.get("Get", 0) for host in net.hosts)
    for number in range(40):
        net.hosts[number % 4].publish(b"%d" % number, kind=Kind.NOTE)
        net.run(100)
    assert net.hosts[0].core.view().consensus.round - rounds >= 70
    assert sum(host.sent.get("Get", 0) for host in net.hosts) - questions <= 10
    net.run(5_000)
    assert net.converged


def test_who_catches_up_is_not_taken_for_somebody_out_of_reach():
    net = make_cut_net()
    dissemination = net.hosts[2].core._dissemination
    index = net.hosts[2].core._intake.index
    block = index.get_last(net.hosts[0].person.author, LANE_BLOCKS)
    assert block is not None
    own = index.get_last(net.hosts[2].person.author, LANE_BLOCKS)
    assert own is not None
    peer = net.hosts[3].name
    for now_ms, entry in ((net.now_ms + FRESH_MS, block), (net.now_ms, own)):
        dissemination.on_block_asked(now_ms, peer, entry.author, entry.ref.id)
        assert peer not in dissemination._relays.list_receivers(now_ms, entry.author)
