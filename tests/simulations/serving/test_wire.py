"""Messages between routers and replicas: late, in order, and cut."""

from __future__ import annotations

from simulations.kernel import NS_PER_MS, Kernel
from simulations.serving.fleet import Paths
from simulations.serving.wire import Wire
from simulations.streams import Streams


def make(jitter: float = 0.0) -> tuple[Kernel, Wire, list[object]]:
    kernel = Kernel(traced=False)
    wire = Wire(kernel, Paths(((100.0,),), jitter), Streams(0).get("wire"))
    return kernel, wire, []


def test_message_takes_half_a_round_trip():
    kernel, wire, heard = make()
    wire.to_replica(0, 0, lambda: heard.append(kernel.now_ns))
    wire.to_router(0, 0, lambda: heard.append(kernel.now_ns))
    kernel.run(10**12)
    assert heard == [50 * NS_PER_MS] * 2


def test_messages_keep_their_order_whatever_the_network_does():
    kernel, wire, heard = make(jitter=0.8)
    for number in range(50):
        wire.to_router(0, 0, heard.append, number)
    kernel.run(10**12)
    assert heard == list(range(50))


def test_partition_holds_what_is_sent_and_what_is_under_way_until_it_heals():
    kernel, wire, heard = make()
    wire.to_replica(0, 0, heard.append, "under way")
    wire.cut(0, 0)
    wire.to_router(0, 0, heard.append, "sent")
    kernel.run(200 * NS_PER_MS)
    assert heard == []
    wire.heal(0, 0)
    wire.heal(0, 0)
    wire.to_replica(0, 0, heard.append, "healed")
    kernel.run(10**12)
    assert sorted(map(str, heard)) == ["healed", "sent", "under way"]
