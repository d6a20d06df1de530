"""Pictures hold what the DAG holds, and nothing that a name of others could command."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from meshnode.drawing.documents import make_dag_text, make_dot
from meshnode.drawing.lattice import make_lattice
from meshnode.drawing.palette import get_mark, sort_kinds
from meshnode.drawing.svg import draw_svg
from meshnode.drawing.text import draw_text, printable
from tests.support.views import make_small_dag, make_vertex

HOSTILE = '"><script>alert(1)</script>\x1b[2J\u202e'


def draw_hostile() -> str:
    vertex = make_vertex("a0", "alice", 0, author_name=HOSTILE, kind="odd", summary="x" * 900)
    return draw_svg(make_lattice([vertex]), title=HOSTILE, subtitle=HOSTILE)


def test_svg_has_a_mark_for_each_vertex_and_edge():
    lattice = make_lattice(make_small_dag())
    root = ET.fromstring(draw_svg(lattice, title="kitchen"))
    space = "{http://www.w3.org/2000/svg}"
    letters = [e.text for e in root.iter(f"{space}text") if e.get("class") == "letter"]
    assert sorted(map(str, letters)) == ["N", "P", "P", "P", "R", "R"]
    assert len(list(root.iter(f"{space}path"))) == len(lattice.edges)
    assert "carol" in {e.text for e in root.iter(f"{space}text")}


def test_svg_escapes_names_of_others():
    text = draw_hostile()
    root = ET.fromstring(text)
    assert "<script" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(e.tag.endswith("script") for e in root.iter())


def test_svg_says_what_lies_outside():
    assert "3 references lead" in draw_svg(make_lattice(make_small_dag()[1:]), title="part")
    assert ET.fromstring(draw_svg(make_lattice([]), title="empty")) is not None


def test_text_draws_a_line_per_author():
    lines = draw_text(make_lattice(make_small_dag())).splitlines()
    assert lines[0] == "alice  P─────R  ·  ·"
    assert lines[-1] == "P profile, R result, N note"


def test_text_keeps_to_its_width_and_says_what_it_leaves_out():
    vertices = [make_vertex("v0", "a-name-longer-than-its-place", 0)]
    for seq in range(1, 60):
        vertices.append(make_vertex(f"v{seq}", vertices[0].author_name, seq, vertices[-1]))
    lines = draw_text(make_lattice(vertices), width=40).splitlines()
    assert len(lines[0]) <= 40
    assert lines[0].startswith("a-name-longer…")
    assert "earlier columns left out" in " ".join(lines[1:])


def test_text_marks_forks():
    alice = make_vertex("a0", "alice", 0)
    forks = [make_vertex(name, "alice", 1, alice) for name in ("left", "right")]
    assert "‡ fork" in draw_text(make_lattice([alice, *forks]))


def test_dot_quotes_names_of_others():
    vertex = make_vertex("a0", 'a"];}\n{', 0)
    text = make_dot(make_lattice([vertex]), title="kitchen")
    assert r'label="a\"];} {"' in text
    assert make_dot(make_lattice(make_small_dag()), title="k").count("->") == 9


def test_json_holds_places_and_edges():
    document = json.loads(make_dag_text(make_lattice(make_small_dag()), network="kitchen"))
    assert document["schema"] == "meshnode.dag/1"
    assert len(document["vertices"]) == 6
    assert len(document["edges"]) == 9
    assert document["vertices"][0]["column"] == 0


def test_kinds_are_sorted_by_code_and_unknown_ones_have_a_mark():
    assert sort_kinds(["zz", "note", "profile", "note"]) == ["profile", "note", "zz"]
    assert get_mark("zz").letter == "?"


def test_printable_keeps_one_line_without_commands():
    assert printable("a\n b\x1b[0m\u2028c") == "a b\ufffd[0m c"
