"""Who is kept as a neighbour, who is sent on, and whom a node turns to."""

from __future__ import annotations

import msgspec

from dag.errors import Offence
from meshnode.core.commands import Connect, Leave
from meshnode.core.effects import Dial, Hangup, Send
from meshnode.core.inputs import Completed, Connected, DialEnded
from meshnode.core.messages import (
    Digest,
    Disconnect,
    Graft,
    Heads,
    Neighbour,
    Shuffle,
    ShuffleReply,
)
from meshnode.core.overlay import ANCHORS_KEY, CHECK_AGAIN_MS, DRAWS, PENDING_MS, SETTLED_MS
from tests.support.overlay_scene import MEMBERS, NAMES, OverlayScene


def hangups(effects):
    return [effect.peer for effect in effects if isinstance(effect, Hangup)]


def sent_to(effects, kind):
    return [
        effect.to[0]
        for effect in effects
        if isinstance(effect, Send) and isinstance(effect.message, kind)
    ]


# --- those who come -----------------------------------------------------------------------------


def test_peer_that_wants_to_be_a_neighbour_is_kept_where_there_is_a_place():
    scene = OverlayScene(outbound_min=0, inbound_max=1)
    peer = scene.come(0)
    assert peer not in scene.active
    effects = scene.receive(peer, Neighbour(False))
    assert not scene.active[peer].outbound
    assert sent_to(effects, Graft) == [peer]
    scene.receive(peer, Neighbour(True))
    assert list(scene.active) == [peer]


def test_peer_without_a_place_is_sent_on_to_others_and_hung_up_after_a_moment():
    scene = OverlayScene(outbound_min=0, inbound_max=1)
    kept = scene.join(0)
    peer = scene.come(1)
    effects = scene.receive(peer, Neighbour(False))
    (message,) = scene.sent(effects, Disconnect)
    assert message.peers == (scene.persons[kept].author,)
    assert not hangups(scene.tick(999))
    assert hangups(scene.tick(1)) == [peer]
    assert list(scene.active) == [kept]


def test_refused_peer_that_hangs_up_itself_is_forgotten():
    scene = OverlayScene(outbound_min=0, inbound_max=0)
    peer = scene.join(0)
    scene.disconnect(peer)
    assert not hangups(scene.tick(1_000))


def test_refused_peer_that_was_hung_up_for_another_reason_is_not_hung_up_twice():
    scene = OverlayScene(outbound_min=0, inbound_max=0)
    peer = scene.join(0)
    scene.reject(peer, Offence.MALFORMED, "x")
    assert scene.overlay._refused == {}


def test_peer_that_says_nothing_counts_as_one_that_is_not_urgent():
    scene = OverlayScene(outbound_min=0, inbound_max=1)
    first = scene.come(0)
    scene.tick(1_000)
    assert list(scene.active) == [first]
    second = scene.come(1)
    assert sent_to(scene.tick(1_000), Disconnect) == [second]


def test_peer_that_has_nobody_takes_the_place_of_one_that_has_settled():
    scene = OverlayScene(outbound_min=0, inbound_max=1)
    first = scene.join(0)
    assert scene.join(1, urgent=True) not in scene.active
    scene.tick(SETTLED_MS)
    second = scene.join(2, urgent=True)
    assert list(scene.active) == [second]
    assert first in scene.overlay._refused
    scene.tick(SETTLED_MS)
    third = scene.join(3, urgent=True)
    assert list(scene.active) == [third]


def test_one_neighbour_a_second_goes_for_those_that_have_nobody():
    scene = OverlayScene(outbound_min=0, inbound_max=2)
    scene.join(0)
    scene.join(1)
    scene.tick(SETTLED_MS)
    assert scene.join(2, urgent=True) in scene.active
    assert scene.join(3, urgent=True) not in scene.active


def test_few_neighbours_come_from_one_block_of_addresses():
    scene = OverlayScene(outbound_min=0)
    for number in range(3):
        scene.join(number, f"/ip4/8.8.0.{number}/tcp/1")
    assert len(scene.active) == 2
    scene.join(3, "/ip4/8.9.0.1/tcp/1")
    assert len(scene.active) == 3


def test_few_of_one_block_are_kept_that_were_dialled_at_the_same_time():
    scene = OverlayScene(outbound_min=3)
    dials = [*scene.dials(scene.started), *scene.dials(scene.tick(500))][:3]
    assert len(dials) == 3
    for number, dial in enumerate(dials):
        addresses = (f"/ip4/8.8.0.{number}/tcp/1",)
        effects = scene.accept(msgspec.structs.replace(dial, addresses=addresses))
        assert bool(scene.sent(effects, Disconnect)) == (number == 2)
    assert list(scene.active) == [dial.peer for dial in dials[:2]]


