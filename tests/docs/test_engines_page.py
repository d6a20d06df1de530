"""The tables of the page on engines are those of the program."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from meshnode.engines import base, registry
from meshnode.engines.base import EngineFault
from meshnode.engines.http_options import HttpEngineOptions
from meshnode.engines.pricing import MOONSHOT_PRICES, MOONSHOT_PRICES_AS_OF
from meshnode.engines.registry import create_engine, engine_names
from tests.support.source_tree import ROOT

PAGE = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8")
HTTP = {
    "openai_compatible": {"base_url": "http://127.0.0.1:1/v1"},
    "local": {},
    "moonshot": {},
    "openrouter": {},
}


def read_table(heading):
    """Rows of the first table under a header row that begins so."""
    lines = PAGE[PAGE.index(heading) :].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def words(text):
    return re.findall(r"`([a-z_0-9.-]+)`", text)


def options_of(name):
    entry = registry._ENTRIES[name]
    return getattr(import_module(entry.module), entry.options).__struct_fields__


def test_every_engine_has_its_row():
    rows = read_table("| engine | what it is")
    assert sorted(words(row[0])[0] for row in rows) == sorted(engine_names())


def test_every_shared_setting_has_its_row():
    rows = read_table("| setting | default")
    named = [name for row in rows for name in words(row[0])]
    assert sorted(named) == sorted(HttpEngineOptions.__struct_fields__)


@pytest.mark.parametrize("name", HTTP)
def test_every_further_setting_is_named(name):
    (row,) = [row for row in read_table("| engine | further") if words(row[0]) == [name]]
    own = set(options_of(name)) - set(HttpEngineOptions.__struct_fields__)
    assert set(words(row[1])) == own


def test_every_fault_has_its_row():
    rows = read_table("| fault | from")
    assert sorted(words(row[0])[0] for row in rows) == sorted(EngineFault)


def test_every_rule_that_is_noted_has_its_row():
    noted = set()
    for path in (ROOT / "meshnode" / "engines").rglob("*.py"):
        noted.update(re.findall(r'\.note\(\s*"([a-z_]+)"', path.read_text(encoding="utf-8")))
    assert {words(row[0])[0] for row in read_table("| rule | what")} == noted


def test_price_list_is_the_programs():
    shown = {
        words(row[0])[0]: tuple(int(cell) for cell in row[1:])
        for row in read_table("| model | prompt")
    }
    assert shown == {
        name: (price.prompt, price.cached, price.completion)
        for name, price in MOONSHOT_PRICES.items()
    }
    assert MOONSHOT_PRICES_AS_OF in PAGE


@pytest.mark.parametrize("name", HTTP)
def test_abilities_are_those_of_the_engines(name):
    engine = create_engine(name, HTTP[name])
    for row in read_table("| ability | engines"):
        ability = row[0].strip("`")
        said = name in words(row[1]) or "all behind HTTP" in row[1]
        assert isinstance(engine, getattr(base, ability)) is said, ability
