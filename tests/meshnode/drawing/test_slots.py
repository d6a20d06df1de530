"""Which rounds of a picture were led, and which were passed over."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from meshnode.drawing.documents import make_dag_document, make_dot
from meshnode.drawing.lattice import make_lattice
from meshnode.drawing.palette import get_commit_colour
from meshnode.drawing.slots import Slot
from meshnode.drawing.svg import draw_svg
from meshnode.drawing.text import draw_text
from tests.support.views import make_vertex


def make_ordered_dag():
    """Two validators, five rounds: commits in 2 and 4, round 3 is passed over; a note and a tail."""
    names = ("alice", "bob")
    profiles = [make_vertex(f"{name}/p", name, 0, commit=1) for name in names]
    note = make_vertex("note", "bob", 1, *profiles, kind="note", commit=2)
    last = make_vertex("last", "alice", 1, note, kind="note")
    vertices, below = [*profiles, note, last], list(profiles)
    for number in range(1, 6):
        carried = [note] if number == 3 else []
        leader = {2: "alice", 4: "bob"}.get(number)
        below = [
            make_vertex(
                f"{name}/{number}",
                name,
                number - 1,
                *below,
                *carried,
                kind="block",
                lane=1,
                epoch=0,
                round=number,
                commit=None if number > 4 else 1 if number < 3 else 2,
                leads=name == leader,
            )
            for name in names
        ]
        vertices += below
    return vertices


def test_rounds_between_leaders_are_led_or_passed_over():
    lattice = make_lattice(make_ordered_dag())
    assert [(slot.round, slot.commit) for slot in lattice.slots] == [(2, 1), (3, None), (4, 2)]
    assert [slot.outcome for slot in lattice.slots] == ["commit 1", "skipped", "commit 2"]
    assert lattice.shows_order


def test_nothing_is_said_of_rounds_where_no_leader_is_known():
    vertices = [make_vertex("b", "alice", 0, kind="block", lane=1, epoch=0, round=1)]
    lattice = make_lattice(vertices)
    assert (lattice.slots, lattice.shows_order) == ((), False)


def test_what_was_said_stands_beside_the_blocks_that_carry_it():
    lattice = make_lattice(make_ordered_dag())
    columns = {cell.vertex.id: cell.column for cell in lattice.cells}
    by_name = {vertex.summary: columns[vertex.id] for vertex in make_ordered_dag()}
    assert by_name["summary of note"] == by_name["summary of alice/3"] - 1
    assert by_name["summary of last"] == lattice.columns - 1
    for vertex in make_ordered_dag():
        assert all(columns[parent.id] < columns[vertex.id] for parent in vertex.parents)


def test_the_lanes_of_an_author_stand_below_each_other():
    labels = [row.label for row in make_lattice(make_ordered_dag()).rows]
    assert sorted(labels[:2]) in (["alice", "alice blocks"], ["bob", "bob blocks"])


def test_text_shows_leaders_commits_and_skipped_rounds():
    text = draw_text(make_lattice(make_ordered_dag()))
    lines = text.splitlines()
    assert "L1──" in text
    assert "N2" in text
    (leaders,) = [line for line in lines if line.startswith("leaders")]
    assert leaders.split() == ["leaders", "1", "x", "2"]
    assert "x round whose leader was passed over" in " ".join(lines)
    assert all(len(line) <= 80 for line in lines)
    assert "\x1b" not in text


def test_text_in_colour_says_the_same():
    lattice = make_lattice(make_ordered_dag())
    coloured = draw_text(lattice, coloured=True)
    assert "\x1b[1;33mL1\x1b[0m" in coloured
    for code in ("1;33", "2", "33", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == draw_text(lattice)


def test_svg_marks_leaders_commits_and_slots():
    text = draw_svg(make_lattice(make_ordered_dag()), title="kitchen")
    root = ET.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    leaders = [e for e in root.iter(f"{space}circle") if e.get("class") == "leader"]
    assert len(leaders) == 2 + 1  # the legend has one
    shown = [e.text for e in root.iter(f"{space}text")]
    assert {"round 3", "skipped", "commit 2", "led a commit"} <= set(shown)
    titles = " ".join(str(e.text) for e in root.iter(f"{space}title"))
    assert "leader of commit 2" in titles
    assert "final in commit 1" in titles
    assert "not final yet" in titles
    assert get_commit_colour(1) != get_commit_colour(2)


def test_dot_and_json_name_commits_leaders_and_skipped_rounds():
    lattice = make_lattice(make_ordered_dag())
    dot = make_dot(lattice, title="kitchen")
    assert dot.count("peripheries=2") == 2
    assert 'label="rounds passed over: 3"' in dot
    document = json.loads(json.dumps(make_dag_document(lattice, network="kitchen")))
    assert document["slots"][1] == {"epoch": 0, "round": 3, "commit": None}
    assert sum(vertex["leads"] for vertex in document["vertices"]) == 2
    assert Slot(0, 1, 0, 7).to_json() == {"epoch": 0, "round": 1, "commit": 7}
