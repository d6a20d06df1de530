"""Nothing here can carry an API key from one party to another.

No record that leaves a node has a field for one. Every text in such a record is listed below with
what keeps keys out of it, so a new text field fails these tests until somebody has thought of it.
"""

from __future__ import annotations

import importlib
import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.attestation import holds_key, looks_like_credential
from market.commands import Attest, Command, Dispute, Transfer, VerdictMotion
from market.errors import Code, Refused
from market.free_text import check_texts
from meshnode.errors import CommandRejected, MarketRefused
from meshnode.node import open_node
from meshnode.public_text import check_public_text
from meshnode.secret import Secret
from meshnode.serving.results import Reasoning, encode_result
from meshnode.transport.memory import MemoryNetwork
from tests.support.market_scene import LISTING, MarketScene, get_account
from tests.support.source_tree import ROOT

REFUSED = "every node refuses it, and the own node before anybody hears it"
UNSAID = "the own node does not say it"
DIGEST = "an answer with a key in it becomes its digest for all but who asked"
REDACTED = "keys are masked where it is made"
FIXED = "a word of this program"
NAMED = "how an engine names a model or itself"
ADDRESSED = "an address, which a transport makes"

REVIEWED = {
    "dag.bodies.Invitation.role": FIXED,
    "dag.bodies.Profile.name": UNSAID,
    "dag.bodies.Profile.addresses": ADDRESSED,
    "dag.bodies.Result.model": NAMED,
    "dag.bodies.Result.model_revision": NAMED,
    "dag.bodies.Result.engine": NAMED,
    "dag.bodies.Result.answer": DIGEST,
    "dag.bodies.Result.finish_reason": NAMED,
    "dag.bodies.Note.media_type": UNSAID,
    "dag.bodies.Note.title": UNSAID,
    "dag.bodies.BlobResult.model": NAMED,
    "dag.bodies.BlobResult.model_revision": NAMED,
    "dag.bodies.BlobResult.engine": NAMED,
    "dag.bodies.BlobResult.answer": DIGEST,
    "dag.bodies.BlobResult.finish_reason": NAMED,
    "dag.bodies.BlobNote.media_type": UNSAID,
    "dag.bodies.BlobNote.title": UNSAID,
    "dag.bodies.ProposalBody.question": UNSAID,
    "dag.bodies.ProposalBody.options": UNSAID,
    "dag.bodies.BallotBody.reason": UNSAID,
    "dag.bodies.ExpulsionBody.reason": UNSAID,
    "dag.bodies.IdentityRevocation.reason": UNSAID,
    "dag.genesis.Genesis.name": UNSAID,
    "market.commands.Transfer.memo": REFUSED,
    "market.commands.Attest.terms_version": REFUSED,
    "market.commands.Dispute.reason": REFUSED,
    "market.commands.ListMotion.model_variant": REFUSED,
    "market.commands.ListMotion.backend_class": REFUSED,
    "market.commands.VerdictMotion.method": REFUSED,
    "meshnode.core.messages.Hello.agent": FIXED,
    "meshnode.core.messages.Hello.addresses": ADDRESSED,
    "meshnode.core.messages.Goodbye.reason": FIXED,
    "meshnode.core.messages.ModelAdvert.id": NAMED,
    "meshnode.core.messages.ModelAdvert.revision": NAMED,
    "meshnode.core.messages.ModelAdvert.engine": NAMED,
    "meshnode.core.messages.ModelAdvert.label": NAMED,
    "meshnode.core.peer_record.PeerRecord.addresses": ADDRESSED,
    "meshnode.discovery.wire.Page.verdict": FIXED,
    "meshnode.discovery.wire.Probed.host": ADDRESSED,
    "meshnode.discovery.wire.Probed.reason": FIXED,
    "meshnode.serving.protocol.Done.engine": NAMED,
    "meshnode.serving.protocol.Done.model": NAMED,
    "meshnode.serving.protocol.Done.finish_reason": NAMED,
    "meshnode.serving.protocol.Failed.fault": FIXED,
    "meshnode.serving.protocol.Failed.message": REDACTED,
    "meshnode.ticket._Payload.network_name": UNSAID,
    "meshnode.ticket._Payload.peer_text": ADDRESSED,
    "meshnode.ticket._Payload.addresses": ADDRESSED,
}
"""Every text that leaves a node beside questions and answers, which are what two parties say to
each other, and notes' contents, which the own node looks at too."""

