"""Records for tests of what people are shown."""

from __future__ import annotations

import hashlib

from meshnode.decision_views import BallotInfo, DecisionInfo, OptionInfo
from meshnode.member_views import InvitationInfo, MemberInfo
from meshnode.views import (
    Answer,
    ConsensusInfo,
    EngineView,
    Finality,
    ModelView,
    NodeStatus,
    PeerInfo,
    RefView,
    Usage,
    ValidatorInfo,
    VertexInfo,
)


def make_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_vertex(name: str, author: str, seq: int, *parents: VertexInfo, **changes) -> VertexInfo:
    fields = {
        "id": make_id(name),
        "author": make_id(author),
        "author_name": author,
        "kind": "profile" if seq == 0 else "result",
        "lane": 0,
        "seq": seq,
        "lamport": 1 + max((parent.lamport for parent in parents), default=0),
        "time_ms": 1_700_000_000_000 + seq,
        "size_bytes": 5_000,
        "parents": tuple(RefView(lamport=parent.lamport, id=parent.id) for parent in parents),
        "summary": f"summary of {name}",
    }
    return VertexInfo(**{**fields, **changes})


def make_small_dag() -> list[VertexInfo]:
    """Three authors: a founder, two it let in, and three results."""
    alice = make_vertex("a0", "alice", 0)
    bob = make_vertex("b0", "bob", 0, alice)
    carol = make_vertex("c0", "carol", 0, alice)
    first = make_vertex("a1", "alice", 1, alice, bob, carol)
    second = make_vertex("b1", "bob", 1, bob, first)
    note = make_vertex("c1", "carol", 1, carol, second, kind="note")
    return [alice, bob, carol, first, second, note]


def make_consensus(**changes) -> ConsensusInfo:
    validators = tuple(
        ValidatorInfo(author=make_id(name), name=name, stake=1, last_round=last, silent=not last)
        for name, last in (("alice", 14), ("bob", 0))
    )
    fields = {
        "epoch": 0,
        "round": 14,
        "lag": 2,
        "commit_index": 12,
        "commit_digest": make_id("commit"),
        "commit_time_ms": 1_700_000_000_000,
        "waiting": 1,
        "standing": "active",
        "quorum": 2,
        "profile": "bft3",
        "validators": validators,
    }
    return ConsensusInfo(**{**fields, **changes})


def make_decision(**changes) -> DecisionInfo:
    fields = {
        "id": make_id("decision"),
        "proposer": make_id("alice"),
        "proposer_name": "alice",
        "question": "Tea?",
        "options": (OptionInfo(text="yes", weight=1), OptionInfo(text="no", weight=0)),
        "electorate": "members",
        "total": 3,
        "threshold": "1/2",
        "deadline_ms": 1_700_000_000_000,
        "status": "open",
        "opened_at": 4,
        "ballots": (
            BallotInfo(
                author=make_id("bob"),
                author_name="bob",
                option="yes",
                reason="it is five o'clock",
                vertex=make_id("ballot"),
            ),
        ),
    }
    return DecisionInfo(**{**fields, **changes})


def make_member(name: str = "bob", **changes) -> MemberInfo:
    fields = {
        "author": make_id(name),
        "name": name,
        "standing": "member",
        "since": 3,
        "connected": True,
        "inviter": make_id("alice"),
        "inviter_name": "alice",
    }
    return MemberInfo(**{**fields, **changes})


def make_invitation(**changes) -> InvitationInfo:
    fields = {"key": "ab" * 32, "role": "peer", "uses": 3, "used_by": (make_id("bob"),)}
    return InvitationInfo(**{**fields, **changes})


def make_status(**changes) -> NodeStatus:
    fields = {
        "version": "0.1.0",
        "name": "alice",
        "author": make_id("alice"),
        "peer_id": "12D3KooW",
        "network": make_id("network"),
        "network_name": "kitchen",
        "network_kind": "mesh",
        "suite": "hybrid",
        "share": "full",
        "addresses": ("/ip4/192.168.0.7/tcp/4001",),
        "uptime_ms": 182_000,
        "pid": 4_711,
        "members": 2,
        "peers_ready": 1,
        "vertices": 12,
        "heads": 2,
        "heads_digest": make_id("heads"),
        "lamport": 9,
        "quarantined": 0,
        "publishing": "ready",
        "engine": EngineView(
            name="embedded",
            shareable=True,
            slots=1,
            running=0,
            queued=0,
            models=(
                ModelView(id="smollm2-135m-instruct", engine="embedded", label="SmolLM2-135M"),
            ),
        ),
        "home": "/home/alice/.local/share/meshnode",
        "key_mode": "encrypted",
        "api": "127.0.0.1:7077",
    }
    return NodeStatus(**{**fields, **changes})


def make_peer(name: str = "bob", **changes) -> PeerInfo:
    fields = {
        "author": make_id(name),
        "name": name,
        "peer": "12D3KooWbob",
        "ready": True,
        "addresses": ("/ip4/192.168.0.8/tcp/4001",),
        "rtt_ms": 3,
        "models": (ModelView(id="echo", engine="echo"),),
        "slots": 4,
        "running": 1,
        "queued": 0,
    }
    return PeerInfo(**{**fields, **changes})


def make_answer(**changes) -> Answer:
    fields = {
        "text": "Paris.",
        "model": "echo",
        "engine": "echo",
        "author": make_id("bob"),
        "peer": "12D3KooWbob",
        "name": "bob",
        "local": False,
        "share": "full",
        "vertex": make_id("answer"),
        "lamport": 4,
        "verified": True,
        "finish_reason": "stop",
        "usage": Usage(prompt_tokens=3, completion_tokens=2),
        "queued_ms": 0,
        "first_token_ms": 12,
        "total_ms": 345,
    }
    return Answer(**{**fields, **changes})


def make_finality(**changes) -> Finality:
    fields = {
        "vertex": make_id("a1"),
        "final": True,
        "commit_index": 42,
        "commit_digest": make_id("commit"),
        "time_ms": 1_700_000_000_500,
    }
    return Finality(**{**fields, **changes})
