"""Decisions under commits made by hand: unsigned vertices, because intake comes before."""

from __future__ import annotations

from collections.abc import Sequence

from nacl import bindings as sodium

from consensus.committee import Committee, make_first_committee
from consensus.decisions import Decisions
from consensus.member_records import MemberRecord
from consensus.roll import Roll
from dag.bodies import (
    BallotBody,
    CommitteeChange,
    ExpulsionBody,
    Invitation,
    ProposalBody,
    SeatRequest,
    StakeChange,
)
from dag.canonical import encode
from dag.genesis import Genesis, Validator, compute_network_id
from dag.identity import prove_bearer, sign_invitation
from dag.order import Commit
from dag.types import LANE_SPEECH, WIRE_VERSION, Kind, Ref
from dag.vertex import SignedVertex, Vertex, compute_vertex_id
from tests.support.dag_builder import START_MS, make_genesis, make_person

HOUR_MS = 3_600_000


def author(number: int) -> bytes:
    return make_person(number).author


def stake(number: int, weight: int) -> StakeChange:
    return StakeChange(author(number), weight)


def question(
    *options: str,
    deadline_ms: int = START_MS + HOUR_MS,
    electorate="stake",
    threshold: tuple[int, int] = (1, 2),
) -> ProposalBody:
    return ProposalBody("Which?", options or ("a", "b", "c"), deadline_ms, electorate, *threshold)


def motion(
    change: CommitteeChange,
    *,
    deadline_ms: int = START_MS + HOUR_MS,
    threshold: tuple[int, int] = (2, 3),
) -> ProposalBody:
    """A proposal to change the committee."""
    return ProposalBody("Shall we?", ("yes", "no"), deadline_ms, "stake", *threshold, change)


def expulsion(
    number: int, *, reason: str = "it lies", deadline_ms: int = START_MS + HOUR_MS
) -> ExpulsionBody:
    """A proposal to expel somebody."""
    return ExpulsionBody(author(number), reason, deadline_ms)


class HeardRoll(Roll):
    """Whoever is put out is a member: who came how is not what is decided here."""

    def apply(self, commit: Commit, vertices: Sequence[SignedVertex]) -> None:
        for signed in vertices:
            if signed.vertex.lane == LANE_SPEECH and self.get(signed.vertex.author) is None:
                self._put(MemberRecord(signed.vertex.author, "member", commit.index))
        super().apply(commit, vertices)


class DecisionScene:
    """Founders 0 to n - 1, all validators, and whoever speaks beside them."""

    def __init__(self, founders: int = 4, stakes: Sequence[int] = ()) -> None:
        people = [make_person(number) for number in range(founders)]
        self.genesis: Genesis = make_genesis(people)
        self.network = compute_network_id(self.genesis)
        self.roll = HeardRoll(self.genesis)
        self.decisions = Decisions(self.genesis, self.roll)
        self.committee = make_first_committee(self.genesis)
        if stakes:
            members = [Validator(author(i), weight) for i, weight in enumerate(stakes)]
            self.set_committee(Committee(0, members))
        self.commits: list[tuple[Commit, tuple[SignedVertex, ...]]] = []
        self._seqs: dict[int, int] = {}

    def set_committee(self, committee: Committee) -> None:
        self.committee = committee
        self.roll.set_committee(seat.author for seat in committee.validators)
        self.decisions.set_committee(committee)

    def say(
        self,
        number: int,
        body: object = b"",
        *,
        kind: int = Kind.DECISION,
        lane: int = LANE_SPEECH,
        seq: int | None = None,
    ) -> SignedVertex:
        """The next vertex of an author, or one of a given seq."""
        if seq is None:
            seq = self._seqs.get(number, 0)
            self._seqs[number] = seq + 1
        parents = (Ref(seq, bytes(32)),) if seq else ()
        data = body if isinstance(body, bytes) else encode(body)
        vertex = Vertex(
            WIRE_VERSION,
            self.network,
            author(number),
            lane,
            seq,
            seq + 1,
            kind,
            START_MS,
            parents,
            data,
        )
        return SignedVertex(compute_vertex_id(vertex), vertex, b"", b"")

    def commit(self, *vertices: SignedVertex, at_ms: int = 0) -> None:
        """Put vertices in order, `at_ms` after the start."""
        index = len(self.commits) + 1
        refs = tuple(signed.ref for signed in vertices)
        commit = Commit(index, bytes(32), bytes(32), bytes(32), refs, START_MS + at_ms)
        self.commits.append((commit, vertices))
        self.fold(commit, vertices)

    def fold(self, commit: Commit, vertices: Sequence[SignedVertex]) -> None:
        self.roll.apply(commit, vertices)
        self.decisions.apply(commit, vertices)

    def put(self, number: int, body: ProposalBody | ExpulsionBody, *, at_ms: int = 0) -> bytes:
        """Commit a proposal; answers its id."""
        signed = self.say(number, body)
        self.commit(signed, at_ms=at_ms)
        return signed.id

    def vote(
        self, proposal: bytes, *numbers: int, option: int = 0, reason: str = "", at_ms: int = 0
    ) -> None:
        """Commit one ballot of each author."""
        ballots = [self.say(number, BallotBody(proposal, option, reason)) for number in numbers]
        self.commit(*ballots, at_ms=at_ms)

    def request(
        self,
        number: int,
        inviter: int,
        *,
        role: str = "validator",
        uses: int = 1,
        expires_ms: int = 0,
        bearer: int = 7,
    ) -> SeatRequest:
        """What an author that was invited as a validator asks for."""
        seed, person = bytes([bearer]) * 32, make_person(inviter)
        key = sodium.crypto_sign_seed_keypair(seed)[0]
        invitation = Invitation(self.network, person.author, key, role, uses, expires_ms, 0)
        signed = sign_invitation(person.secrets, "ed25519", invitation)
        proved = prove_bearer(seed, self.network, author(number), signed)
        return SeatRequest(encode(proved), person.keys.ed25519_key, person.keys.mldsa65_key)

    def join(self, number: int, inviter: int, *, at_ms: int = 0, **options) -> bytes:
        """Commit the request of somebody who was invited; answers its id."""
        vertex = self.say(number, self.request(number, inviter, **options))
        self.commit(vertex, at_ms=at_ms)
        return vertex.id

    def status(self, proposal: bytes) -> str:
        record = self.decisions.get(proposal)
        return "" if record is None else record.status
