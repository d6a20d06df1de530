"""Compliance: listed models, attested backends, daily caps, and no credential in any text."""

from __future__ import annotations

import msgspec
import pytest

from market import attestation as module
from market.attestation import (
    DAILY_CAP_MAX,
    DAY_MS,
    Compliance,
    check_listing,
    check_text,
    compute_model_id,
    holds_key,
    looks_like_credential,
)
from market.commands import Attest, ListMotion
from market.errors import Code, Refused
from market.tables import load_table

ALICE = bytes(32)
OPEN = ListMotion("kimi-k2/fp8", "own_weights", 2_500, "open", 0)
CONTRIBUTION = ListMotion("vendor", "own_account", 2_500, "contribution_only", 0)
FORBIDDEN = ListMotion("closed", "own_account", 2_500, "forbidden", 0)
MODEL = compute_model_id(OPEN)
ATTEST = Attest(
    MODEL,
    "own_weights",
    bytes(32),
    "MIT 1.0",
    bytes(32),
    10,
    opted_in=True,
    shares_credentials=False,
)


def make_compliance() -> Compliance:
    compliance = Compliance()
    for motion in (OPEN, CONTRIBUTION, FORBIDDEN):
        compliance.list_model(motion)
    return compliance


def refusal(call, *arguments: object, **named: object) -> Code:
    with pytest.raises(Refused) as caught:
        call(*arguments, **named)
    assert isinstance(caught.value.reason, Code)
    return caught.value.reason


def change(**changes: object) -> Attest:
    return msgspec.structs.replace(ATTEST, **changes)


def test_model_is_named_by_all_that_makes_it_one_but_its_policy():
    ids = {
        compute_model_id(msgspec.structs.replace(OPEN, **changes))
        for changes in ({}, {"model_variant": "x"}, {"backend_class": "x"}, {"in_weight_bp": 1})
    }
    assert len(ids) == 4
    assert compute_model_id(msgspec.structs.replace(OPEN, policy="forbidden", nonce=9)) == MODEL


def test_offer_needs_an_attestation():
    compliance = make_compliance()
    assert refusal(compliance.check_offer, ALICE, MODEL, standing=False) is Code.NOT_ATTESTED
    compliance.attest(ALICE, ATTEST, 1)
    compliance.check_offer(ALICE, MODEL, standing=True)
    compliance.revoke(ALICE, MODEL)
    assert refusal(compliance.check_offer, ALICE, MODEL, standing=False) is Code.NOT_ATTESTED
    assert refusal(compliance.revoke, ALICE, MODEL) is Code.NOT_ATTESTED


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"shares_credentials": True}, Code.SHARES_CREDENTIALS),
        ({"opted_in": False}, Code.NOT_OPTED_IN),
        ({"terms_digest": b""}, Code.OUT_OF_RANGE),
        ({"hardware_digest": b""}, Code.OUT_OF_RANGE),
        ({"daily_cap_lots": 0}, Code.OUT_OF_RANGE),
        ({"daily_cap_lots": DAILY_CAP_MAX + 1}, Code.OUT_OF_RANGE),
        ({"terms_version": "x" * 257}, Code.OUT_OF_RANGE),
        ({"terms_version": "api_key=abc"}, Code.CREDENTIAL),
        ({"model": bytes(32)}, Code.UNKNOWN_MODEL),
        ({"model": compute_model_id(FORBIDDEN)}, Code.MODEL_FORBIDDEN),
        ({"model": compute_model_id(CONTRIBUTION)}, Code.WRONG_BACKEND),
    ],
)
def test_attestation_is_refused_when_it_does_not_hold(changes: dict, code: Code):
    assert refusal(make_compliance().attest, ALICE, change(**changes), 1) is code


def test_contribution_is_single_tasks_for_a_reward():
    compliance, model = make_compliance(), compute_model_id(CONTRIBUTION)
    compliance.attest(ALICE, change(model=model, backend="own_account"), 1)
    compliance.check_offer(ALICE, model, standing=False)
    assert refusal(compliance.check_offer, ALICE, model, standing=True) is Code.MODEL_FORBIDDEN
    assert list(compliance.contributions) == [model]
    again = Compliance(compliance.models, compliance.attestations)
    assert again.contributions == compliance.contributions
    compliance.list_model(msgspec.structs.replace(CONTRIBUTION, policy="open"))
    assert not compliance.contributions


