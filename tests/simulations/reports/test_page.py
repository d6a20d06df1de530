"""The page: whole without anything outside of it, and safe whatever names it shows."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

from simulations.reports.page import FAILURES_MAX, METRICS_MAX, POINTS_MAX, Content, make_page
from simulations.reports.summary import summarise
from tests.support.records import make_record, make_records

EVIL = '</script><script>alert("1")</script><img src=http://evil.example/x onerror=a>\u2028\x1b[2J'
VOID = {"meta", "img", "input", "br", "hr", "link"}


class Outline(HTMLParser):
    """Elements, their attributes, and whether every one of them is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} closes what it has not opened"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def make_content(**fields) -> Content:
    records = fields.pop("records", make_records())
    values = {
        "title": "Made up",
        "question": "Why?",
        "scenario": "made-up",
        "measure": "made",
        "summary": summarise(records),
        "failures": [record for record in records if record.outcome is None],
    }
    return Content(**{**values, **fields})


def test_a_page_refers_to_nothing_outside_itself():
    page = make_page(make_content(pictures=[("one", "<svg/>")], lattice="<svg/>", animation="{}"))
    outline = Outline(page)
    assert outline.open == []
    for name, attributes in outline.elements:
        for key, value in attributes.items():
            if key in ("src", "href", "action", "data", "srcset"):
                assert str(value).startswith("data:image/svg+xml;base64,"), (name, key)
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert "@import" not in page
    assert "url(" not in page
    assert [image["alt"] for image in outline.all("img")] == ["one", "The DAG of one host"]


def test_the_policy_lets_the_page_s_own_script_run_and_nothing_else():
    page = make_page(make_content(animation="{}"))
    policy = Outline(page).all("meta")[1]["content"]
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)[0]
    style = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)[0]
    for text in (script, style):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in str(policy)
    assert str(policy).startswith("default-src 'none'")
    assert "unsafe" not in str(policy)


def test_hostile_names_stay_text():
    evil: dict[str, Any] = {EVIL: EVIL}
    records = [
        make_record(1, metrics={EVIL: 1.0}, **evil),
        make_record(2, error=EVIL, **{**evil, EVIL: "b"}),
    ]
    assert records[0].outcome is not None
    records[0].outcome.world[EVIL] = EVIL
    data = json.dumps({"nodes": [{"name": EVIL}]}, ensure_ascii=False)
    page = make_page(
        make_content(
            records=records,
            title=EVIL,
            question=EVIL,
            scenario=EVIL,
            measure=EVIL,
            pictures=[(EVIL, f"<svg>{EVIL}</svg>")],
            pictures_note=EVIL,
            animation=data,
            animation_note=EVIL,
            lattice=EVIL,
            made_by=[(EVIL, EVIL)],
            files=[EVIL],
        )
    )
    outline = Outline(page)
    assert outline.open == []
    assert len(outline.all("script")) == 2
    assert all("onerror" not in image for image in outline.all("img"))
    assert "\x1b" not in page
    embedded = re.findall(r'id="topology-data">(.*?)</script>', page, re.DOTALL)[0]
    assert json.loads(embedded) == json.loads(data)


def test_a_page_without_an_animation_has_no_script():
    page = make_page(make_content(animation_note="No run is small enough to be shown."))
    assert "<script" not in page
    assert "No run is small enough" in page


def test_results_say_medians_intervals_and_failures():
    records = [
        *make_records(fanouts=(1, 2), nodes=(10,)),
        make_record(8, error="x", fanout=1, nodes=10),
    ]
    page = make_page(make_content(records=records))
    assert "<th>fanout</th>" in page
    assert "<th>nodes</th>" not in page  # the same in all runs: a fact of the method
    assert "<td>nodes</td><td>10</td>" in page
    assert "<small>1 failed</small>" in page
    assert "Failed runs (1)" in page
    assert "<b>7</b><span>runs</span>" in page
    assert "<b>cached</b><span>fidelity</span>" in page
    assert "<td>seeds</td><td>0 to 2</td>" in page


def test_long_reports_are_cut_and_say_so():
    metrics = {f"m{number:02d}": float(number) for number in range(METRICS_MAX + 2)}
    records = [make_record(0, n=n, metrics=metrics) for n in range(POINTS_MAX + 1)]
    records += [make_record(1, n=n, error="x") for n in range(FAILURES_MAX + 5)]
    page = make_page(make_content(records=records))
    assert "1 more points are in the tables" in page
    assert "2 more metrics are in the tables" in page
    assert page.count("<td>x</td>") == FAILURES_MAX


def test_what_is_absent_is_a_dash():
    records = [make_record(0, n=1, metrics={"a": 2}), make_record(5, m=True, metrics={"b": 2.5})]
    page = make_page(make_content(records=records, files=[]))
    assert '<td>-</td><td>1</td><td class="number">2</td><td class="number">-</td>' in page
    assert "<td>yes</td><td>-</td>" in page
    assert "<td>seeds</td><td>0, 5</td>" in page
    nothing = make_page(make_content(records=[make_record(0, error="x")]))
    assert "<td>seeds</td><td>none</td>" in nothing


def test_worlds_are_shown_by_their_range():
    records = [make_record(0, n=n) for n in range(6)]
    for number, record in enumerate(records):
        assert record.outcome is not None
        record.outcome.world.update(events=number, digest=str(number), crypto=f"c{number}")
    page = make_page(make_content(records=records))
    assert "<td>world: events</td><td>0 to 5</td>" in page
    assert "<td>world: digest</td><td>6 different ones</td>" in page
