"""What neighbours say of others is kept in bounds."""

from __future__ import annotations

from meshnode.core.entropy import Entropy
from meshnode.core.passive_view import PassiveView


def make_view(count_max: int = 8) -> PassiveView:
    return PassiveView(Entropy(bytes(32)), count_max)


def test_view_is_bounded_and_goes_on_learning():
    view = make_view()
    for number in range(100):
        view.add(str(number))
    assert len(view) == 8
    assert "99" in view


def test_one_source_fills_a_quarter():
    view = make_view()
    for number in range(100):
        view.add(str(number), "liar")
    assert len(view) == 2


def test_source_of_what_is_known_stays():
    view = make_view()
    for source in ("one", "two", "three"):
        view.add("a", source)
    assert len(view) == 1
    view.discard("a")
    view.discard("a")
    assert len(view) == 0


def test_sample_has_each_once():
    view = make_view()
    for number in range(5):
        view.add(str(number))
    assert sorted(view.sample(9)) == ["0", "1", "2", "3", "4"]
    assert len(dict.fromkeys(view.sample(3))) == 3
