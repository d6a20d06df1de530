"""`make docs` finds every command and the limits, because nobody writes them down twice."""

from __future__ import annotations

import html
import re

from dag.types import BODY_BYTES_MAX
from meshnode.cli.app import make_app
from tests.support.source_tree import ROOT
from tools.reference import LIMIT_MODULES, list_commands, list_limits, write_reference


def read_protocol_limits() -> str:
    text = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    return text[text.index("## Limits") :]


def test_commands_page_names_every_command_and_its_options(tmp_path):
    write_reference(tmp_path)
    page = html.unescape((tmp_path / "commands.html").read_text(encoding="utf-8"))
    commands = list(list_commands(make_app()))
    assert ("dag", "verify") in commands
    assert ("up",) in commands
    for words in commands:
        assert f'<h2 id="{"-".join(("meshnode", *words))}">' in page
    assert "--foreground" in page
    assert "Traceback" not in page


def test_every_command_of_the_first_help_page_has_a_section():
    shown = {words[0] for words in list_commands(make_app()) if words}
    assert {"up", "down", "join", "invite", "ask", "status", "peers", "doctor", "dag"} <= shown


def test_limits_page_shows_the_values_of_the_code(tmp_path):
    write_reference(tmp_path)
    page = (tmp_path / "limits.html").read_text(encoding="utf-8")
    assert f'<code>BODY_BYTES_MAX</code></td><td class="value">{BODY_BYTES_MAX:,}<' in page


def test_every_listed_module_has_limits():
    assert [module for module in LIMIT_MODULES if not list_limits(module)] == []


def test_protocol_page_names_the_limits_of_the_code():
    limits = {
        f"{module}.{limit.name}": limit.value
        for module in LIMIT_MODULES
        for limit in list_limits(module)
    }
    numbers = set(re.findall(r"\d[\d,]*", read_protocol_limits()))
    for name in (
        "dag.quarantine.QuarantineLimits.peer_count_max",
        "dag.quarantine.QuarantineLimits.author_count_max",
        "dag.quarantine.QuarantineLimits.count_max",
        "dag.hold.HELD_MAX",
        "meshnode.core.messages.IDS_MAX",
        "meshnode.core.messages.GET_IDS_MAX",
        "meshnode.core.messages.HEADS_MAX",
        "meshnode.core.messages.CREDENTIALS_MAX",
        "meshnode.core.settings.Limits.wants_per_peer_max",
    ):
        assert f"{limits[name]:,}" in numbers, name