def test_operators_choice_is_kept_whatever_its_block():
    scene = OverlayScene(outbound_min=2)
    dials = [*scene.dials(scene.started), *scene.dials(scene.tick(500))][:2]
    for number, dial in enumerate(dials):
        scene.accept(msgspec.structs.replace(dial, addresses=(f"/ip4/8.8.0.{number}/tcp/1",)))
    asked = next(
        name for name in NAMES if name not in scene.active and name != scene.settings.transport
    )
    (dial,) = scene.dials(scene.submit(Connect(asked, ("/ip4/8.8.0.9/tcp/1",))))
    scene.accept(dial)
    assert asked in scene.active


# --- those who are chosen -----------------------------------------------------------------------


def test_chosen_peers_become_neighbours_and_the_first_is_asked_urgently():
    scene = OverlayScene(outbound_min=2)
    one, two = scene.dials(scene.started) + scene.dials(scene.tick(500))
    (message,) = scene.sent(scene.accept(one), Neighbour)
    assert message.urgent
    (message,) = scene.sent(scene.accept(two), Neighbour)
    assert not message.urgent
    assert [item.outbound for item in scene.active.values()] == [True, True]
    assert not scene.dials(scene.tick(1_000))


def test_failed_dials_are_followed_by_others():
    scene = OverlayScene(outbound_min=1)
    seen: dict[str, None] = {}
    found = scene.dials(scene.started)
    for _ in range(5):
        found = found or scene.dials(scene.tick(500))
        (dial,) = found
        assert dial.peer not in seen
        seen[dial.peer] = None
        found = scene.dials(scene.fail(dial))


def test_peer_that_does_not_prove_itself_is_not_waited_for():
    scene = OverlayScene(outbound_min=1)
    (dial,) = scene.dials(scene.started) or scene.dials(scene.tick(500))
    scene.handle(Connected(scene.now_ms, dial.peer, False, dial.addresses[0]))
    scene.handle(Completed(scene.now_ms, dial.job, DialEnded("")))
    assert scene.overlay._pending
    assert scene.dials(scene.tick(PENDING_MS))


def test_connection_that_ends_in_the_handshake_makes_way_for_another():
    scene = OverlayScene(outbound_min=1)
    (dial,) = scene.dials(scene.started) or scene.dials(scene.tick(500))
    scene.handle(Connected(scene.now_ms, dial.peer, False, dial.addresses[0]))
    scene.disconnect(dial.peer)
    assert scene.dials(scene.tick(500))


def test_lost_neighbour_is_replaced():
    scene = OverlayScene(outbound_min=1)
    (dial,) = scene.dials(scene.started) or scene.dials(scene.tick(500))
    scene.accept(dial)
    scene.disconnect(dial.peer)
    assert scene.active == {}
    assert [one.peer for one in scene.dials(scene.tick(500))] != [dial.peer]


def test_peer_that_has_no_place_is_left_alone_for_a_minute_and_its_advice_taken():
    scene = OverlayScene(outbound_min=1, passive_max=4)
    (dial,) = scene.dials(scene.started) or scene.dials(scene.tick(500))
    scene.accept(dial)
    advised = next(one for one in scene.others if one.author != scene.persons[dial.peer].author)
    effects = scene.receive(dial.peer, Disconnect((advised.author, bytes(32))))
    assert hangups(effects) == [dial.peer]
    scene.disconnect(dial.peer)
    (next_dial,) = scene.dials(scene.tick(500))
    assert next_dial.peer == scene.overlay._membership.find(advised.author)
    assert scene.overlay._membership._contacts[dial.peer].due_ms >= scene.now_ms + 45_000


def test_neighbour_that_had_dialled_is_chosen_where_nobody_else_is_left():
    scene = OverlayScene(outbound_min=1, inbound_max=MEMBERS)
    (dial,) = scene.dials(scene.started) or scene.dials(scene.tick(500))
    scene.fail(dial)
    for number in range(MEMBERS - 1):
        scene.join(number)
    scene.tick(500)
    assert sum(item.outbound for item in scene.active.values()) == 1


def test_nobody_is_chosen_where_all_are_put_off():
    scene = OverlayScene(outbound_min=1)
    found = scene.dials(scene.started)
    for _ in range(40):
        for dial in found:
            scene.fail(dial)
        found = scene.dials(scene.tick(250))
    membership = scene.overlay._membership
    for name in list(membership._contacts):
        membership.put_off(name, scene.now_ms + 100_000)
    for dial in found:
        scene.fail(dial)
    assert not scene.dials(scene.tick(1_000))


