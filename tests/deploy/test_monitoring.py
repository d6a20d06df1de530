"""Alerts and dashboard ask for metrics that there are, by labels that they have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from meshnode.gateway.metric_table import METRICS
from tests.support.source_tree import ROOT

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "meshnode.json"
LABELS = {metric.name: {*metric.labels, "instance", "job", "le"} for metric in METRICS}
FOREIGN = {"up": {"job"}}
PROCESS = re.compile(r"process_\w+")
SELECTED = re.compile(r"\b(up|meshnode_[a-z_]+|process_[a-z_]+)\b\s*(?:{([^}]*)})?")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
SUFFIX = re.compile(r"_(bucket|sum|count)$")
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def list_rules():
    """(alert, expression) of the rule file, read without a YAML library: its form is ours."""
    text = RULES.read_text(encoding="utf-8")
    blocks = re.split(r"^      - alert: ", text, flags=re.MULTILINE)[1:]
    for block in blocks:
        name, _, rest = block.partition("\n")
        (expr,) = re.findall(
            r"^        expr: (?:\|\n((?:          .*\n)+)|(.*)\n)", rest, flags=re.MULTILINE
        )
        yield name, " ".join((expr[0] or expr[1]).split()), rest


def list_panels():
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], target["legendFormat"]


def list_asked(expr):
    """(metric, labels) that an expression asks for."""
    grouped = {word.strip() for names in GROUPED.findall(expr) for word in names.split(",")}
    for name, selector in SELECTED.findall(GROUPED.sub("", expr)):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
        yield name, labels, grouped


def check(expr, where):
    asked = list(list_asked(expr))
    assert asked, f"{where} asks for nothing"
    for name, labels, grouped in asked:
        if PROCESS.fullmatch(name):
            assert labels <= {"instance", "job"}
            continue
        known = FOREIGN.get(name) or LABELS.get(SUFFIX.sub("", name))
        assert known is not None, f"{where} asks for {name}, which is not exported"
        assert labels <= known, f"{where} asks {name} by {labels - known}"
        assert grouped <= {*known, "instance"}, f"{where} groups {name} by {grouped - known}"
        kinds = {metric.name: metric.kind for metric in METRICS}
        if kinds.get(name) == "counter":
            assert re.search(rf"(rate|increase)\({name}\b", expr), f"{where}: {name} only grows"


def test_alerts_ask_for_what_is_exported():
    rules = list(list_rules())
    assert len(rules) >= 10
    for name, expr, rest in rules:
        assert re.fullmatch(r"Meshnode[A-Za-z]+", name)
        check(expr, name)
        assert re.search(r"severity: (warning|critical)", rest)
        assert "summary:" in rest, name
        assert "action:" in rest, name


def test_dashboard_asks_for_what_is_exported():
    panels = list(list_panels())
    assert len(panels) >= 20
    for title, expr, legend in panels:
        check(expr, title)
        shown = set(re.findall(r"{{(\w+)}}", legend))
        assert all(shown <= LABELS.get(name, {"instance"}) for name, _, _ in list_asked(expr))


def test_dashboard_has_one_place_for_each_panel():
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken
                taken.add((x, y))


@promtool
def test_promtool_accepts_the_rules_and_their_tests():
    for arguments in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(
            ["promtool", *arguments],
            cwd=RULES.parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
