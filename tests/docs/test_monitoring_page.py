"""The tables of the pages on monitoring and tools are those of the program."""

from __future__ import annotations

import re

from meshnode.gateway.mcp_tools import TOOLS
from meshnode.gateway.metric_table import METRICS
from tests.support.source_tree import ROOT

GUIDES = ROOT / "docs" / "guides"


def read_rows(page, begin):
    """Cells of the rows whose first cell begins so, in their order."""
    text = (GUIDES / page).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith(f"| `{begin}")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_metric_has_its_row_and_none_is_made_up():
    rows = read_rows("monitoring.md", "meshnode_")
    expected = [
        [f"`{m.name}`", ", ".join(f"`{label}`" for label in m.labels) or "-", m.help]
        for m in METRICS
    ]
    assert rows == expected


def test_every_alert_has_its_row():
    rules = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    alerts = re.findall(r"- alert: (\w+)", rules)
    severities = re.findall(r"severity: (\w+)", rules)
    rows = read_rows("monitoring.md", "Meshnode")
    assert [row[:2] for row in rows] == [
        [f"`{name}`", severity] for name, severity in zip(alerts, severities, strict=True)
    ]


def test_every_tool_has_its_row():
    rows = read_rows("mcp.md", "")
    assert [row[:2] for row in rows] == [[f"`{tool.name}`", f"`{tool.scope}`"] for tool in TOOLS]
    assert [row[2] == "nothing" for row in rows] == [tool.reads_only for tool in TOOLS]
