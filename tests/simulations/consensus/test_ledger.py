"""Every promise of the order is broken by hand, and the ledger says which."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from consensus.decision import Decision, Slot, Status
from simulations.consensus import ledger as ledgers
from simulations.consensus.mesh import ValidatorMesh
from simulations.consensus.vertices import make_block_vertex
from simulations.errors import CheckFailed
from simulations.latency import Constant
from simulations.network import NetworkSettings
from simulations.world import World


def make_mesh() -> ValidatorMesh:
    """Four validators that have ordered something."""
    world = World(1, network=NetworkSettings(latency=Constant(20)))
    mesh = ValidatorMesh(world, 4)
    for at_ms in range(1, 400, 40):
        world.at(at_ms, mesh.submit, 0)
    world.run_for(600)
    return mesh


def forge(mesh: ValidatorMesh, parents, round_: int, previous_round: int):
    """A block of author 0 that the ordering never saw, as it was made and as it is read."""
    one = mesh.validators[0]
    signed = make_block_vertex(
        mesh.committee,
        0,
        [parent.ref for parent in parents],
        round_=round_,
        previous_round=previous_round,
        seq=99,
        time_ms=1,
    )
    own = one.ordering.store.get_round(previous_round)[0]
    block = msgspec.structs.replace(
        own, ref=signed.ref, round=round_, previous_round=previous_round
    )
    return one, signed, block


def test_healthy_validators_break_nothing():
    mesh = make_mesh()
    mesh.ledger.check_end(Random(1))
    assert mesh.ledger.get_height(mesh.validators[0]) == len(mesh.ledger.commits) > 3
    assert not mesh.ledger.twinned
    assert mesh.ledger.is_foreseen(4)
    assert not mesh.ledger.is_foreseen(999)


def test_second_block_of_an_honest_author_is_found():
    mesh = make_mesh()
    store = mesh.validators[0].ordering.store
    forged = forge(mesh, store.get_round(2), 3, 2)
    with pytest.raises(CheckFailed, match="I8 one-block"):
        mesh.ledger.on_accepted(*forged)


def test_invalid_blocks_are_found():
    mesh = make_mesh()
    store = mesh.validators[0].ordering.store
    thin = forge(mesh, store.get_round(2)[:2], 3, 2)
    with pytest.raises(CheckFailed, match="round 3 stands on stake 2"):
        mesh.ledger.on_accepted(*thin)
    double = forge(mesh, [*store.get_round(2), store.get_round(1)[1]], 3, 2)
    with pytest.raises(CheckFailed, match="names an author twice"):
        mesh.ledger.on_accepted(*double)
    below = store.get_round(2)
    level = forge(mesh, [*below[:3], store.get_round(3)[3]], 3, 2)
    with pytest.raises(CheckFailed, match="own round or above"):
        mesh.ledger.on_accepted(*level)


def test_left_out_round_and_block_for_too_few_are_found():
    mesh = make_mesh()
    one = mesh.validators[0]
    top = one.ordering.store.highest_round
    below = one.ordering.store.get_round(top)
    leap = forge(mesh, below, top + 1, top - 1)
    one._making = leap[1]
    with pytest.raises(CheckFailed, match="I10 votes"):
        mesh.ledger.on_accepted(*leap)
    step = forge(mesh, below, top + 1, top)
    mesh.ledger.made.pop((0, top + 1))
    mesh.ledger._signed.clear()
    one._making, one.connected = step[1], 0b0011
    with pytest.raises(CheckFailed, match="B08 reach"):
        mesh.ledger.on_accepted(*step)


def test_full_inbox_is_found(monkeypatch: pytest.MonkeyPatch):
    mesh = make_mesh()
    monkeypatch.setattr(ledgers, "INBOX_MAX", -1)
    signed = next(iter(mesh.validators[0].signed.values()))
    block = mesh.validators[0].ordering.store.get(signed.id)
    assert block is not None
    with pytest.raises(CheckFailed, match="I13 bounded"):
        mesh.ledger.on_accepted(mesh.validators[0], signed, block)


def test_place_that_is_signed_twice_is_found():
    mesh = make_mesh()
    one = mesh.validators[0]
    block = one.ordering.store.get_round(2)[0]
    signed = one.signed[block.id]
    mesh.ledger.made.clear()
    mesh.ledger._signed[0, signed.vertex.seq] = bytes(32)
    with pytest.raises(CheckFailed, match="signed place 1 twice"):
        mesh.ledger.on_accepted(one, signed, block)


def test_slot_that_is_decided_two_ways_is_found():
    mesh = make_mesh()
    mesh.validators[0].is_replaying = True
    mesh.validators[0].life += 1
    with pytest.raises(CheckFailed, match="I1 slot"):
        mesh.ledger.on_decided(mesh.validators[0], Decision(Slot(1, 0), 1, Status.SKIP), None)


def test_anchor_that_is_not_the_first_is_found():
    mesh = make_mesh()
    one = mesh.validators[0]
    store = one.ordering.store
    far = store.get_round(7)[0]
    mesh.ledger.decided.clear()
    mesh.ledger._next_slots.clear()
    mesh.ledger.on_decided(
        one, Decision(Slot(1, 0), 1, Status.COMMIT, store.get_round(1)[1], far), None
    )
    mesh.ledger._next_slots[0, 0] = Slot(5, 0)
    with pytest.raises(CheckFailed, match="was decided past"):
        mesh.ledger.on_decided(
            one, Decision(Slot(5, 0), 1, Status.COMMIT, store.get_round(5)[1]), None
        )


@pytest.fixture
def told():
    """A mesh whose first validator begins to tell its sequence anew."""
    mesh = make_mesh()
    one = mesh.validators[0]
    one.is_replaying = True
    one.life += 1
    commit = mesh.ledger.commits[0]
    block = one.ordering.store.get(commit.leader)
    assert block is not None
    return mesh.ledger, one, Decision(Slot(block.round, 0), block.author, Status.COMMIT, block)


def follow(ledger, one):
    """The decision behind the first."""
    status, block_id = ledger.decided[Slot(2, 0)]
    block = one.ordering.store.get(block_id)
    return Decision(Slot(2, 0), block.author, status, block)


def test_slot_that_is_passed_over_is_found(told):
    ledger, one, decision = told
    ledger.on_decided(one, decision, ledger.commits[0])
    with pytest.raises(CheckFailed, match=r"slot \(1, 0\) is decided, \(2, 0\) due"):
        ledger.on_decided(one, decision, None)


def test_other_horizon_is_found(told):
    ledger, one, decision = told
    ledger._frames[1] = (7, ledger._frames[1][1])
    with pytest.raises(CheckFailed, match="horizon or leaders differ behind commit 1"):
        ledger.on_decided(one, decision, ledger.commits[0])


def test_time_that_falls_is_found(told):
    ledger, one, decision = told
    first, second = ledger.commits[:2]
    ledger.on_decided(one, decision, first)
    ledger.commits[0] = msgspec.structs.replace(first, time_ms=second.time_ms + 1)
    with pytest.raises(CheckFailed, match="time runs backwards at commit 2"):
        ledger.on_decided(one, follow(ledger, one), second)


def test_block_below_the_horizon_is_found(told):
    ledger, one, decision = told
    first, second = ledger.commits[:2]
    ledger.on_decided(one, decision, first)
    ledger._frames[1] = (99, ledger._frames[1][1])
    with pytest.raises(CheckFailed, match="lies below horizon 99"):
        ledger.on_decided(one, follow(ledger, one), second)


def test_sequence_with_a_gap_is_found(told):
    ledger, one, decision = told
    with pytest.raises(CheckFailed, match="commit 2 follows 0"):
        ledger.on_decided(one, decision, ledger.commits[1])


def test_sequence_that_differs_is_found(told):
    ledger, one, decision = told
    other = msgspec.structs.replace(ledger.commits[0], time_ms=1)
    with pytest.raises(CheckFailed, match="commit 1 differs"):
        ledger.on_decided(one, decision, other)


def test_what_is_put_out_twice_is_found(told):
    ledger, one, decision = told
    first, second = ledger.commits[:2]
    ledger.on_decided(one, decision, first)
    ledger.commits[1] = again = msgspec.structs.replace(second, vertices=first.vertices)
    with pytest.raises(CheckFailed, match="is put out twice"):
        ledger.on_decided(one, follow(ledger, one), again)


def test_twins_that_are_both_put_out_are_found(told):
    ledger, one, decision = told
    first, second = ledger.commits[:2]
    ledger.on_decided(one, decision, first)
    blocks = [ref.id for ref in second.vertices if ref.id in ledger._places]
    ledger._places[blocks[0]] = ledger._places[blocks[1]]
    with pytest.raises(CheckFailed, match="two blocks of slot"):
        ledger.on_decided(one, follow(ledger, one), second)
