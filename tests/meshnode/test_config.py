"""Settings: layers, origins, and errors that name both."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode.config import NodeConfig, format_api_address, parse_api_address
from meshnode.config_file import (
    load_config,
    locate_home,
    parse_option_value,
    resolve_engine_options,
)
from meshnode.errors import ConfigError
from meshnode.home import get_default_home
from meshnode.secret import Secret


@pytest.fixture
def write(tmp_path):
    def write(text):
        (tmp_path / "config.toml").write_text(text)
        return tmp_path

    return write


def test_defaults_hold_where_nothing_is_said(tmp_path):
    loaded = load_config(tmp_path, environ={})
    assert loaded.config == NodeConfig(home=tmp_path)
    assert set(loaded.origins.values()) == {"default", "flag --home"}


def test_later_layers_win_and_origins_are_kept(write):
    home = write('name = "file"\nengine = "echo"\napi = "127.0.0.1:1"')
    environ = {"MESHNODE_NAME": "env", "MESHNODE_API": "127.0.0.1:2"}
    loaded = load_config(home, {"api": "127.0.0.1:3", "share": None}, environ)
    assert (loaded.config.engine, loaded.config.name, loaded.config.api) == (
        "echo",
        "env",
        "127.0.0.1:3",
    )
    assert loaded.origins["engine"].endswith("config.toml")
    assert loaded.origins["name"] == "MESHNODE_NAME"
    assert loaded.origins["api"] == "flag --api"
    assert loaded.origins["share"] == "default"


def test_types_of_environment_values_are_read(tmp_path):
    environ = {
        "MESHNODE_API_INSECURE": "true",
        "MESHNODE_LISTEN": "/ip4/127.0.0.1/tcp/0, /ip6/::1/tcp/0",
        "MESHNODE_ENGINE_OPTIONS": "delay_ms=5,model=tiny,warm=true",
        "MESHNODE_RECORD": "record.bin",
        "MESHNODE_SUITE": "",
    }
    config = load_config(tmp_path, environ=environ).config
    assert config.api_insecure is True
    assert config.listen == ("/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0")
    assert config.engine_options == {"delay_ms": 5, "model": "tiny", "warm": True}
    assert config.record == Path("record.bin").absolute()


def test_flags_take_tuples_and_paths(tmp_path):
    config = load_config(
        tmp_path, {"listen": ("/ip4/0.0.0.0/tcp/1",), "record": tmp_path / "r"}, {}
    ).config
    assert (config.listen, config.record) == (("/ip4/0.0.0.0/tcp/1",), tmp_path / "r")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('nmae = "x"', "'nmae' .*config.toml.*did you mean 'name'"),
        ("zzz = 1", "'zzz' .*is not a setting; known: name"),
        ("name = 3", "name .*config.toml.*string"),
        ('name = "a\\nb"', "name .*config.toml"),
        ("listen = []", "listen .*at least 1"),
        ('listen = ["x"]', r"listen\.0 "),
        ('share = "all"', "share .*'full' or 'digest'"),
        ("api_insecure = 1", "api_insecure .*boolean"),
        ("name = ", "is not TOML"),
        ('record = "~no-such-user/x"', "record .*config.toml.*user who does not exist"),
        ('record = "a\\u0000"', "record .*config.toml.*control character"),
        ('api = "7077"', "api = '7077' .*config.toml.* is not HOST:PORT"),
    ],
)
def test_unusable_file_values_name_key_origin_and_reason(write, text, words):
    with pytest.raises(ConfigError, match=words):
        load_config(write(text), environ={})


def test_unusable_files_are_named(write, tmp_path):
    with pytest.raises(ConfigError, match="larger than"):
        load_config(write("#" * 70_000), environ={})
    (tmp_path / "config.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_config(tmp_path, environ={})
    for text in ("a = " + "[" * 3_000, "a = " + "1" * 5_000):
        with pytest.raises(ConfigError, match="is not TOML"):
            load_config(write(text), environ={})
    (tmp_path / "folder" / "config.toml").mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "folder", environ={})


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"MESHNODE_ENGIN": "echo"}, "did you mean MESHNODE_ENGINE"),
        ({"MESHNODE_PASPHRASE": "x"}, "did you mean MESHNODE_PASSPHRASE"),
        ({"MESHNODE_KIND": "real"}, "kind .from MESHNODE_KIND"),
        ({"MESHNODE_MINT_RUV": "-1"}, "mint_ruv .from MESHNODE_MINT_RUV"),
        ({"MESHNODE_PROBE_SPEND_URUV": "-1"}, "probe_spend_uruv .from MESHNODE_PROBE"),
        ({"MESHNODE_ENGINE_OPTIONS": "x"}, "NAME=VALUE"),
    ],
)
def test_unusable_variables_are_named(tmp_path, environ, words):
    with pytest.raises(ConfigError, match=words):
        load_config(tmp_path, environ=environ)


def test_probing_is_off_until_it_is_asked_for(tmp_path):
    assert not load_config(tmp_path, environ={}).config.probe
    environ = {"MESHNODE_PROBE": "true", "MESHNODE_PROBE_SPEND_URUV": "50000"}
    config = load_config(tmp_path, environ=environ).config
    assert (config.probe, config.probe_spend_uruv) == (True, 50_000)


def test_foreign_variables_are_left_alone(tmp_path):
    environ = {"MESHNODE_BENCHMARK_SECONDS": "3", "PATH": "x", "MESHNODE_PASSPHRASE": "canary"}
    assert "canary" not in repr(load_config(tmp_path, environ=environ))


def test_values_are_not_quoted_in_errors(write):
    with pytest.raises(ConfigError) as caught:
        load_config(write('[engine_options]\n[name]\nx = "canary"'), environ={})
    assert "canary" not in str(caught.value)


def test_home_is_located_by_flag_then_environment_then_platform(tmp_path):
    environ = {"MESHNODE_HOME": str(tmp_path)}
    assert locate_home(tmp_path / "x", environ) == tmp_path / "x"
    assert locate_home(None, environ) == tmp_path
    assert locate_home(None, {}) == get_default_home()
    assert load_config(None, environ=environ).origins["home"] == "MESHNODE_HOME"


@pytest.mark.parametrize("text", ["127.0.0.1:0", "localhost:80", "[::1]:7077"])
def test_api_address_reads_back(text):
    assert format_api_address(*parse_api_address(text)) == text


@pytest.mark.parametrize(
    "text", ["", "7077", ":7077", "::1:7077", "h:70777", "h:" + "1" * 5_000, "h:x", "h:", "[]:1"]
)
def test_api_address_of_another_form_is_refused(text):
    with pytest.raises(ConfigError, match="HOST:PORT"):
        parse_api_address(text)


def test_key_references_are_resolved_and_masked(tmp_path):
    (tmp_path / "key").write_text("from-file\n")
    assert resolve_engine_options({"api_key": "env:K", "n": 1}, {"K": "v"}) == {
        "api_key": Secret("v"),
        "n": 1,
    }
    options = resolve_engine_options({"api_key": f"file:{tmp_path / 'key'}"}, {})
    assert options["api_key"] == Secret("from-file")
    assert resolve_engine_options({"api_key": Secret("x")}, {})["api_key"] == Secret("x")
    assert resolve_engine_options({}, {}) == {}


@pytest.mark.parametrize("reference", ["env:ABSENT", "file:/absent/key", "sk-canary-123", "env:"])
def test_unusable_key_references_are_refused_without_the_key(reference):
    with pytest.raises(ConfigError, match="api_key") as caught:
        resolve_engine_options({"api_key": reference}, {})
    assert "canary" not in str(caught.value)


def test_option_values_are_numbers_booleans_or_text():
    assert parse_option_value("5") == 5
    assert parse_option_value("true") is True
    assert parse_option_value("kimi-k2") == "kimi-k2"
    assert parse_option_value('"5"') == "5"
