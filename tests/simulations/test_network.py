"""What arrives, when, and that every message is accounted for."""

from __future__ import annotations

from typing import Any

import pytest

from simulations.errors import BadModel
from simulations.kernel import NS_PER_MS, Kernel
from simulations.latency import Constant, Uniform
from simulations.network import ARRIVAL, Network, NetworkSettings, describe
from simulations.streams import Streams


class Scene:
    """Some nodes that note what arrives."""

    def __init__(self, nodes: int = 3, **settings: Any) -> None:
        self.kernel = Kernel()
        settings = {"latency": Constant(10), **settings}
        stream = Streams(1).get("network")
        self.network = Network(self.kernel, NetworkSettings(**settings), stream)
        self.got: list[tuple[float, int, int, Any]] = []
        for node in range(nodes):
            self.kernel.register(node, self._make_handler(node))

    def _make_handler(self, node: int):
        def handle(kind: int, payload: tuple[int, Any]) -> None:
            assert kind == ARRIVAL
            self.network.land(taken=True)
            source, message = payload
            self.got.append((self.kernel.now_ns / NS_PER_MS, source, node, message))

        return handle

    def run(self) -> list[tuple[float, int, int, Any]]:
        """Let everything arrive."""
        while self.kernel.step():
            pass
        return self.got

    def check_books(self) -> None:
        counters = self.network.counters
        assert counters.conserved
        pending = sum(kind == ARRIVAL for _, kind, _ in self.kernel.pending())
        assert counters.in_flight == pending
        assert counters.delivered == len(self.got)


def test_a_message_arrives_after_its_latency():
    scene = Scene()
    scene.network.send(0, 2, "m")
    assert scene.network.counters.in_flight == 1
    assert scene.run() == [(10.0, 0, 2, "m")]
    scene.check_books()


def test_jitter_spreads_around_the_latency():
    scene = Scene(jitter_sigma=0.2)
    for _ in range(1_001):
        scene.network.send(0, 1, None)
    times = [time_ms for time_ms, *_ in scene.run()]
    assert 9.5 < times[500] < 10.5
    assert times[0] < 8
    assert times[-1] > 13


def test_datagrams_are_lost_at_the_rate_asked_for():
    scene = Scene(loss=0.25)
    for _ in range(4_000):
        scene.network.send(0, 1, None)
    assert 0.72 < len(scene.run()) / 4_000 < 0.78
    assert scene.network.counters.dropped == 4_000 - len(scene.got)
    scene.check_books()


def test_datagrams_are_doubled():
    scene = Scene(duplicate=1.0)
    scene.network.send(0, 1, "m")
    assert [message for *_, message in scene.run()] == ["m", "m"]
    assert scene.network.counters.duplicated == 1
    scene.check_books()


def test_datagrams_overtake_each_other_when_reordered():
    scene = Scene(reorder=0.5)
    for number in range(100):
        scene.network.send(0, 1, number)
    numbers = [message for *_, message in scene.run()]
    assert numbers != sorted(numbers)
    assert sorted(numbers) == list(range(100))
    assert scene.got[-1][0] <= 60


def test_ordered_messages_never_overtake_and_never_vanish():
    scene = Scene(reliable=True, latency=Uniform(1, 100), loss=0.3, jitter_sigma=0.5)
    for number in range(300):
        scene.network.send(0, 1, number)
    assert [message for *_, message in scene.run()] == list(range(300))
    scene.check_books()


def test_loss_delays_what_is_ordered():
    scene = Scene(reliable=True, loss=1.0, retransmit_ms=100)
    scene.network.send(0, 1, None)
    (arrival,) = scene.run()
    assert arrival[0] == 10 + 100 * (2**6 - 1), "six doublings are the end of it"


def test_an_uplink_sends_one_message_after_the_other():
    scene = Scene(uplink_bps=8_000_000)
    for target in (1, 2, 1):
        scene.network.send(0, target, None, 5_000)
    scene.network.send(1, 2, None, 5_000)
    assert [(time_ms, target) for time_ms, _, target, _ in scene.run()] == [
        (15.0, 1),
        (15.0, 2),
        (20.0, 2),
        (25.0, 1),
    ]
    assert scene.network.counters.sent_bytes == 20_000


def test_a_node_may_have_an_uplink_of_its_own():
    scene = Scene(uplink_bps=8_000_000)
    scene.network.uplinks_bps[0] = 80_000_000
    scene.network.send(0, 1, None, 5_000)
    assert scene.run()[0][0] == 10.5


def test_a_cut_stops_both_directions_until_it_is_healed():
    scene = Scene()
    cuts = scene.network.cut([0], [1])
    for source, target in ((0, 1), (1, 0), (0, 2)):
        scene.network.send(source, target, "cut")
    assert [target for *_, target, _ in scene.run()] == [2]
    scene.network.heal(cuts)
    scene.network.send(0, 1, "healed")
    assert scene.run()[-1][3] == "healed"
    scene.check_books()


def test_a_cut_may_be_one_way():
    scene = Scene(reliable=True)
    scene.network.cut([0], [1, 2], both_ways=False)
    scene.network.send(0, 1, "there")
    scene.network.send(1, 0, "back")
    assert [message for *_, message in scene.run()] == ["back"]
    assert scene.network.is_cut(0, 2)
    assert not scene.network.is_cut(2, 0)
    assert not scene.network.is_dialable(2, 0), "a connection needs both directions"
    scene.check_books()


def test_heal_without_names_undoes_every_cut():
    scene = Scene()
    scene.network.cut([0], [1])
    scene.network.cut([1], [2])
    scene.network.heal()
    assert not any(scene.network.is_cut(a, b) for a in range(3) for b in range(3))


def test_a_clog_holds_messages_up_in_one_direction():
    scene = Scene()
    scene.network.clog(0, 1, 100 * NS_PER_MS)
    scene.network.send(0, 1, None)
    scene.network.send(1, 0, None)
    assert [time_ms for time_ms, *_ in scene.run()] == [10.0, 110.0]
    scene.network.unclog()
    assert scene.network.travel_ns(0, 1) == 10 * NS_PER_MS


def test_a_hidden_node_is_reached_only_by_those_it_called():
    scene = Scene()
    scene.network.hide(1)
    scene.network.send(0, 1, "uncalled")
    scene.network.send(1, 2, "call")
    scene.network.send(2, 1, "answer")
    assert [message for *_, message in scene.run()] == ["call", "answer"]
    assert not scene.network.is_dialable(0, 1)
    assert scene.network.is_dialable(1, 0)
    scene.network.show(1)
    assert scene.network.reaches(0, 1)
    scene.check_books()


def test_weather_may_change():
    scene = Scene()
    scene.network.change(NetworkSettings(latency=Constant(3)))
    scene.network.send(0, 1, None)
    assert scene.run()[0][0] == 3.0


@pytest.mark.parametrize("name", ["loss", "duplicate", "reorder"])
def test_shares_are_shares(name: str):
    with pytest.raises(BadModel, match=name):
        NetworkSettings(**{name: 1.5})  # type: ignore[arg-type]


def test_counters_make_a_row():
    scene = Scene()
    scene.network.send(0, 1, None, 7)
    row = describe(scene.network.counters)
    assert (row["messages_sent"], row["messages_in_flight"], row["sent_bytes"]) == (1, 1, 7)
