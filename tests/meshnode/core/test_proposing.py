"""Validators in nodes: one order everywhere, quiet when nothing is said, never two blocks a round."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consensus import floor
from consensus.block import BlockBody, read_body
from dag.genesis import Validator
from dag.types import LANE_BLOCKS, LANE_SPEECH
from dag.vertex import SignedVertex
from meshnode.core.effects import Persist, Send, SignVertex
from meshnode.core.events import Committed
from meshnode.core.messages import Push
from tests.support.block_dag import BlockDag
from tests.support.core_net import CoreNet, Host
from tests.support.dag_builder import make_genesis, make_person
from tests.support.horizons import level
from tests.support.lone_core import LoneCore

SETTLE_MS = 3_000


def make_net(count: int = 4, **options) -> CoreNet:
    net = CoreNet(count, validates=True, **options)
    net.start()
    return net


def list_order(host: Host) -> list[bytes]:
    return [event.commit.digest for event in host.find(Committed)]


def list_blocks(host: Host):
    return [signed for signed in host.journal.values() if signed.vertex.lane == LANE_BLOCKS]


def list_ordered(host: Host) -> list[bytes]:
    return [ref.id for event in host.find(Committed) for ref in event.commit.vertices]


def assert_agreed(net: CoreNet) -> None:
    longest = max((list_order(host) for host in net.hosts), key=len)
    for host in net.hosts:
        order = list_order(host)
        assert order == longest[: len(order)]
        indexes = [event.commit.index for event in host.find(Committed)]
        assert indexes == list(range(1, len(indexes) + 1))
        slots = [(s.vertex.author, read_body(s.vertex.body).round) for s in list_blocks(host)]
        assert len(slots) == len(set(slots))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_everything_said_is_put_in_one_order_and_then_the_mesh_is_quiet(count):
    net = make_net(count)
    net.run(SETTLE_MS)
    net.hosts[0].publish(b"one")
    net.hosts[-1].publish(b"two")
    net.run(SETTLE_MS)
    assert_agreed(net)
    said = [s.id for s in net.hosts[0].journal.values() if s.vertex.lane == LANE_SPEECH]
    assert len(said) == count + 2
    for host in net.hosts:
        assert sorted(set(list_ordered(host)) & set(said)) == sorted(said)
        assert host.core.summarise().unordered == 0
        assert not host.penalties
    held = len(net.hosts[0].journal)
    net.run(60_000)
    assert len(net.hosts[0].journal) == held


def test_a_vertex_is_final_within_a_few_rounds():
    net = make_net()
    net.run(SETTLE_MS)
    net.hosts[1].publish(b"quick")
    before = len(net.hosts[1].find(Committed))
    took_ms = net.run_until(
        lambda: any(
            host.core.summarise().unordered == 0 and len(host.find(Committed)) > before
            for host in net.hosts
        ),
        limit_ms=1_000,
    )
    assert took_ms <= 600


def test_nobody_without_a_seat_or_who_does_not_want_to_makes_blocks():
    net = CoreNet(4)
    net.start()
    net.run(SETTLE_MS)
    assert not any(list_blocks(host) for host in net.hosts)
    assert {host.core.view().consensus.standing for host in net.hosts} == {"follower"}
    genesis = CoreNet(3).genesis
    net = make_net(3, genesis=replace(genesis, committee=genesis.committee[:2]))
    net.run(SETTLE_MS)
    assert {host.core.summarise().unordered for host in net.hosts} == {0}
    assert net.hosts[2].core.view().consensus.standing == "follower"


def test_one_of_four_may_be_gone_two_may_not():
    net = make_net()
    net.run(SETTLE_MS)
    net.hosts[3].crash()
    net.hosts[0].publish(b"three are enough")
    net.run(5_000)
    assert [host.core.summarise().unordered for host in net.hosts[:3]] == [0, 0, 0]
    net.hosts[2].crash()
    net.hosts[0].publish(b"two are not")
    held = len(list_blocks(net.hosts[0]))
    net.run(5_000)
    assert [host.core.summarise().unordered for host in net.hosts[:2]] == [1, 1]
    assert len(list_blocks(net.hosts[0])) <= held + 1
    assert net.hosts[0].core.view().consensus.standing == "no_quorum"
    net.start(net.hosts[2:])
    net.run(20_000)
    assert [host.core.summarise().unordered for host in net.hosts] == [0, 0, 0, 0]
    assert_agreed(net)
    assert {host.core.view().consensus.standing for host in net.hosts} == {"active"}


@pytest.mark.parametrize("effects", [1, 2, 5, 9, 14, 20, 27])
def test_a_crash_at_any_record_makes_no_second_block_and_loses_no_commit(effects):
    net = make_net()
    net.run(SETTLE_MS)
    victim = net.hosts[effects % 4]
    for number in range(10):
        net.hosts[number % 4].publish(b"%d" % number)
    victim.crash_after = victim.persists + effects
    net.run(1_000)
    assert victim.node is None
    victim.start()
    net.run(20_000)
    assert_agreed(net)
    assert len({tuple(list_order(host)) for host in net.hosts}) == 1
    assert victim.core.summarise().unordered == 0


def test_an_old_copy_asks_for_its_own_blocks_before_it_makes_one():
    net = make_net()
    net.run(SETTLE_MS)
    victim = net.hosts[2]
    journal, values = dict(victim.journal), dict(victim.values)
    net.hosts[0].publish(b"later")
    net.run(SETTLE_MS)
    own = [s for s in list_blocks(victim) if s.vertex.author == victim.person.author]
    victim.crash()
    victim.journal, victim.values = journal, values
    victim.events.clear()
    victim.start()
    assert victim.core.view().consensus.standing == "recovering"
    net.run(SETTLE_MS)
    net.hosts[0].publish(b"again")
    net.run(10_000)
    assert victim.core.view().consensus.standing == "active"
    for host in net.hosts:
        mine = [s.id for s in list_blocks(host) if s.vertex.author == victim.person.author]
        assert mine[: len(own)] == [signed.id for signed in own]
        assert len(mine) > len(own)
        assert not host.core.view().forks
    assert list_order(victim)[-1] == list_order(net.hosts[0])[-1]


def test_an_old_copy_of_the_only_validator_hears_what_guests_hold_of_it_first():
    genesis = CoreNet(3).genesis
    net = make_net(3, genesis=replace(genesis, committee=genesis.committee[:1]))
    only = net.hosts[0]
    net.run(SETTLE_MS)
    journal, values = dict(only.journal), dict(only.values)
    net.hosts[1].publish(b"later")
    net.run(SETTLE_MS)
    held = [signed.id for signed in list_blocks(net.hosts[1])]
    only.crash()
    only.journal, only.values = journal, values
    only.events.clear()
    only.start()
    assert only.core.view().consensus.standing == "recovering"
    net.hosts[1].publish(b"again")
    net.run(10_000)
    assert only.core.view().consensus.standing == "active"
    for host in net.hosts:
        assert [signed.id for signed in list_blocks(host)][: len(held)] == held
        assert host.core.summarise().unordered == 0
        assert not host.core.view().forks


# --- one core, message by message ------------------------------------------------------------------


def make_lone(*, answered: bool = True) -> tuple[LoneCore, str]:
    """One of two validators, with the other connected."""
    lone = LoneCore()
    lone.restart(validates=True)
    peer = lone.greet()
    for question in lone.questions if answered else ():
        lone.receive(peer, lone.vertices(request=question))
    return lone, peer


def own_blocks(lone: LoneCore) -> list[SignedVertex]:
    return [signed for signed in lone.journal.values() if signed.vertex.lane == LANE_BLOCKS]


def standing(lone: LoneCore) -> str:
    return lone.node.view().consensus.standing


def test_no_block_is_made_before_the_own_past_is_known():
    lone, peer = make_lone(answered=False)
    lone.tick(10_000)
    assert standing(lone) == "recovering"
    lone.disconnect(peer)
    lone.tick(10_000)
    assert standing(lone) == "recovering"
    assert not own_blocks(lone)


def test_the_first_block_is_durable_before_it_is_sent():
    lone, peer = make_lone()
    assert standing(lone) == "active"
    (block,) = own_blocks(lone)
    assert read_body(block.vertex.body) == BlockBody(0, 1, 0, 0)
    assert lone.node.view().consensus.own_round == 1
    kinds = [
        type(effect).__name__
        for effect in lone.effects
        if (isinstance(effect, Persist) and getattr(effect.record, "id", b"") == block.id)
        or (isinstance(effect, Send) and isinstance(effect.message, Push) and effect.to == (peer,)
            and block.wire in effect.message.vertices)
    ]  # fmt: skip
    assert kinds == ["Persist", "Send"]


def test_without_a_quorum_no_block_is_made():
    lone, peer = make_lone()
    count = len(own_blocks(lone))
    lone.disconnect(peer)
    assert standing(lone) == "no_quorum"
    lone.tick(10_000)
    assert len(own_blocks(lone)) == count


def test_a_second_block_of_the_own_keys_ends_it():
    lone, peer = make_lone()
    assert own_blocks(lone)
    twin = BlockDag(2).block(0, 1, time_ms=1)
    lone.receive(peer, lone.vertices(twin))
    assert standing(lone) == "stopped"
    count = len(own_blocks(lone))
    lone.tick(10_000)
    assert len(own_blocks(lone)) == count


def test_a_block_that_is_being_signed_when_another_of_the_own_keys_comes_is_given_up():
    lone, peer = make_lone(answered=False)
    for question in lone.questions:
        lone.receive(peer, lone.vertices(request=question), finish=False)
    assert any(isinstance(job.work, SignVertex) for job in lone.jobs)
    other = BlockDag(2).block(0, 1, time_ms=1)
    lone.receive(peer, lone.vertices(other), finish=False)
    lone.finish_jobs()
    assert [signed.id for signed in own_blocks(lone)] == [other.id]
    assert standing(lone) == "stopped"


def test_a_fork_in_the_own_speech_ends_it_too():
    lone, peer = make_lone()
    dag = BlockDag(2)
    profile = dag.builder.last(0)
    note = dag.builder.vertex(0, parents=[profile.ref])
    lone.receive(peer, lone.vertices(profile, note, dag.builder.twin(note)))
    assert standing(lone) == "stopped"
    count = len(own_blocks(lone))
    lone.tick(10_000)
    assert len(own_blocks(lone)) == count


def test_nothing_is_built_on_an_own_vertex_that_is_no_block():
    lone, peer = make_lone(answered=False)
    inert = BlockDag(2).block(0, 2, body=b"no block")
    for question in lone.questions:
        lone.receive(peer, lone.vertices(inert, request=question))
    lone.tick(10_000)
    assert [signed.id for signed in own_blocks(lone)] == [inert.id]
    assert standing(lone) == "stopped"
    assert lone.node.view().consensus.inert == 1


def test_blocks_that_count_late_are_told_to_the_pacemaker(monkeypatch: pytest.MonkeyPatch):
    """A block on a broken one counts once the broken one is too old to be looked at."""
    monkeypatch.setattr(floor, "RETAINED_ROUNDS", 2)
    dag = BlockDag(7)
    lone = LoneCore(genesis=dag.builder.genesis)
    lone.restart(validates=True)
    peer = lone.greet()
    others = range(1, 7)
    rows = [dag.row(1, authors=others)]
    for round_ in range(2, 67):
        rows.append(dag.row(round_, rows[-1], authors=others))
    broken = dag.block(6, 2, [rows[0][5], *rows[0][:2]], time_ms=1)
    late = dag.block(6, 62, [broken, *rows[60][:5]], previous_round=2, seq=2)
    lone.receive(peer, lone.vertices(*dag.builder.vertices))
    for row in (*rows[:62], [broken, late]):
        lone.receive(peer, lone.vertices(*row))
    assert lone.node.view().consensus.inert == 2
    for row in rows[62:]:
        lone.receive(peer, lone.vertices(*row))
    pacemaker = lone.node._proposing._pacemaker
    assert pacemaker is not None
    assert late.id in [block.id for block in pacemaker._tips.list_late(66)]


def test_an_order_that_has_halted_gets_no_blocks():
    lone, _ = make_lone()
    lone.node._replica._halted = "two ways"
    assert standing(lone) == "stopped"
    assert lone.node.view().consensus.halted == "two ways"


def make_left_behind(
    monkeypatch: pytest.MonkeyPatch, *, finish: bool = True
) -> tuple[LoneCore, str, BlockDag]:
    """A validator whose first block is still being signed when the floor has passed its round."""
    monkeypatch.setattr(floor, "RETAINED_ROUNDS", 2)
    dag = BlockDag(4)
    lone = LoneCore(genesis=dag.builder.genesis)
    lone.restart(validates=True)
    peer, other = lone.greet(), lone.greet(make_person(2))
    rows = [dag.row(1, authors=range(1, 4))]
    for round_ in range(2, 80):
        rows.append(dag.row(round_, rows[-1], authors=range(1, 4)))
    lone.receive(peer, lone.vertices(*dag.builder.vertices), finish=False)
    for number, row in enumerate(rows):
        lone.receive(peer, lone.vertices(*row), finish=False)
        for question in lone.questions if number == 3 else ():
            for asked in (peer, other):
                lone.receive(asked, lone.vertices(request=question), finish=False)
    assert [isinstance(job.work, SignVertex) for job in lone.jobs].count(True) == 1
    if finish:
        lone.finish_jobs()
    return lone, peer, dag


def read_round(signed: SignedVertex) -> int:
    return read_body(signed.vertex.body).round


def own_chain(lone: LoneCore) -> list[SignedVertex]:
    return [signed for signed in own_blocks(lone) if signed.vertex.author == lone.person.author]


def test_a_block_that_was_signed_too_late_to_count_is_followed_by_the_next(monkeypatch):
    lone, _, _ = make_left_behind(monkeypatch)
    lone.tick(1_000)
    late, block = own_chain(lone)[:2]
    assert read_round(late) < 10
    assert read_round(block) > 70
    assert block.vertex.parents[0] == late.ref
    assert read_body(block.vertex.body).previous_round == read_round(late)
    assert standing(lone) == "active"
    assert lone.node.view().consensus.inert == 0


def test_a_restart_stands_on_the_last_own_block_also_where_it_came_too_late(monkeypatch):
    lone, _, _ = make_left_behind(monkeypatch)
    late = own_chain(lone)[0]
    stored = list(lone.journal.values())
    lone.journal = {signed.id: signed for signed in stored[: stored.index(late) + 1]}
    lone.restart()
    for person in (lone.partner, make_person(2)):
        peer = lone.greet(person)
        lone.receive(peer, lone.vertices(request=lone.questions[-1]))
    assert standing(lone) == "active"
    assert own_chain(lone)[1].vertex.parents[0] == late.ref


def test_the_largest_validator_waits_for_word_of_its_past_from_its_start_on():
    """It may not make a block before others had the time to say what its last one was."""
    people = [make_person(0), make_person(1)]
    stakes = tuple(Validator(person.author, 4 - 3 * n) for n, person in enumerate(people))
    lone = LoneCore(genesis=replace(make_genesis(people), committee=stakes))
    lone.restart(validates=True)
    assert standing(lone) == "recovering"
    lone.tick(lone.settings.pace.recovery_ms - 1)
    assert standing(lone) == "recovering"
    lone.tick(1)
    assert standing(lone) != "recovering"


def test_a_block_that_sank_while_it_was_signed_was_never_made(monkeypatch):
    lone, _, _ = make_left_behind(monkeypatch, finish=False)
    lone.node._store.advance_horizon(lone.now_ms, level(20))
    lone.finish_jobs()
    lone.tick(1_000)
    assert own_chain(lone)
    assert all(read_round(block) > 70 for block in own_chain(lone))