WIRE_MODULES = (
    "consensus.block",
    "dag.bodies",
    "dag.evidence",
    "dag.genesis",
    "dag.vertex",
    "market.commands",
    "market.receipts",
    "meshnode.blobs.protocol",
    "meshnode.core.blob_manifest",
    "meshnode.core.messages",
    "meshnode.core.peer_record",
    "meshnode.discovery.wire",
    "meshnode.serving.protocol",
    "meshnode.ticket",
)
"""Where records are defined that others read."""
LOCAL_MODULES = {
    "dag.canonical": "defines the decoder",
    "consensus.checkpoint": "votes: digests only",
    "consensus.decisions": "state, folded from what was said",
    "consensus.ordering": "state",
    "consensus.roll": "state",
    "market.stores": "state",
    "meshnode.blobs.records": "own files",
    "meshnode.core.epoch_order": "state",
    "meshnode.core.pinned": "state",
    "meshnode.core.recovered": "own journal",
    "meshnode.home": "own files",
    "meshnode.invitations": "own files",
    "meshnode.joining": "bytes of vertices",
}
SECRET_WORDS = re.compile(r"api|credential|secret|passw|token(?!s)|bearer|authori[sz]")
PUBLIC = {
    "market.commands.Attest.shares_credentials": "a yes or no, which must be no",
    "dag.bodies.Invitation.bearer_key": "a one-time public key",
    "dag.bodies.InvitationRevocation.bearer_key": "a one-time public key",
    "dag.bodies.SignedInvitation.bearer_proof": "a signature",
    "dag.bodies.Result.first_token_ms": "a time",
    "dag.bodies.BlobResult.first_token_ms": "a time",
    "market.receipts.Receipt.first_token_ms": "a time",
    "meshnode.serving.protocol.Done.first_token_ms": "a time",
    "meshnode.core.messages.Credentials": "signed invitations",
    "meshnode.ticket._Payload.bearer_seed": "lets one newcomer in; a ticket goes by hand",
}
"""Names that sound like secrets and are none."""


def list_records() -> Iterator[tuple[str, type[msgspec.Struct]]]:
    for name in WIRE_MODULES:
        for label, record in vars(importlib.import_module(name)).items():
            if (
                inspect.isclass(record)
                and issubclass(record, msgspec.Struct)
                and record.__module__ == name
            ):
                yield f"{name}.{label}", record


def holds_text(hint: object) -> bool:
    if typing.get_origin(hint) is typing.Annotated:
        return holds_text(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (tuple, list, typing.Union, types.UnionType):
        return any(holds_text(part) for part in typing.get_args(hint))
    return hint is str


def list_fields() -> Iterator[tuple[str, object]]:
    for label, record in list_records():
        hints = typing.get_type_hints(record, include_extras=True)
        for field in record.__struct_fields__:
            yield f"{label}.{field}", hints[field]


def test_every_text_that_leaves_a_node_was_thought_of():
    texts = {field for field, hint in list_fields() if holds_text(hint)}
    assert texts == set(REVIEWED)


def test_every_record_that_is_decoded_is_looked_at_here():
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in ("dag", "consensus", "market", "meshnode")
        for path in (ROOT / package).rglob("*.py")
        if "CanonicalDecoder(" in path.read_text(encoding="utf-8")
    }
    assert found - set(WIRE_MODULES) == set(LOCAL_MODULES)


def test_no_field_is_meant_for_a_credential():
    named = {field for field, _ in list_fields() if SECRET_WORDS.search(field.lower())}
    assert {field for field in named if not any(known in field for known in PUBLIC)} == set()


# --- keys ------------------------------------------------------------------------------------------

alphabet = st.text(
    "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789", min_size=16, max_size=40
)
keys = st.one_of(
    alphabet.map(lambda text: f"sk-proj-7{text}"),
    alphabet.map(lambda text: f"hf_7{text}"),
    alphabet.map(lambda text: f"ghp_7{text}"),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=16, max_size=16).map("AKIA{}".format),
    alphabet.map(lambda text: f"eyJ{text}.{text}"),
    alphabet.map(lambda text: f"-----BEGIN PRIVATE KEY-----\n{text}"),
)
around = st.sampled_from(("{}", "use {} for it", "see: {}", "\n{}\n", "({})"))
texts_with_keys = st.builds(lambda frame, key: frame.format(key), around, keys)


