"""Each step of a transfer by itself, with peers that are played."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from consensus.checkpoint import (
    SNAPSHOT_VERSION,
    SnapshotHeader,
    compute_root,
    describe_committee,
    encode_header,
    split_state,
)
from consensus.committee import make_first_committee
from dag.canonical import encode
from dag.errors import MalformedMessage, Offence
from dag.intake import Intake
from dag.vertex import SignedVertex
from meshnode.core import state_transfer
from meshnode.core.effects import Effect, Persist, Restart, RunJob, Send, StoreVertex, Verify
from meshnode.core.inputs import Candidate, Checks, Standing, Vertices
from meshnode.core.last_words import LastWord
from meshnode.core.messages import Checkpoint, Get, GetProfiles, GetSnapshot, Snapshot
from meshnode.core.outbox import Outbox
from meshnode.core.pinned import PinnedState
from meshnode.core.recovered import Certified, encode_chain
from meshnode.core.requests import Requests
from meshnode.core.settings import Limits, Timing
from meshnode.core.snapshot_proof import SnapshotProof
from meshnode.core.state_transfer import REST_FIRST_MS, StateTransfer
from meshnode.core.store import Store
from tests.support.dag_builder import DagBuilder
from tests.support.horizons import level

INDEX, FLOOR = 4_000, 50


class Bench:
    """A newcomer; `pinned` is what the state of its peers pins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pinned: bytes | None = None) -> None:
        self.builder = builder = DagBuilder(authors=2).profiles()
        self.guest = builder.join(0)
        note = builder.vertex(self.guest)
        *_, profile = builder.vertices[:3]
        self.profile, self.note = profile, note
        state = PinnedState(
            profiles=(profile.ref,),
            evidence=(),
            last=(LastWord(note.vertex.author, note.vertex.seq, note.ref),),
        )
        self.outbox = Outbox()
        self.intake = Intake(builder.genesis)
        for signed in builder.vertices[:2]:
            self.intake.offer(signed.vertex.time_ms, "", signed)
        self.offences: list[tuple[str, Offence]] = []
        self.head = SimpleNamespace(index=0)
        self.requests = Requests(self.outbox, 2_000, self.offend)
        self.peers = Mock()
        self.transfer = StateTransfer(
            Mock(genesis=builder.genesis, timing=Timing(), limits=Limits()),
            builder.network,
            intake=self.intake,
            outbox=self.outbox,
            requests=self.requests,
            store=Store(self.intake, self.outbox, Mock()),
            peers=self.peers,
            replica=Mock(head=self.head),
            offend=self.offend,
        )
        self.make_proof(encode(state) if pinned is None else pinned)
        self.read = Mock(return_value=self.proof)
        monkeypatch.setattr(state_transfer, "read_proof", self.read)
        self.effects: list[Effect] = []

    def make_proof(self, pinned: bytes, votes: tuple[SignedVertex, ...] = ()) -> None:
        cut = [*split_state("empty", b""), *split_state("pinned", pinned)]
        genesis = self.builder.genesis
        header = SnapshotHeader(
            version=SNAPSHOT_VERSION,
            network=self.builder.network,
            index=INDEX,
            commit_digest=bytes(32),
            time_ms=0,
            epoch=0,
            committee=describe_committee(make_first_committee(genesis)),
            next_committee=None,
            floor=level(FLOOR),
            parts=tuple(part for part, _ in cut),
        )
        chain = encode_chain((Certified(encode_header(header), ()),))
        self.told = Checkpoint(INDEX, compute_root(header), level(FLOOR))
        self.proof = SnapshotProof(chain, header, votes)
        self.part = cut[1][1]

    def offend(self, now_ms: int, peer: str, offence: Offence, detail: str) -> None:
        self.offences.append((peer, offence))

    def take(self, kind: type[Any]) -> Any:
        self.effects = self.outbox.take()
        for effect in self.effects:
            match effect:
                case Send(to=(peer,), message=message) if isinstance(message, kind):
                    return peer, message
                case RunJob(job, work) if isinstance(work, kind):
                    return job, work
        raise AssertionError(f"no {kind.__name__} in {self.effects}")

    def tell(self, *peers: str) -> None:
        for peer in peers:
            self.transfer.on_checkpoint(0, peer, self.told)

    def serve(self, data: bytes, *, now_ms: int = 0) -> str:
        peer, asked = self.take(GetSnapshot)
        piece = Snapshot(asked.request, len(data), 0, data, last=True)
        self.transfer.on_piece(now_ms, peer, piece)
        return str(peer)

    def verdict(self, *verdicts: bool) -> None:
        job, work = self.take(Verify)
        self.outbox.complete(0, job, Checks(verdicts or (True,) * len(work.items)))

    def answer(self, kind: type[Any], *candidates: Candidate) -> str:
        peer, asked = self.take(kind)
        assert self.transfer.is_asked(asked.request)
        self.requests.answer(0, Vertices(asked.request, candidates))
        return str(peer)

    def reach_pins(self, *peers: str) -> None:
        self.tell(*(peers or ("a",)))
        self.serve(b"chain")
        self.verdict()
        self.serve(self.part)

    def candidates(self) -> tuple[Candidate, Candidate]:
        unknown = Candidate(self.note, Standing.UNKNOWN_AUTHOR)
        return Candidate(self.profile, Standing.VERIFIED), unknown


@pytest.fixture
def bench(monkeypatch):
    return Bench(monkeypatch)


def list_stored(effects: list[Effect]) -> list[bytes]:
    records = [effect.record for effect in effects if isinstance(effect, Persist)]
    return [record.id for record in records if isinstance(record, StoreVertex)]


