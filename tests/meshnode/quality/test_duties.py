"""What a prober has to do, and when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from market.commands import CancelAll, Decline, ReportProbes
from market.sla import REPORT_GRACE_MS, WINDOW_MS
from meshnode.quality.duties import Duty, find_duties, find_sold, plan_offsets
from tests.support.market_scene import MarketScene, get_account

PROVIDER = get_account(5)


def make_scene() -> MarketScene:
    scene = MarketScene()
    scene.list_model()
    scene.make_provider(5)
    return scene


def test_duty_is_a_window_one_was_drawn_for_until_one_has_reported():
    scene = make_scene()
    assert find_duties(scene.state, get_account(0)) == []
    scene.trade()
    (duty,) = find_duties(scene.state, get_account(0))
    assert duty == Duty(PROVIDER, scene.time_ms // WINDOW_MS)
    assert find_duties(scene.state, get_account(4)) == []
    scene.say(0, ReportProbes(PROVIDER, duty.window, (True,) * 4))
    assert find_duties(scene.state, get_account(0)) == []
    assert find_duties(scene.state, get_account(1)) == [duty]
    scene.wait(WINDOW_MS + REPORT_GRACE_MS)
    assert find_duties(scene.state, get_account(1)) == []


def test_what_is_sold_is_what_is_delivered_or_else_what_is_offered():
    scene = make_scene()
    contract = scene.trade()
    (duty,) = find_duties(scene.state, get_account(0))
    sold = find_sold(scene.state, duty)
    assert sold is not None
    assert (sold.variant, sold.ask_uruv) == ("kimi-k2/fp8", None)
    scene.offer(5, 1_500, 3)
    scene.offer(5, 1_200, 3)
    sold = find_sold(scene.state, duty)
    assert sold is not None
    assert sold.ask_uruv == 1_200
    assert find_sold(scene.state, Duty(get_account(6), duty.window)) is None
    scene.say(5, Decline(contract.id))
    assert find_sold(scene.state, duty) == sold
    scene.say(5, CancelAll())
    assert find_sold(scene.state, duty) is None


def test_time_left_never_is_negative():
    assert Duty(PROVIDER, 2).count_left_ms(3 * WINDOW_MS - 5) == 5
    assert Duty(PROVIDER, 2).count_left_ms(3 * WINDOW_MS + 5) == 0


@given(st.integers(0, WINDOW_MS), st.integers(1, 20), st.binary(max_size=8))
def test_questions_are_spread_over_what_is_left(left_ms, count, seed):
    offsets = plan_offsets(left_ms, count, seed)
    assert offsets == sorted(offsets)
    assert len(offsets) == count
    for number, offset_ms in enumerate(offsets):
        assert left_ms * number // count <= offset_ms
        assert offset_ms <= left_ms * (number + 1) // count
