"""Builds signed DAGs for tests: deterministic identities, layers, forks, blocks, joiners.

    builder = DagBuilder(authors=4).profiles().layer().fork(2).layer()
    builder.vertices        # verified vertices, parents before children
    builder.genesis, builder.network, builder.people[0].secrets

Everything follows from the arguments, so two builders with equal calls give equal bytes (with the
suite 'ed25519'; ML-DSA signatures are randomised, ids are not).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from dag.bodies import Invitation, Profile
from dag.canonical import encode
from dag.genesis import Genesis, Parameters, Suite, Validator, compute_network_id
from dag.identity import (
    VerifiedVertex,
    compute_author_id,
    derive_public_keys,
    make_profile,
    prove_bearer,
    sign_invitation,
    sign_vertex,
)
from dag.keys import PublicKeys, SecretKeys, derive_secret_keys
from dag.types import LANE_BLOCKS, LANE_SPEECH, WIRE_VERSION, AuthorId, Kind, NetworkId, Ref
from dag.vertex import Vertex

START_MS = 1_700_000_000_000
STEP_MS = 10


@dataclass(frozen=True, slots=True)
class Person:
    """A test identity."""

    name: str
    author: AuthorId
    secrets: SecretKeys
    keys: PublicKeys

    def profile(self, invitation: bytes = b"", addresses: tuple[str, ...] = ()) -> Profile:
        return make_profile(self.keys, name=self.name, addresses=addresses, invitation=invitation)


@lru_cache(1_024)
def make_person(number: int, suite: Suite = "ed25519") -> Person:
    """The `number`-th test identity of a suite; its name is `peer-<number>`."""
    secrets = derive_secret_keys(number.to_bytes(32, "big"))
    keys = derive_public_keys(secrets, suite)
    author = compute_author_id(keys.ed25519_key, keys.mldsa65_key)
    return Person(f"peer-{number}", author, secrets, keys)


def make_genesis(
    people: Sequence[Person],
    *,
    suite: Suite = "ed25519",
    name: str = "test",
    parameters: Parameters | None = None,
) -> Genesis:
    """A network founded by these people, each a validator of stake 1."""
    return Genesis(
        version=1,
        name=name,
        kind="mesh",
        suite=suite,
        time_ms=START_MS,
        nonce=bytes(16),
        founders=tuple(person.profile() for person in people),
        committee=tuple(Validator(person.author, 1) for person in people),
        parameters=parameters or Parameters(),
    )


class DagBuilder:
    """A DAG under construction; every method that adds vertices returns the builder or a vertex."""

    def __init__(
        self,
        authors: int = 4,
        *,
        suite: Suite = "ed25519",
        name: str = "test",
        parameters: Parameters | None = None,
    ) -> None:
        self.suite: Suite = suite
        self.people = [make_person(number, suite) for number in range(authors)]
        self.genesis = make_genesis(self.people, suite=suite, name=name, parameters=parameters)
        self.network: NetworkId = compute_network_id(self.genesis)
        self.vertices: list[VerifiedVertex] = []
        self._by_id: dict[bytes, VerifiedVertex] = {}
        self._last: dict[tuple[int, int], VerifiedVertex] = {}
        self._speech_heads: dict[bytes, Ref] = {}
        self._heads: dict[bytes, Ref] = {}
        self._steps = 0

    @property
    def heads(self) -> list[Ref]:
        """Vertices without children, ascending."""
        return sorted(self._heads.values())

    @property
    def speech_heads(self) -> list[Ref]:
        """Lane-0 vertices without lane-0 children, ascending."""
        return sorted(self._speech_heads.values())

    def last(self, author: int, lane: int = LANE_SPEECH) -> VerifiedVertex:
        """The newest vertex of an author's chain (the original, if forked)."""
        return self._last[author, lane]

    def profiles(self, authors: Iterable[int] | None = None) -> Self:
        """Add the first vertex of each founder, without parents."""
        for number in self._numbers(authors):
            body = encode(self.people[number].profile())
            self.vertex(number, kind=Kind.PROFILE, body=body, parents=())
        return self

    def layer(self, authors: Iterable[int] | None = None, *, body: bytes = b"note") -> Self:
        """Add one note per author, each over the heads that stood before the layer."""
        heads = self.speech_heads
        for number in self._numbers(authors):
            self.vertex(number, body=body, parents=heads)
        return self

    def vertex(
        self,
        author: int,
        *,
        kind: int = Kind.NOTE,
        body: bytes = b"note",
        parents: Iterable[Ref] | None = None,
        lane: int = LANE_SPEECH,
        time_ms: int | None = None,
    ) -> VerifiedVertex:
        """Add an author's next vertex; parents default to the speech heads, own previous first."""
        previous = self._last.get((author, lane))
        others = self.speech_heads if parents is None else list(parents)
        if lane == LANE_SPEECH:
            others.sort()
        refs = self._choose(previous, others, lane)
        vertex = Vertex(
            version=WIRE_VERSION,
            network=self.network,
            author=self.people[author].author,
            lane=lane,
            seq=previous.vertex.seq + 1 if previous else 0,
            lamport=1 + max((ref.lamport for ref in refs), default=0),
            kind=kind,
            time_ms=START_MS + STEP_MS * self._steps if time_ms is None else time_ms,
            parents=refs,
            body=body,
        )
        self._steps += 1
        signed = self.sign(author, vertex)
        self._last[author, lane] = signed
        return self.add(signed)

    def block(self, author: int, parents: Iterable[Ref], *, body: bytes = b"") -> VerifiedVertex:
        """Add a lane-1 vertex of kind block over any parents, kept in the order given."""
        previous = self._last.get((author, LANE_BLOCKS))
        refs = tuple(ref for ref in parents if previous is None or ref != previous.ref)
        return self.vertex(author, kind=Kind.BLOCK, body=body, parents=refs, lane=LANE_BLOCKS)

    def twin(
        self, of: VerifiedVertex, *, body: bytes = b"twin", time_ms: int = -1
    ) -> VerifiedVertex:
        """Sign another vertex for the slot of `of`; it is not added."""
        time_ms = of.vertex.time_ms + 1 if time_ms < 0 else time_ms
        fields = {name: getattr(of.vertex, name) for name in Vertex.__struct_fields__}
        vertex = Vertex(**{**fields, "body": body, "time_ms": time_ms})
        return self.sign(self.number_of(of.vertex.author), vertex)

    def fork(self, author: int, *, lane: int = LANE_SPEECH, body: bytes = b"twin") -> Self:
        """Add a twin of an author's newest vertex."""
        self.add(self.twin(self.last(author, lane), body=body))
        return self

    def join(self, inviter: int, *, role: str = "peer", profile: bool = True) -> int:
        """Invite a new person and add its profile; returns its number."""
        number = len(self.people)
        person = make_person(number, self.suite)
        self.people.append(person)
        if profile:
            body = encode(person.profile(self.invite(inviter, number, role=role)))
            parents = [self.profile_ref(inviter), self.speech_heads[-1]]
            refs = {ref.id: ref for ref in parents}.values()
            self.vertex(number, kind=Kind.PROFILE, body=body, parents=refs)
        return number

    def invite(
        self, inviter: int, joiner: int, *, role: str = "peer", grant_uruv: int = 0
    ) -> bytes:
        """The encoded invitation of a joiner, with the bearer's proof."""
        bearer_seed = bytes([joiner % 256]) * 32
        invitation = Invitation(
            network=self.network,
            inviter=self.people[inviter].author,
            bearer_key=derive_public_keys(
                replace_seed(self.people[inviter].secrets, bearer_seed), "ed25519"
            ).ed25519_key,
            role=role,
            uses=1,
            expires_ms=0,
            grant_uruv=grant_uruv,
        )
        ticket = sign_invitation(self.people[inviter].secrets, self.suite, invitation)
        return encode(prove_bearer(bearer_seed, self.network, self.people[joiner].author, ticket))

    def profile_ref(self, author: int) -> Ref:
        """How children name an author's first profile."""
        person = self.people[author]
        return next(
            signed.ref
            for signed in self.vertices
            if signed.vertex.author == person.author
            and signed.vertex.seq == 0
            and signed.vertex.lane == LANE_SPEECH
        )

    def number_of(self, author: bytes) -> int:
        """The number of an author."""
        return next(i for i, person in enumerate(self.people) if person.author == author)

    def sign(self, author: int, vertex: Vertex) -> VerifiedVertex:
        """Sign any vertex as an author; it is not added."""
        return sign_vertex(self.people[author].secrets, self.suite, vertex)

    def add(self, signed: VerifiedVertex) -> VerifiedVertex:
        """Take a signed vertex into the DAG."""
        self.vertices.append(signed)
        self._by_id[signed.id] = signed
        for ref in signed.vertex.parents:
            self._heads.pop(ref.id, None)
            if signed.vertex.lane == LANE_SPEECH:
                self._speech_heads.pop(ref.id, None)
        self._heads[signed.id] = signed.ref
        if signed.vertex.lane == LANE_SPEECH:
            self._speech_heads[signed.id] = signed.ref
        return signed

    def _numbers(self, authors: Iterable[int] | None) -> Iterable[int]:
        return range(len(self.people)) if authors is None else authors

    def _choose(
        self, previous: VerifiedVertex | None, others: Sequence[Ref], lane: int
    ) -> tuple[Ref, ...]:
        own = () if previous is None else (previous.ref,)
        rest = [ref for ref in others if ref not in own]
        limit = 8 if lane == LANE_SPEECH else 192
        return (*own, *rest[-(limit - len(own)) :])


def replace_seed(secrets: SecretKeys, ed25519_seed: bytes) -> SecretKeys:
    """The same secrets with another Ed25519 seed."""
    return SecretKeys(
        ed25519_seed=ed25519_seed,
        mldsa65_secret=secrets.mldsa65_secret,
        x25519_seed=secrets.x25519_seed,
        mlkem768_seed=secrets.mlkem768_seed,
        libp2p_seed=secrets.libp2p_seed,
    )