def test_chosen_peers_of_the_last_run_are_tried_first():
    scene = OverlayScene(outbound_min=2)
    chosen = scene.dials(scene.started) + scene.dials(scene.tick(500))
    for dial in chosen:
        scene.accept(dial)
    scene.restart()
    found = scene.dials(scene.started) + scene.dials(scene.tick(500))
    assert sorted(dial.peer for dial in found) == sorted(dial.peer for dial in chosen)


def come_back() -> tuple[OverlayScene, list[str]]:
    """A core that starts again, and two it had chosen that are to dial first."""
    scene = OverlayScene(outbound_min=4)
    later = [name for name in sorted(NAMES) if name < scene.settings.transport][:2]
    assert len(later) == 2
    scene.values[ANCHORS_KEY] = msgspec.msgpack.encode(later)
    scene.restart()
    assert len(scene.dials(scene.started)) == 2
    return scene, later


def test_chosen_peer_of_the_last_run_that_dials_in_is_chosen_again():
    scene, later = come_back()
    authors = [scene.overlay._membership.find(one.author) for one in scene.others]
    scene.come(authors.index(later[0]))
    assert scene.active[later[0]].outbound
    assert [dial.peer for dial in scene.dials(scene.tick(500))] == later[1:]


def test_place_of_a_chosen_peer_of_the_last_run_is_kept_for_a_moment():
    scene, later = come_back()
    for peer in later:
        scene.overlay._membership.put_off(peer, scene.now_ms + 100_000)
    assert not scene.dials(scene.tick(500))
    assert len(scene.dials(scene.tick(1_000))) == len(later)


def test_two_that_dial_each_other_are_neighbours_by_choice():
    scene = OverlayScene(outbound_min=1)
    (dial,) = scene.dials(scene.started) or scene.dials(scene.tick(500))
    number = [scene.overlay._membership.find(one.author) for one in scene.others].index(dial.peer)
    scene.come(number)
    assert scene.active[dial.peer].outbound


# --- time ---------------------------------------------------------------------------------------


def test_one_of_the_chosen_is_exchanged_for_a_member_drawn_at_random():
    scene = OverlayScene(outbound_min=2)
    for dial in scene.dials(scene.started) + scene.dials(scene.tick(500)):
        scene.accept(dial)
    before = list(scene.active)
    (dial,) = scene.dials(scene.live(72_000))
    scene.accept(dial)
    assert len(scene.active) == 3
    (gone,) = sent_to(scene.live(SETTLED_MS), Disconnect)
    assert gone in before
    assert list(scene.active) == [*(name for name in before if name != gone), dial.peer]


def test_member_drawn_for_an_exchange_that_does_not_answer_is_followed_by_another():
    scene = OverlayScene(outbound_min=2)
    for dial in scene.dials(scene.started) + scene.dials(scene.tick(500)):
        scene.accept(dial)
    (dial,) = scene.dials(scene.live(72_000))
    assert not scene.dials(scene.fail(dial))
    (other,) = scene.dials(scene.live(CHECK_AGAIN_MS + 1_000))
    assert other.peer != dial.peer
    scene.accept(other)
    assert not scene.dials(scene.live(40_000))


def test_peer_the_operator_asked_for_is_not_exchanged():
    scene = OverlayScene(outbound_min=0)
    name = scene.overlay._membership.find(scene.others[0].author)
    (dial,) = scene.dials(scene.submit(Connect(name, ("/asked",))))
    scene.accept(dial)
    assert not sent_to(scene.live(3 * SETTLED_MS), Disconnect)
    assert name in scene.active


def test_samples_of_members_are_exchanged():
    scene = OverlayScene(outbound_min=0)
    peer, other = scene.join(0), scene.join(1)
    effects = scene.tick(1_500)
    (message,) = scene.sent(effects, Shuffle)
    (partner,) = sent_to(effects, Shuffle)
    assert [scene.overlay._membership.find(author) for author in message.peers] == [
        other if partner == peer else peer
    ]
    far = scene.others[5].author
    scene.receive(partner, ShuffleReply((far, bytes(32), scene.person.author)))
    assert scene.overlay._membership.find(far) in scene.overlay._passive
    assert len(scene.overlay._passive) == 1
    scene.receive(partner, ShuffleReply((scene.others[6].author,)))
    assert len(scene.overlay._passive) == 1


def test_neighbour_that_does_not_answer_is_not_asked_again():
    scene = OverlayScene(outbound_min=0)
    peer = scene.join(0)
    assert sent_to(scene.tick(1_500), Shuffle) == [peer]
    assert not sent_to(scene.live(80_000), Shuffle)


