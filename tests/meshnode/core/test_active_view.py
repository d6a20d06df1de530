"""Chosen neighbours and those that chose this node are counted apart."""

from __future__ import annotations

from meshnode.core.active_view import ActiveView
from meshnode.core.link import Link
from meshnode.core.settings import Limits


def make_link(name: str, address: str = "/sim/x") -> Link:
    return Link(name, False, address, since_ms=0, nonce=b"", deadline_ms=0)


def make_view(**limits: int) -> ActiveView:
    return ActiveView(Limits(**{"outbound_min": 2, "inbound_max": 1, **limits}))


def test_places_of_one_kind_are_not_taken_by_the_other():
    view = make_view()
    view.add(0, make_link("in"), outbound=False)
    assert not view.is_open
    assert view.missing == 2
    view.choose("in")
    assert view.is_open
    assert view.missing == 1
    view.add(0, make_link("out"), outbound=True)
    view.add(0, make_link("more"), outbound=True)
    assert view.missing == 0
    assert view.has_excess
    assert view.drop("in")
    assert not view.drop("in")
    assert not view.has_excess
    assert view.names == ("out", "more")
    assert len(view) == 2
    view.clear()
    assert view.missing == 2


def test_excess_is_of_one_kind_and_has_settled():
    view = make_view(outbound_min=1)
    view.add(0, make_link("a"), outbound=True)
    view.add(500, make_link("b"), outbound=True)
    assert [item.peer for item in view.find_excess(1_000, 1_000)] == ["a"]
    view.drop("b")
    assert view.find_excess(1_000, 1_000) == []
    view.add(0, make_link("c"), outbound=False)
    view.add(0, make_link("d"), outbound=False)
    assert [item.peer for item in view.find_excess(1_000, 1_000)] == ["c", "d"]


def test_few_neighbours_come_from_one_block():
    view = make_view(group_max=2)
    for number in range(2):
        assert view.allows(f"/ip4/8.8.0.{number}/tcp/1")
        view.add(0, make_link(str(number), f"/ip4/8.8.0.{number}/tcp/1"), outbound=False)
    assert not view.allows("/ip4/8.8.9.9/tcp/1")
    assert view.allows("/ip4/8.9.9.9/tcp/1")
    assert view.allows("/ip4/127.0.0.1/tcp/1")