def test_forbidden_model_is_not_traded():
    compliance = make_compliance()
    compliance.check_trade(MODEL)
    assert refusal(compliance.check_trade, compute_model_id(FORBIDDEN)) is Code.MODEL_FORBIDDEN


def test_daily_cap_bounds_what_is_accepted_in_a_day():
    compliance = make_compliance()
    compliance.attest(ALICE, ATTEST, 1)
    compliance.use_lots(ALICE, MODEL, 6, 5)
    assert refusal(compliance.use_lots, ALICE, MODEL, 5, 6) is Code.DAILY_CAP
    compliance.attest(ALICE, change(terms_version="MIT 2.0"), 2)
    assert refusal(compliance.use_lots, ALICE, MODEL, 5, 6) is Code.DAILY_CAP
    compliance.use_lots(ALICE, MODEL, 4, 7)
    compliance.use_lots(ALICE, MODEL, 10, DAY_MS)


def test_account_attests_a_bounded_number_of_models(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MODELS_PER_ACCOUNT_MAX", 2)
    compliance = make_compliance()
    others = [msgspec.structs.replace(OPEN, model_variant=name) for name in "ab"]
    for motion in others:
        compliance.list_model(motion)
        compliance.attest(ALICE, change(model=compute_model_id(motion)), 1)
    assert refusal(compliance.attest, ALICE, ATTEST, 1) is Code.TOO_MANY
    stored = Compliance(
        load_table(compliance.models.dump()), load_table(compliance.attestations.dump())
    )
    assert refusal(stored.attest, ALICE, ATTEST, 1) is Code.TOO_MANY
    stored.revoke(ALICE, compute_model_id(others[0]))
    stored.attest(ALICE, ATTEST, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_variant": ""},
        {"backend_class": "x" * 129},
        {"in_weight_bp": -1},
        {"in_weight_bp": 10_001},
    ],
)
def test_listing_is_refused_when_no_model_can_have_it(changes: dict):
    check_listing(OPEN)
    assert refusal(check_listing, msgspec.structs.replace(OPEN, **changes)) is Code.OUT_OF_RANGE


@pytest.mark.parametrize(
    "text",
    [
        "sk-" + "a1" * 12,
        "my key is sk_live_" + "0123456789abcdef",
        "AKIA" + "A1" * 8,
        "ghp_" + "x" * 20,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "api_key=abc",
        "API-Key: 0123456789",
        "password=hunter2",
        "Authorization: Bearer abcdefgh",
        "https://me:secret@host/",
        "a1" * 16,
    ],
)
def test_text_is_refused_when_it_looks_like_a_credential(text: str):
    assert looks_like_credential(text)
    assert refusal(check_text, text) is Code.CREDENTIAL


@pytest.mark.parametrize(
    "text",
    [
        "",
        "modified MIT, version 2",
        "for the answer about the key signature in C sharp",
        "token counts differ by 2 %",
        "https://moonshot.ai/terms",
        "-" * 40,
        "kimi-k2-instruct/fp8",
    ],
)
def test_text_is_accepted_when_it_is_plain(text: str):
    check_text(text)


def test_listing_under_a_key_is_refused():
    named = msgspec.structs.replace(OPEN, model_variant="sk-proj-abcdefghij0123456789")
    assert refusal(check_listing, named) is Code.CREDENTIAL


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-abcdefghij0123456789",
        "use sk_live_4242424242424242 here",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.x",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_key_is_seen_in_prose(text: str):
    assert holds_key(text)
    assert looks_like_credential(text)


@pytest.mark.parametrize(
    "text",
    [
        "skills-development and skeleton-animation in 2025",
        "the token is valid; the secret: practice",
        "moonshotai/kimi-k2-instruct-0905-fp8-block",
        "see 5f36b2ea290645ee34d943220a14b54ee5ea5be5f36b2ea290645ee34d943220",
        "hf-hub, ak-47, sk-learn",
    ],
)
def test_prose_is_no_key(text: str):
    assert not holds_key(text)
