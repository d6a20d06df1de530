"""Writes `dag.json`: what another implementation must reproduce, byte by byte.

    python -m tests.vectors.generate

Bytes are in hex. Everything is deterministic but the two ML-DSA halves, which are one valid example
each; they are kept as long as they verify.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from consensus.block import BlockBody, CommitVote, encode_body
from consensus.checkpoint import (
    SNAPSHOT_VERSION,
    Members,
    SnapshotHeader,
    compute_root,
    describe_committee,
    encode_header,
    split_state,
)
from consensus.committee import make_first_committee
from dag.bodies import Invitation
from dag.canonical import encode
from dag.crypto import sign_ed25519, sign_suite, verify_suite
from dag.evidence import make_evidence
from dag.genesis import Suite, encode_genesis
from dag.heads import compute_heads_digest
from dag.identity import derive_public_keys, prove_bearer, sign_invitation
from dag.keys import derive_secret_keys
from dag.order import GENESIS_COMMIT_DIGEST, compute_commit_digest
from dag.types import Horizon, Ref
from dag.vertex import Envelope, SignedVertex, compute_header, compute_signed_message
from tests.support.dag_builder import DagBuilder, make_person, replace_seed

PATH = Path(__file__).with_name("dag.json")
SUITES: tuple[Suite, ...] = ("ed25519", "hybrid")
Json = dict[str, Any]


def show(record: Any) -> Json:
    """A record's fields by name, bytes in hex."""
    return {name: to_json(getattr(record, name)) for name in record.__struct_fields__}


def to_json(value: Any) -> Any:
    """Hex for bytes, lists for tuples, objects for records."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Ref):
        return [value.lamport, value.id.hex()]
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return show(value) if hasattr(value, "__struct_fields__") else value


def describe_keys(number: int) -> Json:
    """Every key that follows from one master seed, and the author in both suites."""
    master = number.to_bytes(32, "big")
    secrets = derive_secret_keys(master)
    return {
        "master": master.hex(),
        "secrets": show(secrets),
        "public": show(derive_public_keys(secrets, "hybrid")),
        "author": {suite: make_person(number, suite).author.hex() for suite in SUITES},
    }


def describe_vertex(signed: SignedVertex) -> Json:
    """A vertex with every intermediate value on the way to its wire form."""
    header = compute_header(signed.vertex)
    return {
        "vertex": show(signed.vertex),
        "unsigned": encode(signed.vertex).hex(),
        "header": encode(header).hex(),
        "parents_digest": header.parents_digest.hex(),
        "body_digest": header.body_digest.hex(),
        "id": signed.id.hex(),
        "signed_message": compute_signed_message(signed.id).hex(),
        "signature": signed.signature.hex(),
        "wire": signed.wire.hex(),
    }


def describe_hybrid(kept: Json) -> Json:
    """One message and one valid hybrid signature of it."""
    person = make_person(0, "hybrid")
    message = b"meshnode test vector"
    signature = bytes.fromhex(kept.get("signature", ""))
    if not verify_suite("hybrid", person.keys, message, signature):
        signature = sign_suite("hybrid", person.secrets, message)
    return {"master_of": 0, "message": message.hex(), "signature": signature.hex()}


def describe_invitation(builder: DagBuilder) -> Json:
    """An invitation, its ticket, and the ticket with the bearer's proof."""
    inviter, joiner = builder.people[0], make_person(9)
    bearer_seed = b"\x42" * 32
    bearer = replace_seed(joiner.secrets, bearer_seed)
    invitation = Invitation(
        network=builder.network,
        inviter=inviter.author,
        bearer_key=derive_public_keys(bearer, "ed25519").ed25519_key,
        role="peer",
        uses=3,
        expires_ms=1_800_000_000_000,
        grant_uruv=5,
    )
    ticket = sign_invitation(inviter.secrets, "ed25519", invitation)
    proved = prove_bearer(bearer_seed, builder.network, joiner.author, ticket)
    return {
        "bearer_seed": bearer_seed.hex(),
        "joiner": joiner.author.hex(),
        "invitation": show(invitation),
        "ticket": encode(ticket).hex(),
        "proved": encode(proved).hex(),
    }


