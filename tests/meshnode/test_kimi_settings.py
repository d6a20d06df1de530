"""The account: what it defaults to, and which keys and addresses it does not take."""

from __future__ import annotations

import pytest

from meshnode.config_file import load_config
from meshnode.errors import ConfigError
from meshnode.kimi_settings import (
    KimiTable,
    check_base_url,
    check_key,
    complete_settings,
    format_usd,
    get_base_url,
    make_engine_options,
    read_usd,
    refuse_key_in_clear,
)
from meshnode.secret import Secret

PLATFORM_KEY = "sk-canaryABCDEFGHIJ0123456789"
OPENROUTER_KEY = "sk-or-v1-canaryABCDEFGHIJ0123456789"


def test_environment_alone_is_enough():
    assert complete_settings(None, {}) is None
    settings = complete_settings(None, {"KIMI_API_KEY": "x"})
    assert settings is not None
    assert (settings.provider, settings.api_key, settings.configured) == (
        "moonshot",
        "env:KIMI_API_KEY",
        False,
    )
    settings = complete_settings(None, {"OPENROUTER_API_KEY": "x"})
    assert settings is not None
    assert settings.provider == "openrouter"
    assert settings.official


def test_table_fills_the_rest_with_defaults():
    settings = complete_settings(KimiTable(region="china", daily_cap_usd="1.5"), {})
    assert settings is not None
    assert settings.base_url == "https://api.moonshot.cn/v1"
    assert settings.api_key == "env:MOONSHOT_API_KEY"
    assert settings.daily_cap_udollar == 1_500_000
    table = KimiTable(provider="local", base_url="http://127.0.0.1:1/v1", model="m", timeout_s=9)
    settings = complete_settings(table, {})
    assert settings is not None
    assert not settings.official
    assert make_engine_options(settings) == {
        "base_url": "http://127.0.0.1:1/v1",
        "answer_tokens": 4_096,
        "total_timeout_ms": 9_000,
        "first_token_timeout_ms": 9_000,
        "model": "m",
    }
    with pytest.raises(ConfigError, match="needs the address"):
        get_base_url("local")


def test_node_with_the_providers_engine_uses_the_account(tmp_path):
    (tmp_path / "config.toml").write_text(
        'engine = "moonshot"\nengine_options = {slots = 3}\n'
        '[kimi]\nprovider = "moonshot"\napi_key = "env:MY_KEY"\ndaily_cap_usd = "2"\n'
    )
    config = load_config(tmp_path, environ={}).config
    assert config.engine_options["api_key"] == "env:MY_KEY"
    assert config.engine_options["slots"] == 3
    assert config.daily_cap_udollar == 2_000_000
    other = load_config(tmp_path, {"engine": "openrouter"}, {"OPENROUTER_API_KEY": "x"}).config
    assert other.engine_options == {"api_key": "env:OPENROUTER_API_KEY", "slots": 3}
    local = load_config(tmp_path, {"engine": "local"}, {}).config
    assert "api_key" not in local.engine_options
    assert "api_key" not in load_config(tmp_path, {"engine": "echo"}, {}).config.engine_options


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f'api_key = "{PLATFORM_KEY}"', "must be a reference"),
        ('base_url = "https://api.kimi.com/coding/v1"', "coding agents only"),
        ('base_url = "ftp://x"', "plain http or https"),
        ('daily_cap_usd = "much"', "no decimal number"),
        ('daily_cap_usd = "10000000"', "more than can be meant"),
        ("max_tokens = 0", "kimi.max_tokens"),
        ('model = "a\\nb"', "control character"),
        ('colour = "red"', "not a setting"),
        ('provider = "other"', "kimi.provider"),
    ],
)
def test_unusable_table_is_refused_without_its_secrets(tmp_path, line, words):
    (tmp_path / "config.toml").write_text(f"[kimi]\n{line}\n")
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(tmp_path, environ={})
    assert "canary" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("provider", "text", "words"),
    [
        ("moonshot", "sk-kimi-canary0123456789abcdef", "Kimi Code"),
        ("openrouter", "sk-kimi-canary0123456789abcdef", "Kimi Code"),
        ("moonshot", OPENROUTER_KEY, "key of OpenRouter"),
        ("openrouter", PLATFORM_KEY, "begins with sk-or-"),
        ("moonshot", "sk-ant-canary0123456789abcdef", "Anthropic"),
        ("openrouter", "sk-proj-canary0123456789abcdef", "OpenAI"),
        ("moonshot", "canary0123456789abcdef", "begins with sk-"),
        ("moonshot", "sk-canary", "begins with sk-"),
        ("moonshot", f'"{PLATFORM_KEY}"', "more around it"),
        ("local", f"Bearer {PLATFORM_KEY}", "more around it"),
        ("local", "canary canary", "characters"),
    ],
)
def test_key_of_another_service_is_refused_unquoted(provider, text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        check_key(provider, Secret(text))
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_right_keys_are_taken():
    check_key("moonshot", Secret(PLATFORM_KEY))
    check_key("openrouter", Secret(OPENROUTER_KEY))
    check_key("local", Secret("anything"))


def test_key_travels_encrypted_or_not_far():
    for near in ("http://127.0.0.1:1/v1", "http://localhost/v1", "http://10.0.0.7/v1"):
        refuse_key_in_clear(near)
    refuse_key_in_clear("https://api.moonshot.ai/v1")
    for far in ("http://api.moonshot.ai/v1", "http://8.8.8.8/v1"):
        with pytest.raises(ConfigError, match="unencrypted"):
            refuse_key_in_clear(far)


@pytest.mark.parametrize(
    "text", ["http://[", "http://u:p@h/v1", "http://h/v1?key=x", "h:1", "http://h:99999"]
)
def test_address_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="plain http or https"):
        check_base_url(text)


def test_dollars_are_exact():
    assert [read_usd(text, "x") for text in ("0.25", "$3", "0.000001")] == [250_000, 3_000_000, 1]
    assert [format_usd(udollar) for udollar in (250_000, 3_000_000, 1, 0)] == [
        "0.25",
        "3.00",
        "0.000001",
        "0.00",
    ]
