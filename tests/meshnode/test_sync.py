"""The blocking form of a node."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import weakref

import pytest

from market.commands import Stake
from meshnode.errors import CommandRejected, ConfigError, MarketRefused, NoDaemon, NodeClosed
from meshnode.sync import Node
from meshnode.transport.memory import MemoryNetwork
from meshnode.views import Delta, Finished, Started
from tests.support.serving_net import gated

OPTIONS = {"transport": None, "suite": "ed25519", "engine": "echo"}


def open_solo(**options) -> Node:
    return Node(**{**OPTIONS, "transport": MemoryNetwork(), **options})


def test_node_asks_publishes_and_lists():
    with open_solo(name="solo") as node:
        note = node.publish("Paris", title="fact")
        answer = node.ask("hello", knowledge=[note.id])
        assert answer.text.endswith("hello")
        assert node.status().name == "solo"
        assert node.peers() == []
        assert node.vertices(kind="note")[0].id == note.id
        assert node.vertex(answer.vertex).vertex.kind == "result"
        assert len(node.vertices()) == 3
        assert node.route("hello").reason == "only_candidate"
        assert [row.allowed for row in node.placements()] == [True]
        assert node.invite().startswith("mesh1")


def test_node_decides():
    with open_solo(engine="none") as node:
        question = node.propose("Tea?", options=["tea", "coffee"])
        node.vote(question.id, "tea", reason="thirst")
        decided = node.decision(question.id, wait_ms=30_000)
        assert (decided.status, decided.winner) == ("passed", "tea")
        change = node.propose_committee({}, profile="cft")
        assert node.decision(change.id, wait_ms=1_000).status == "open"
        assert [one.id for one in node.decisions(status="open")] == [change.id]


def test_node_trades():
    with open_solo(engine="none", name="solo") as node:
        assert node.wallet().free_uruv == 1_000_000_000
        node.market_list("kimi/fp8")
        assert [one.variant for one in node.market_instruments()] == ["kimi/fp8"]
        watching = node.market_watch(after=0)
        assert next(watching).entries[0].kind == "carried"
        watching.close()
        node.wallet_send("11" * 32, 5, memo="hello")
        node.wallet_stake(700)
        node.wallet_unstake(100)
        node.wallet_mint("solo", 9)
        bid = node.market_bid("kimi/fp8", price_uruv=1_000, lots=2)
        assert [one.id for one in node.market_orders()] == [bid.id]
        assert node.market_book("kimi/fp8").bids[0].lots == 2
        digest = "00" * 32
        node.market_attest(
            "kimi/fp8",
            backend="own_weights",
            terms_digest=digest,
            terms_version="1",
            hardware_digest=digest,
            daily_cap_lots=5,
        )
        assert len(node.market_attestations()) == 1
        with pytest.raises(MarketRefused, match="too little staked"):
            node.market_offer("kimi/fp8", price_uruv=10_000, lots=9)
        node.market_revoke("kimi/fp8")
        node.market_cancel(bid.id)
        said = node.market_submit([Stake(1)])
        assert node.market_submission(said.vertex) == said
        assert node.market().minted_uruv == 1_000_000_009
        assert node.market_trades() == []
        assert node.market_contracts() == []
        with pytest.raises(CommandRejected, match="no contracts begin with"):
            node.market_contract("ab")
        assert node.market_reputation().score_bp == 0
        assert node.market_audit().verified
        assert node.wallet_history(limit=1)[0].kind == "staked"


def test_node_streams_to_a_plain_loop():
    with open_solo() as node:
        items = list(node.stream("a b"))
    assert isinstance(items[0], Started)
    assert isinstance(items[-1], Finished)
    assert all(isinstance(item, Delta) for item in items[1:-1])


def test_leaving_a_stream_stops_the_work():
    engine = gated("first")
    with open_solo(engine=engine) as node:
        stream = node.stream("hi")
        assert isinstance(next(stream), Started)
        stream.close()
        status = node.status()
        assert status.engine is not None
        assert status.engine.running == 0


def test_events_come_in_a_plain_loop():
    with open_solo() as node:
        events = node.events()
        published = threading.Timer(0, lambda: node.publish("news"))
        published.start()
        seen = next(event for event in events if event.type == "vertex_seen")
        published.join()
        assert node.finality(seen.vertex.id, wait_ms=20_000).final
        events.close()


def test_closed_node_says_so():
    node = open_solo()
    stream = node.stream("a b c")
    next(stream)
    node.close()
    node.close()
    with pytest.raises(NodeClosed):
        node.status()
    stream.close()


def test_node_that_cannot_open_raises_in_the_callers_thread():
    before = threading.active_count()
    with pytest.raises(ConfigError, match="no setting 'colour'"):
        open_solo(colour="blue")
    assert threading.active_count() == before


async def test_node_works_where_a_loop_runs_already():
    assert asyncio.get_running_loop().is_running()
    with open_solo() as node:
        assert node.ask("from a notebook").verified


def test_interrupt_cancels_the_call():
    engine = gated()
    with open_solo(engine=engine) as node:
        previous = signal.signal(signal.SIGALRM, _interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(KeyboardInterrupt):
                node.ask("hi")
        finally:
            signal.signal(signal.SIGALRM, previous)
        assert engine.entered.is_set()
        assert node.status().engine is not None, "the node itself goes on"


def _interrupt(_signal, _frame):
    raise KeyboardInterrupt


def test_interrupt_while_opening_stops_the_node():
    before = threading.active_count()
    engine = gated()

    async def never():
        await asyncio.Event().wait()

    engine.start = never  # type: ignore[method-assign]
    previous = signal.signal(signal.SIGALRM, _interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            open_solo(engine=engine)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert threading.active_count() == before


def test_forgotten_node_ends():
    node = open_solo()
    thread = node._worker._thread
    gone = weakref.ref(node)
    del node
    gc.collect()
    assert gone() is None
    thread.join(5)
    assert not thread.is_alive()


def test_process_ends_by_itself_when_a_node_was_not_closed():
    code = (
        "from meshnode.sync import Node; from meshnode.transport.memory import MemoryNetwork;"
        "node = Node(engine='echo', transport=MemoryNetwork()); print(node.ask('bye').verified)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout.strip(), done.stderr) == ("True", "")


def test_node_says_so_when_there_is_none_to_connect_to(tmp_path):
    with pytest.raises(NoDaemon):
        Node.connect(tmp_path)