def describe_refused(signed: SignedVertex) -> list[Json]:
    """Signed vertices that no peer may accept, with the code of the error."""
    unsigned = encode(signed.vertex)
    assert unsigned[:2] == b"\x9a\x01"
    longer_integer = unsigned[:1] + b"\xcc\x01" + unsigned[2:]
    extra_element = b"\x9b" + unsigned[1:] + b"\x00"
    version = unsigned[:1] + b"\x02" + unsigned[2:]
    return [
        {"why": why, "error": error, "wire": encode(Envelope(data, signed.signature)).hex()}
        for why, error, data in (
            ("an integer in a longer form", "malformed_message", longer_integer),
            ("an element too many", "malformed_message", extra_element),
            ("cut short", "malformed_message", unsigned[:-1]),
            ("another version", "invalid_vertex", version),
        )
    ]


def describe_order(refs: tuple[Ref, ...]) -> Json:
    """The digests over refs: of heads, and of a commit."""
    leader = bytes(range(32))
    digest = compute_commit_digest(GENESIS_COMMIT_DIGEST, 1, leader, refs, 1_700_000_000_123)
    return {
        "refs": to_json(refs),
        "heads_digest": compute_heads_digest(refs).hex(),
        "commit": {
            "previous_digest": GENESIS_COMMIT_DIGEST.hex(),
            "index": 1,
            "leader": leader.hex(),
            "time_ms": 1_700_000_000_123,
            "digest": digest.hex(),
        },
    }


def describe_checkpoint(builder: DagBuilder) -> Json:
    """A snapshot's header with its root, and the body of a block that votes for it."""
    members = describe_committee(make_first_committee(builder.genesis))
    ((part, piece),) = split_state("order", b"state")
    header = SnapshotHeader(
        version=SNAPSHOT_VERSION,
        network=builder.network,
        index=1_000,
        commit_digest=bytes(range(32)),
        time_ms=1_700_000_000_123,
        epoch=0,
        committee=members,
        next_committee=Members(members.validators[:1], "cft"),
        floor=Horizon(77, 1_234),
        parts=(part,),
    )
    root = compute_root(header)
    votes = (CommitVote(999, bytes(32)), CommitVote(header.index, header.commit_digest, root))
    return {
        "header": show(header),
        "bytes": encode_header(header).hex(),
        "root": root.hex(),
        "piece": piece.hex(),
        "vote_body": encode_body(BlockBody(0, 3_001, 3_000, 4, votes)).hex(),
    }


def build(kept: Json) -> Json:
    """All vectors; `kept` is the file as it stands."""
    builder = DagBuilder(2, name="vectors").profiles().layer()
    builder.block(1, builder.heads, body=b"\x01\x02")
    builder.vertex(0, body=b"twice")
    builder.fork(0)
    twins = builder.vertices[-2:]
    return {
        "about": "wire format 1; hex; deterministic but for ML-DSA signatures",
        "keys": [describe_keys(number) for number in (0, 1)],
        "ed25519": {
            "seed": bytes(32).hex(),
            "message": b"m".hex(),
            "signature": sign_ed25519(bytes(32), b"m").hex(),
        },
        "hybrid": describe_hybrid(kept.get("hybrid", {})),
        "genesis": {
            "genesis": show(builder.genesis),
            "bytes": encode_genesis(builder.genesis).hex(),
            "network": builder.network.hex(),
        },
        "vertices": [describe_vertex(signed) for signed in builder.vertices],
        "refused": describe_refused(builder.vertices[-1]),
        "invitation": describe_invitation(builder),
        "order": describe_order(tuple(builder.heads)),
        "checkpoint": describe_checkpoint(builder),
        "evidence": {
            "vertices": [signed.id.hex() for signed in twins],
            "bytes": encode(make_evidence(twins[0], twins[1])).hex(),
        },
    }


def read() -> Json:
    """The file as it stands; empty before the first run."""
    if not PATH.exists():
        return {}
    vectors: Json = json.loads(PATH.read_text(encoding="utf-8"))
    return vectors


def main() -> None:
    """Write the file."""
    PATH.write_text(json.dumps(build(read()), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
