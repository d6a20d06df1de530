"""The state after a commit, taken apart, put together, and gone on from."""

from __future__ import annotations

import pytest

from consensus.checkpoint import SnapshotHeader, check_part
from dag.errors import MalformedMessage
from dag.identity import trust_stored
from dag.intake import Intake
from meshnode.core.checkpointing import Checkpoint, join_piece, join_pieces
from meshnode.core.outbox import Outbox
from meshnode.core.replica import Replica
from tests.meshnode.core.test_epochs import change, list_order, make_net
from tests.support.core_net import CoreNet, Host
from tests.support.replica_scene import Ledger


def make_long_net(commits: int = 5) -> CoreNet:
    net = make_net(4, 4, checkpoint_commits=commits)
    for number in range(10):
        net.hosts[number % 4].publish(b"%d" % number)
        net.run(250)
    net.run(3_000)
    return net


def certified(host: Host) -> Checkpoint:
    found = host.core._replica.certified
    assert found is not None
    return found.checkpoint


def resume(host: Host, start: Checkpoint) -> tuple[Replica, list[bytes]]:
    """A replica that begins with a state, fed what the host's journal holds in its order."""
    genesis = host.settings.genesis
    intake, outbox = Intake(genesis), Outbox()
    replica = Replica(genesis, start.header.network, intake, outbox, start=start)
    replica.expect(b"", start.header.index)
    told: list[bytes] = []
    for signed in host.journal.values():
        intake.restore(trust_stored(signed))
        told += [commit.digest for commit in replica.restore(signed).commits]
    return replica, told


def test_parts_are_those_of_the_header_and_join_to_the_pieces():
    checkpoint = certified(make_long_net().hosts[1])
    for part, data in zip(checkpoint.header.parts, checkpoint.parts, strict=True):
        check_part(part, data)
    pieces = join_pieces(checkpoint)
    assert sorted(pieces) == ["decisions", "epoch", "market", "order", "pinned", "roll"]
    assert {name: join_piece(checkpoint, name) for name in pieces} == pieces
    assert join_piece(checkpoint, "none") == b""
    assert isinstance(checkpoint.header, SnapshotHeader)


def test_a_replica_begun_from_a_checkpoint_goes_on_as_the_others():
    net = make_long_net()
    host = net.hosts[0]
    start = certified(host)
    replica, told = resume(host, start)
    assert told == list_order(host)[start.header.index :]
    assert told
    assert replica.head == host.core._replica.head
    assert len(replica.backlog) == 0
    assert replica.machines.pinned == host.core._replica.machines.pinned
    assert replica.decisions.root() == host.core.machines.decisions.root()
    assert replica.machines.market.root() == host.core.machines.market.root()


def test_the_checkpoint_that_ends_an_epoch_leads_into_the_next():
    net = make_net(4, 3)
    change(net, 0, 1, 2, h3=1)
    net.run(3_000)
    net.hosts[3].publish(b"beyond the cut")
    net.run(3_000)
    host = net.hosts[2]
    start = certified(host)
    assert start.header.next_committee is not None
    replica, told = resume(host, start)
    assert replica.committee.epoch == 1
    assert len(replica.committee) == 4
    assert told == list_order(host)[start.header.index :]
    assert replica.head == host.core._replica.head
    seats = {seat.author: seat.stake for seat in replica.committee.validators}
    for machines in (replica.machines, host.core.machines):
        assert machines.market._weights == seats


def test_a_state_of_another_version_is_refused():
    host = make_long_net().hosts[0]
    start = certified(host)
    genesis = host.settings.genesis
    with pytest.raises(MalformedMessage, match="no piece 'machine-00'"):
        Replica(
            genesis, start.header.network, Intake(genesis), Outbox(), machines=[Ledger()],
            start=start,
        )  # fmt: skip


def test_registered_machines_are_part_of_the_state():
    net = make_long_net()
    host = net.hosts[0]
    genesis = host.settings.genesis
    ledger = Ledger()
    outbox, intake = Outbox(), Intake(genesis)
    replica = Replica(genesis, certified(host).header.network, intake, outbox, machines=[ledger])
    replica.expect(b"", None)
    for signed in host.journal.values():
        intake.restore(trust_stored(signed))
        replica.restore(signed)
    made = replica._checkpoints[max(replica._checkpoints)]
    again = Ledger()
    Replica(genesis, made.header.network, Intake(genesis), Outbox(), machines=[again], start=made)
    assert again.restored == join_pieces(made)["machine-00"]
    # Its votes name other roots than those of nodes without that machine.
    assert replica.halted
    assert "another state" in replica.halted