def test_sample_is_answered_with_one_no_larger_and_not_twice_at_once():
    scene = OverlayScene(outbound_min=0)
    peer = scene.join(0)
    for number in range(1, 5):
        scene.join(number)
    authors = tuple(person.author for person in scene.others[5:8])
    (reply,) = scene.sent(scene.receive(peer, Shuffle(authors)), ShuffleReply)
    assert len(reply.peers) == 3
    assert scene.persons[peer].author not in reply.peers
    assert len(scene.overlay._passive) == 3
    assert not scene.sent(scene.receive(peer, Shuffle(authors)), ShuffleReply)
    scene.live(15_000)
    assert scene.sent(scene.receive(peer, Shuffle(())), ShuffleReply)


def test_samples_of_those_who_are_no_neighbours_are_not_heard():
    scene = OverlayScene(outbound_min=0)
    peer = scene.come(0)
    assert not scene.receive(peer, Shuffle((scene.others[3].author,)))
    assert not scene.receive(peer, ShuffleReply((scene.others[3].author,)))
    assert len(scene.overlay._passive) == 0


def test_neighbour_that_twice_does_not_answer_loses_its_place():
    scene = OverlayScene(outbound_min=0)
    peer = scene.join(0)
    scene.overlay.on_withheld(scene.now_ms, peer)
    scene.now_ms += 61_000
    scene.overlay.on_withheld(scene.now_ms, peer)
    assert peer in scene.active
    scene.overlay.on_withheld(scene.now_ms, peer)
    assert peer not in scene.active
    assert peer not in scene.overlay._passive
    scene.overlay.on_withheld(scene.now_ms, peer)


def test_memory_of_who_did_not_answer_is_bounded():
    scene = OverlayScene(outbound_min=0, inbound_max=MEMBERS)
    peer = scene.join(0)
    for number in range(5 * DRAWS):
        scene.overlay._withheld[str(number)] = scene.now_ms
    scene.overlay.on_withheld(scene.now_ms, peer)
    assert len(scene.overlay._withheld) == 2 * DRAWS


def test_peer_that_is_ahead_and_answers_no_heads_loses_its_place():
    scene = OverlayScene(outbound_min=0)
    peer = scene.join(0)
    asked = 0
    for number in range(8):
        effects = scene.receive(peer, Digest(bytes([number]) * 32, 1_000 + number, 1_000))
        effects += scene.tick(2_000)
        asked += len(scene.sent(effects, Heads))
    assert asked >= 3
    assert peer not in scene.active


# --- from one to the other ----------------------------------------------------------------------


def test_node_that_leaves_chooses_nobody():
    scene = OverlayScene(outbound_min=1)
    scene.submit(Leave("bye"))
    for dial in scene.dials(scene.started):
        scene.fail(dial)
    assert not [effect for effect in scene.tick(500) if isinstance(effect, Dial)]


def test_overlay_wakes_when_something_is_due():
    scene = OverlayScene(outbound_min=1, inbound_max=1)
    for dial in scene.dials(scene.started):
        scene.fail(dial)
    assert scene.overlay.next_deadline() <= scene.now_ms + 250
    scene.come(0)
    scene.tick(250)
    assert scene.overlay.next_deadline() <= scene.now_ms + 1_000
    for _ in range(400):
        scene.live(0)
        due_ms = scene.overlay.next_deadline()
        for peer in scene.node.get_ready_peers():
            scene.receive(peer, scene.node.compute_digest())
        scene.tick(max(0, min(due_ms - scene.now_ms, 1_000)))
        assert scene.overlay.next_deadline() > scene.now_ms


def test_those_heard_of_are_tried_as_far_as_there_are_places():
    scene = OverlayScene(outbound_min=1)
    found = scene.dials(scene.started) or scene.dials(scene.tick(500))
    for person in scene.others[:4]:
        scene.overlay._passive.add(scene.overlay._membership.find(person.author))
    for dial in found:
        scene.fail(dial)
    heard = [scene.overlay._membership.find(person.author) for person in scene.others[:4]]
    (dial,) = scene.dials(scene.tick(500))
    assert dial.peer in heard


def test_stranger_can_be_put_off_without_being_known():
    scene = OverlayScene()
    scene.overlay._membership.put_off("nobody", 5)
    assert scene.overlay._membership.get_author("nobody") == b""
    assert scene.overlay._membership.get_addresses("nobody") == ()
    assert not scene.overlay._membership.dial(scene.now_ms, "nobody", lambda _: None)


# --- validators of one committee ----------------------------------------------------------------
