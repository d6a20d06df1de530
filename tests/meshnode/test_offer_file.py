"""`offer.toml`: read exactly, and refused with the key and the reason."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import format_scaled
from meshnode.errors import ConfigError
from meshnode.hardware_spec import HardwareSpec
from meshnode.offer_file import EXAMPLE, FILE_BYTES_MAX, parse_offer, read_offer_file

MINIMAL = """\
model_variant = "m/fp8"
context_limit = 8192
price_per_token = 0.000002
tokens = 500_000
"""


def parse(text: str):
    return parse_offer(text.encode(), origin="offer.toml")


def test_example_is_an_offer_and_names_every_field():
    offer = parse(EXAMPLE)
    converted = offer.convert()
    assert (converted.price_uruv, converted.lots, converted.sla_bp) == (2_000, 500, 9_900)
    assert (converted.context_tokens, converted.first_token_ms) == (131_072, 10_000)
    assert offer.hardware_spec is not None
    assert offer.hardware_spec.make_spec().accelerators == 8
    named = tomllib.loads(EXAMPLE.replace("# provider", "provider"))
    missing = set(type(offer).model_fields) - set(named) - {"post_only"}
    assert not missing


def test_what_is_left_out_promises_the_least():
    offer = parse(MINIMAL)
    converted = offer.convert()
    assert (converted.sla_bp, converted.first_token_ms, converted.flags) == (0, 86_400_000, ())
    assert (offer.provider, offer.lasts_hours, offer.hardware_spec) == (None, 24, None)


@given(st.integers(1, 999))
def test_toml_numbers_are_read_exactly(price_uruv):
    price = format_scaled(price_uruv, 9)
    offer = parse(MINIMAL.replace("0.000002", price).replace("500_000", "10_000_000"))
    assert offer.convert().price_uruv == price_uruv


@pytest.mark.parametrize("price", ["2e-6", "2.000E-6", '"0.000002"', "0.00_0002"])
def test_price_may_be_written_in_any_way_of_toml(price):
    assert parse(MINIMAL.replace("0.000002", price)).convert().price_uruv == 2_000


@pytest.mark.parametrize("seconds", ["2", "2.0", '"2"', "1.5"])
def test_seconds_may_have_a_fraction(seconds):
    converted = parse(f"{MINIMAL}first_token_s = {seconds}\n").convert()
    assert converted.first_token_ms == 2_000


def test_flags_and_hardware_are_taken_over():
    offer = parse(f'{MINIMAL}tee = true\nregion = true\n[hardware_spec]\ncpu = "EPYC"\n')
    assert offer.convert().flags == ("region", "tee")
    assert offer.hardware_spec is not None
    assert offer.hardware_spec.make_spec() == HardwareSpec(cpu="EPYC")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("= 1", "offer.toml is not TOML"),
        ("x = " + "[" * 5_000, "offer.toml is (nested too deeply|not TOML)"),
        (MINIMAL.replace("context_limit", "context"), "there is no such field|missing"),
        (MINIMAL.replace("tokens = 500_000", ""), r"tokens \(from offer.toml\).*missing"),
        (MINIMAL.replace("500_000", "1_500"), "no multiple of 1000"),
        (MINIMAL.replace("500_000", "0.5"), "tokens .*valid integer"),
        (MINIMAL.replace("0.000002", "inf"), "price_per_token .*out of range"),
        (MINIMAL.replace("0.000002", "nan"), "price_per_token .*out of range"),
        (MINIMAL.replace("0.000002", "1e999999999"), "price_per_token .*out of range"),
        (MINIMAL.replace("0.000002", "-1"), "price_per_token is no decimal number"),
        (MINIMAL.replace("0.000002", "true"), "price_per_token .*valid string"),
        (MINIMAL.replace("0.000002", "9" * 90), "price_per_token .*at most 80"),
        (MINIMAL + "sla_guarantee = 0.999\n", "sla_guarantee has 3 decimals"),
        (MINIMAL + "first_token_s = 0.0001\n", "first_token_s has 4 decimals"),
        (MINIMAL + "renew_hours = 25\n", "renew_hours"),
        (MINIMAL + "hardware_spec = 1\n", "hardware_spec"),
        (MINIMAL + '[hardware_spec]\napi_key = "x"\n', "hardware_spec.api_key .*no such field"),
    ],
)
def test_what_is_no_offer_is_refused_with_the_key_and_the_reason(text, words):
    with pytest.raises(ConfigError, match=words):
        parse(text).convert()


def test_credential_in_the_file_is_refused_and_not_repeated():
    key = "sk-proj-abcdefghij0123456789"
    offer = parse(f'{MINIMAL}[hardware_spec]\nremarks = "{key}"\n')
    assert offer.hardware_spec is not None
    with pytest.raises(ConfigError, match="looks like") as caught:
        offer.hardware_spec.make_spec()
    assert key not in str(caught.value)


def test_file_is_read_and_bounded(tmp_path):
    path = tmp_path / "offer.toml"
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_offer_file(path)
    path.write_text(EXAMPLE, encoding="utf-8")
    assert read_offer_file(path) == parse(EXAMPLE)
    path.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="larger than"):
        read_offer_file(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not TOML"):
        read_offer_file(path)
