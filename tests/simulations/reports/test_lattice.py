"""The DAG of a host, drawn."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from simulations.reports.lattice import draw_store
from tests.support.recorded import run_mesh


def test_every_stored_vertex_has_a_place_in_its_author_s_lane():
    mesh = run_mesh()
    text = draw_store(mesh[1])
    ET.fromstring(text)
    for vertex_id in mesh[1].disk.stored_ids():
        assert vertex_id.hex() in text
    for host in mesh:
        assert host.identity.name in text
    assert f"{mesh[1].view().vertices} vertices, at" in text


def test_of_many_vertices_the_newest_are_drawn():
    mesh = run_mesh()
    text = draw_store(mesh[1], vertices_max=1)
    assert "the newest 1 of them" in text
    (shown,) = [one.hex() for one in mesh[1].disk.stored_ids() if one.hex() in text]
    newest = max(mesh[1].view().heads, key=lambda ref: (ref.lamport, ref.id))
    assert shown == newest.id.hex()
