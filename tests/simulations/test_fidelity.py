"""Remembering verdicts changes what a run costs, never what it does."""

from __future__ import annotations

import msgspec
import pytest

from dag.authors import AuthorRegistry
from dag.errors import InvalidMessage, InvalidSignature, WrongNetwork
from dag.vertex import compute_signed_message
from meshnode.core.inputs import Standing, Vertices
from meshnode.core.messages import GET_IDS_MAX, Get, Message, Ping, Push, encode_message
from simulations.fidelity import FIDELITIES, Fidelity, ObjectAdmission, make_admission, verify
from tests.support.dag_builder import DagBuilder

BUILDER = DagBuilder(authors=2).profiles().layer()
SIGNED = BUILDER.vertices[-1]
FOREIGN = DagBuilder(authors=1, name="other").profiles().vertices[0]


def forge() -> bytes:
    """A vertex's bytes with another signature."""
    envelope = msgspec.msgpack.decode(SIGNED.wire)
    return msgspec.msgpack.encode([envelope[0], bytes(64)])


def admit(fidelity: Fidelity, message: Message, stored: bytes = b"") -> object:
    authors = AuthorRegistry(BUILDER.genesis)
    admission = make_admission(
        fidelity, BUILDER.network, "ed25519", authors, lambda item: item == stored
    )
    frame = encode_message(message)
    if isinstance(admission, ObjectAdmission):
        return admission.admit(message, frame)
    return admission.check(frame)


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_every_fidelity_admits_the_same(fidelity: Fidelity):
    for _ in range(3):
        checked = admit(fidelity, Push((SIGNED.wire,)))
        assert isinstance(checked, Vertices)
        assert checked.candidates[0].standing is Standing.VERIFIED
        assert checked.candidates[0].signed.id == SIGNED.id
    checked = admit(fidelity, Push((SIGNED.wire,)), stored=SIGNED.id)
    assert isinstance(checked, Vertices)
    assert checked.candidates[0].standing is Standing.DUPLICATE
    assert admit(fidelity, Ping(4)) == Ping(4)


@pytest.mark.parametrize("fidelity", FIDELITIES)
@pytest.mark.parametrize(
    ("message", "error"),
    [
        (Push((forge(),)), InvalidSignature),
        (Push((FOREIGN.wire,)), WrongNetwork),
        (Push((b"junk",)), InvalidMessage),
        (Get(1, (bytes(32),) * (GET_IDS_MAX + 1)), InvalidMessage),
        (Ping(-1), InvalidMessage),
    ],
)
def test_every_fidelity_refuses_the_same(fidelity: Fidelity, message: Message, error: type):
    for _ in range(2):  # a remembered verdict is the same verdict
        with pytest.raises(error):
            admit(fidelity, message)


def test_objects_are_fully_checked_now_and_then():
    admission = make_admission(
        "objects", BUILDER.network, "ed25519", AuthorRegistry(BUILDER.genesis), lambda _: False
    )
    assert isinstance(admission, ObjectAdmission)
    refused = 0
    for _ in range(128):
        try:
            admission.admit(Ping(1), b"another frame")
        except InvalidMessage:
            refused += 1
    assert refused == 2


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_verdicts_rest_on_every_part(fidelity: Fidelity):
    keys, others = BUILDER.people[1].keys, BUILDER.people[0].keys
    message = compute_signed_message(SIGNED.id)
    for _ in range(2):
        assert verify(fidelity, "ed25519", keys, message, SIGNED.signature)
        assert not verify(fidelity, "ed25519", others, message, SIGNED.signature)
        assert not verify(fidelity, "ed25519", keys, message + b"x", SIGNED.signature)
        assert not verify(fidelity, "ed25519", keys, message, bytes(64))
        assert not verify(fidelity, "hybrid", keys, message, SIGNED.signature)