def make_commands(text: str) -> list[Command]:
    """Every command that has room for a text, with this text in it."""
    some = bytes(32)
    attest = Attest(some, "own_weights", some, "1", some, 1, True, False)
    verdict = VerdictMotion(some, 0, 0, 0, "token replay", some, False)
    return [
        Transfer(get_account(1), 1, text),
        msgspec.structs.replace(attest, terms_version=text),
        Dispute(some, text, some),
        msgspec.structs.replace(LISTING, model_variant=text),
        msgspec.structs.replace(LISTING, backend_class=text),
        msgspec.structs.replace(verdict, method=text),
    ]


def test_commands_with_room_for_a_text_are_all_tried():
    tried = {type(command).__name__ for command in make_commands("x")}
    listed = {field.split(".")[2] for field in REVIEWED if field.startswith("market.commands.")}
    assert tried == listed


@given(texts_with_keys)
def test_no_command_is_said_with_a_key_in_it(text):
    for command in make_commands(text):
        with pytest.raises(Refused) as caught:
            check_texts([command])
        assert caught.value.reason is Code.CREDENTIAL
        assert text.strip() not in f"{caught.value} {caught.value.hint}"


@given(texts_with_keys)
def test_key_said_all_the_same_has_no_effect(text):
    """A peer that says it without looking reaches nothing: every node refuses it."""
    scene = MarketScene()
    model = scene.list_model()
    account, before = get_account(0), scene.state.ledger.get(get_account(0))
    for command in make_commands(text):
        said = (
            msgspec.structs.replace(command, model=model)
            if isinstance(command, Attest)
            else command
        )
        (event,) = scene.say(0, said)
        assert (event.kind, event.account, event.detail) == ("refused", account, Code.CREDENTIAL)
    assert scene.state.ledger.get(account) == before


@given(texts_with_keys)
def test_node_says_no_key_for_everybody(text):
    assert holds_key(text)
    assert looks_like_credential(text)
    with pytest.raises(CommandRejected):
        check_public_text("the note", "a title", text)


def make_reasoning(content: str) -> Reasoning:
    return Reasoning(
        body=b"{}",
        requester=bytes(32),
        model="m",
        model_revision="",
        engine="echo",
        content=content,
        finish_reason="stop",
        prompt_tokens=1,
        completion_tokens=1,
        queued_ms=0,
        first_token_ms=0,
        total_ms=0,
    )


@given(texts_with_keys)
def test_answer_with_a_key_in_it_is_for_who_asked_alone(text):
    body, share = encode_result(make_reasoning(f"The key is {text}."), "full")
    assert share == "digest"
    assert text.encode() not in body
    assert encode_result(make_reasoning("Paris."), "full")[1] == "full"


def test_secret_has_no_form_that_could_travel():
    secret = Secret("sk-proj-abcdefghij0123456789")
    for encode in (msgspec.msgpack.encode, msgspec.json.encode):
        with pytest.raises(TypeError):
            encode(secret)
    with pytest.raises(TypeError):
        secret.__reduce_ex__(2)
    assert "abcdefghij" not in f"{secret} {secret!r}"


async def test_running_node_says_no_key(tmp_path):
    key = "sk-proj-abcdefghij0123456789"
    options: dict[str, Any] = {"transport": MemoryNetwork(), "suite": "ed25519", "engine": "none"}
    async with open_node(home=tmp_path / "home", **options) as node:
        for saying in (
            node.publish(f"use {key}"),
            node.publish("x", title=key),
            node.propose(key),
            node.propose("Which?", options=("yes", key)),
            node.expel(node.author, reason=key),
        ):
            with pytest.raises(CommandRejected) as caught:
                await saying
            assert key not in f"{caught.value} {caught.value.hint}"
        question = await node.propose("Tea?")
        with pytest.raises(CommandRejected):
            await node.vote(question.id, "yes", reason=key)
        said = [*await node.vertices(kind="note"), *await node.vertices(kind="decision")]
        assert [vertex.id for vertex in said] == [question.id]
    with pytest.raises(CommandRejected, match="name looks like"):
        async with open_node(home=tmp_path / "other", name=key, **options):
            pass


async def test_running_node_says_no_command_with_a_key():
    key = "sk-proj-abcdefghij0123456789"
    options: dict[str, Any] = {"transport": MemoryNetwork(), "suite": "ed25519", "engine": "none"}
    async with open_node(**options) as node:
        for command in make_commands(f"see {key}"):
            with pytest.raises(MarketRefused) as caught:
                await node.market_submit([command], wait_ms=0)
            assert caught.value.reason == Code.CREDENTIAL
            assert key not in f"{caught.value} {caught.value.hint}"
        assert await node.vertices(kind="market") == []
