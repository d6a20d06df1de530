"""Certified checkpoints: kept, told, begun from; history behind them is forgotten where asked."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest

from consensus.checkpoint import decode_header, verify_chain
from consensus.committee import make_first_committee
from consensus.vote_aggregator import CommitCertificate
from dag.errors import Offence
from dag.genesis import compute_network_id
from dag.index import NOWHERE
from dag.vertex import decode_signed
from meshnode.core.effects import Persist, RunJob, StoreSnapshot
from meshnode.core.history import History
from meshnode.core.inputs import Loaded
from meshnode.core.messages import GetSnapshot, Snapshot, encode_message
from meshnode.core.outbox import Outbox
from meshnode.core.recovered import (
    PRUNED_KEY,
    decode_chain,
    decode_pruned,
    read_checkpoint,
    read_header,
)
from meshnode.core.replica import CertifiedCheckpoint
from tests.meshnode.core.test_epochs import assert_one_order, list_order, make_net
from tests.support.core_net import CoreNet

ROUNDS = 60


def count_digests(net: CoreNet) -> int:
    return len({host.core.summarise().heads_digest for host in net.hosts})


@pytest.fixture(scope="module")
def long_net() -> CoreNet:
    """A mesh of four, one of which prunes, far enough for a floor to rise twice."""
    net = make_net(4, 4, checkpoint_commits=20, gc_commits=20)
    pruner = net.hosts[3]
    pruner.crash()
    pruner.settings = replace(pruner.settings, prunes=True)
    pruner.start()
    for number in range(ROUNDS):
        net.hosts[number % 3].publish(b"%d" % number)
        net.run(400)
    net.run(5_000)
    return net


def test_checkpoints_are_kept_with_what_proves_them(long_net):
    genesis = long_net.hosts[0].settings.genesis
    network = compute_network_id(genesis)
    for host in long_net.hosts:
        assert len(host.snapshots) == 2
        for snapshot in host.snapshots:
            chain = [
                (decode_header(item.header), [decode_signed(wire) for wire in item.blocks])
                for item in decode_chain(snapshot.chain)
            ]
            verify_chain(network, make_first_committee(genesis), chain)
    newest = {host.snapshots[-1].index for host in long_net.hosts}
    assert len(newest) == 1


def test_floor_rises_and_who_prunes_forgets_what_lies_below(long_net):
    archive, pruner = long_net.hosts[0], long_net.hosts[3]
    assert read_header(archive.snapshots[-1]).floor.lowest > 0
    assert len(pruner.journal) < len(archive.journal)
    assert PRUNED_KEY in pruner.values
    assert PRUNED_KEY not in archive.values
    shown = pruner.core.view().consensus
    assert shown.certified_commit == pruner.snapshots[-1].index
    assert shown.pruned == decode_pruned(pruner.values[PRUNED_KEY])
    assert archive.core.view().consensus.pruned == NOWHERE
    assert count_digests(long_net) == 1


def test_a_restart_goes_on_from_the_snapshot(long_net):
    for host in (long_net.hosts[3], long_net.hosts[0]):
        before = list_order(host)
        host.crash()
        host.start()
        long_net.run(3_000)
        host.publish(b"again")
        long_net.run(5_000)
        pruned = decode_pruned(host.values.get(PRUNED_KEY, b""))
        assert host.core.view().consensus.pruned == pruned
        assert list_order(host)[: len(before)] == before
        assert len(list_order(host)) > len(before)
    assert_one_order(long_net)
    assert count_digests(long_net) == 1


def test_stores_pruned_and_not_become_quiet(long_net):
    long_net.run(5_000)
    before = [host.sent.get("Heads", 0) for host in long_net.hosts]
    long_net.run(60_000)
    assert [host.sent.get("Heads", 0) for host in long_net.hosts] == before


def test_who_was_away_for_a_while_gets_the_rest_from_a_peer_that_prunes(long_net):
    away, *others = long_net.hosts[:3]
    others[0].crash()
    away.crash()
    for number in range(6):
        others[1].publish(b"away %d" % number)
        long_net.run(500)
    others[0].start()
    away.start()
    long_net.run(30_000)
    assert count_digests(long_net) == 1
    assert_one_order(long_net)
    assert not any(host.penalties for host in long_net.hosts)


def test_a_snapshot_is_served_in_pieces_and_one_nobody_asked_for_is_an_offence(long_net):
    asker, server = long_net.hosts[1:3]
    got: list[Snapshot] = []

    def watch(source, target, message):
        if isinstance(message, Snapshot) and target == asker.name:
            got.append(message)
        return False

    long_net.drop = watch
    index = server.snapshots[-1].index
    for section in (0, 1):
        question = GetSnapshot(7, index, section, 0)
        server.receive(asker.name, encode_message(question))
    server.receive(asker.name, encode_message(GetSnapshot(8, index + 1, 0, 0)))
    long_net.run(1_000)
    sections = (server.snapshots[-1].chain, server.snapshots[-1].parts[0])
    whole = b"".join(piece.data for piece in got if piece.request == 7)
    assert whole == b"".join(sections)
    assert [piece.size_bytes for piece in got if piece.request == 8] == [0]
    assert {effect.offence for effect in asker.penalties} == {Offence.UNASKED}


def list_certified(net: CoreNet) -> list[CertifiedCheckpoint]:
    """The checkpoints that a host has kept, as its replica gave them."""
    certified = []
    for snapshot in net.hosts[0].snapshots:
        checkpoint = read_checkpoint(snapshot)
        blocks = [decode_signed(wire) for wire in decode_chain(snapshot.chain)[-1].blocks]
        refs = tuple(signed.ref for signed in blocks)
        vote = checkpoint.vote
        certificate = CommitCertificate(vote.index, vote.digest, vote.root, refs)
        certified.append(CertifiedCheckpoint(checkpoint, certificate))
    return certified


def test_a_checkpoint_certified_by_what_the_horizon_lets_in_waits_for_the_one_before(long_net):
    first, second = list_certified(long_net)
    replica = Mock(take_certified=Mock(side_effect=[(first,), (second,), ()]))
    outbox, store = Outbox(), Mock()
    history = History(outbox, store, Mock(ready_names=()), replica)
    store.advance_horizon.side_effect = lambda *_: history.follow()
    history.follow()
    for job in (1, 2):
        assert [effect.job for effect in outbox.take() if isinstance(effect, RunJob)] == [job]
        outbox.complete(0, job, Loaded(()))
    assert outbox.take()
    assert history.pruned_commit == second.certificate.index


def test_checkpoints_certified_in_one_step_are_kept_one_after_the_other(long_net):
    certified = list_certified(long_net)
    replica = Mock(take_certified=Mock(return_value=tuple(certified)))
    outbox, store = Outbox(), Mock()
    history = History(outbox, store, Mock(ready_names=("peer",)), replica)
    history.follow()
    history.follow()  # the same ones are not read twice
    for job in (1, 2):
        assert [effect.job for effect in outbox.take() if isinstance(effect, RunJob)] == [job]
        outbox.complete(0, job, Loaded(()))
        assert history.newest is not None
        assert history.newest.index == certified[job - 1].certificate.index
    records = [effect.record for effect in outbox.take() if isinstance(effect, Persist)]
    kept = [record.snapshot.index for record in records if isinstance(record, StoreSnapshot)]
    assert kept == [certified[1].certificate.index]