def assert_rests(bench: Bench) -> None:
    assert not bench.transfer.is_running
    assert not bench.transfer.is_over
    assert bench.transfer.next_deadline() == REST_FIRST_MS


def test_all_of_it_is_put_into_the_journal_at_once(bench):
    bench.reach_pins()
    bench.answer(Get, *bench.candidates(), Candidate(bench.builder.vertices[0], Standing.VERIFIED))
    bench.verdict()
    effects = bench.outbox.take()
    assert list_stored(effects) == [bench.profile.id, bench.note.id]
    assert isinstance(effects[-1], Restart)
    assert bench.transfer.is_over
    bench.peers.hang_up_all.assert_called_once()
    bench.tell("b")  # nothing begins any more
    assert not bench.outbox.take()


def test_an_author_that_lags_less_is_told_by_what_was_pruned(bench):
    bench.head.index = INDEX - 1_500
    bench.tell("a")
    assert not bench.transfer.is_running
    bench.transfer.on_pruned(0, bench.head.index + 1_000)
    assert not bench.transfer.is_running
    bench.transfer.on_pruned(0, INDEX)
    assert bench.transfer.is_running


def test_a_chain_that_proves_nothing_is_charged_and_the_next_peer_asked(bench):
    bench.read.side_effect = MalformedMessage("no chain")
    bench.tell("a", "b")
    bench.serve(b"chain")
    bench.serve(b"chain")
    assert bench.offences == [("a", Offence.MALFORMED), ("b", Offence.MALFORMED)]
    assert_rests(bench)


def test_keys_of_validators_that_are_not_known_are_fetched_first(bench):
    bench.make_proof(b"", (bench.note,))
    bench.read.return_value = bench.proof
    bench.tell("a")
    bench.serve(b"chain")
    profile, note = bench.candidates()
    bench.answer(GetProfiles, profile, note)
    bench.verdict(False)
    assert bench.offences == [("a", Offence.BAD_SIGNATURE)]
    assert_rests(bench)


def test_who_does_not_know_its_validators_is_passed_over(bench):
    bench.make_proof(b"", (bench.note,))
    bench.read.return_value = bench.proof
    bench.tell("a")
    bench.serve(b"chain")
    bench.answer(GetProfiles)
    assert_rests(bench)


def test_a_false_part_is_charged(bench):
    bench.tell("a")
    bench.serve(b"chain")
    bench.verdict()
    bench.serve(bench.part[:-1] + b"?")
    assert bench.offences == [("a", Offence.BAD_PROOF)]
    assert_rests(bench)


def test_who_holds_no_part_or_leaves_is_passed_over(bench):
    bench.tell("a", "b")
    bench.serve(b"chain")
    bench.verdict()
    peer, asked = bench.take(GetSnapshot)
    bench.transfer.on_piece(0, peer, Snapshot(asked.request, 0, 0, b"", last=True))
    (other,) = {"a", "b"} - {peer}
    bench.transfer.drop_peer(0, other)
    assert_rests(bench)


def test_a_state_of_another_version_is_not_taken(monkeypatch):
    bench = Bench(monkeypatch, pinned=b"another")
    bench.reach_pins()
    assert_rests(bench)


def test_a_last_word_may_be_missing_and_a_profile_may_not(bench):
    bench.reach_pins("a", "b")
    first = bench.answer(Get, bench.candidates()[1])
    second = bench.answer(Get)
    assert (first, second) in {("a", "b"), ("b", "a")}
    bench.answer(Get, bench.candidates()[0])
    bench.verdict()
    assert bench.transfer.is_over


def test_without_last_words_it_is_still_worth_something(bench):
    bench.reach_pins()
    bench.answer(Get, bench.candidates()[0])
    bench.verdict()
    assert bench.transfer.is_over


def test_where_nobody_has_a_profile_it_is_given_up(bench):
    bench.reach_pins()
    bench.answer(Get)
    assert_rests(bench)


def test_what_was_forged_is_charged_and_fetched_elsewhere(bench):
    bench.reach_pins("a", "b")
    forger = bench.answer(Get, *bench.candidates())
    bench.verdict(False)
    assert bench.offences == [(forger, Offence.BAD_SIGNATURE)]
    assert bench.answer(Get, *bench.candidates()) != forger
    bench.verdict()
    assert bench.transfer.is_over


def test_who_has_caught_up_meanwhile_puts_nothing_into_its_journal(bench):
    bench.reach_pins()
    bench.answer(Get, *bench.candidates())
    bench.head.index = INDEX
    bench.verdict()
    assert_rests(bench)
    bench.transfer.tick(REST_FIRST_MS)
    assert bench.transfer.next_deadline() is None


def test_what_is_stored_already_is_not_asked_for(bench):
    for signed in bench.builder.vertices:
        bench.intake.offer(signed.vertex.time_ms, "", signed)
    bench.reach_pins()
    bench.verdict()
    assert bench.transfer.is_over


def test_what_has_come_meanwhile_is_stored_once(bench):
    bench.reach_pins()
    bench.answer(Get, *bench.candidates())
    for signed in bench.builder.vertices:
        bench.intake.offer(signed.vertex.time_ms, "", signed)
    bench.verdict()
    assert bench.transfer.is_over
    assert list_stored(bench.outbox.take()) == []


def test_a_word_of_an_author_without_a_place_in_the_order_is_left_out(monkeypatch):
    note = Bench(monkeypatch).note
    word = LastWord(note.vertex.author, note.vertex.seq, note.ref)
    bench = Bench(monkeypatch, pinned=encode(PinnedState(last=(word,))))
    bench.reach_pins()
    bench.answer(Get, bench.candidates()[1])
    bench.verdict()
    assert bench.transfer.is_over
    assert list_stored(bench.outbox.take()) == []
