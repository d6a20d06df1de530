"""The blocking form of a node."""

from __future__ import annotations

import asyncio
import gc
import inspect
import signal
import subprocess
import sys
import threading
import weakref

import pytest

from market.commands import Stake
from meshnode import NodeHandle, RemoteNode
from meshnode.engines.base import EngineError
from meshnode.errors import (
    CommandRejected,
    ConfigError,
    DeadlineExceeded,
    MarketRefused,
    NoDaemon,
    NodeClosed,
)
from meshnode.node.blobs import Blobs
from meshnode.remote_blobs import RemoteBlobs
from meshnode.sync import Node
from meshnode.sync_blobs import SyncBlobs
from meshnode.transport.memory import MemoryNetwork
from meshnode.views import Delta, Finished, Started
from tests.support.fake_node import MEMBER, open_gateway
from tests.support.serving_net import gated

OWN_ONLY = {
    *("start_blobs", "start_engine", "start_sealing", "start_trading", "set_discovery"),
    *("readings", "wait_stopped", "open_openai_door"),
}
"""What opens a node, measures it, or waits for its end calls; no application does."""
REMOTE_ONLY = {
    *("join", "shutdown", "pid", "api", "openai_url", "since_ms", "startup"),
    "open_openai_door",
}
"""About the process that a node runs in, of which a node of one's own has none."""
BLOBS_ONLY = {"receive", "read_texts", "find_readers", "store", "keep", "keep_or_refuse"}
"""What the rest of the node uses."""
VARIABLE = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
OPTIONS = {"transport": None, "suite": "ed25519", "engine": "echo"}


def open_solo(**options) -> Node:
    return Node(**{**OPTIONS, "transport": MemoryNetwork(), **options})


def list_public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def list_parameters(method) -> list[inspect.Parameter]:
    return [*inspect.signature(method).parameters.values()]


@pytest.mark.parametrize(
    ("asynchronous", "left_out", "blocking", "further"),
    [
        (NodeHandle, OWN_ONLY, Node, {"connect"}),
        (RemoteNode, REMOTE_ONLY, Node, {"connect", "author", "name", "peer_id", "addresses"}),
        (Blobs, BLOBS_ONLY, SyncBlobs, set()),
        (RemoteBlobs, {"receive"}, SyncBlobs, set()),
    ],
)
def test_blocking_form_has_every_method_of_the_asynchronous_one(
    asynchronous, left_out, blocking, further
):
    assert left_out <= list_public(asynchronous)
    assert list_public(asynchronous) - left_out == list_public(blocking) - further


@pytest.mark.parametrize(
    ("asynchronous", "blocking"),
    [(NodeHandle, Node), (RemoteNode, Node), (Blobs, SyncBlobs), (RemoteBlobs, SyncBlobs)],
)
def test_blocking_form_takes_every_argument_of_the_asynchronous_one(asynchronous, blocking):
    lacking: list[str] = []
    for name in list_public(asynchronous) & list_public(blocking):
        if isinstance(getattr(asynchronous, name), property):
            continue
        given = list_parameters(getattr(blocking, name))
        takes_more = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in given)
        defaults = {each.name: each.default for each in given if each.kind not in VARIABLE}
        for each in list_parameters(getattr(asynchronous, name)):
            by_name = each.kind is inspect.Parameter.KEYWORD_ONLY
            passed_on = takes_more and by_name and each.name not in defaults
            if not passed_on and defaults.get(each.name, lacking) != each.default:
                lacking.append(f"{name}({each.name})")
    assert lacking == []


def test_node_says_who_it_is_and_who_is_there():
    with open_solo(name="solo") as node:
        status = node.status()
        assert (node.name, node.author, node.peer_id) == ("solo", status.author, status.peer_id)
        assert node.addresses == status.addresses
        node.wait_for_peers(0, timeout_ms=20_000)
        with pytest.raises(DeadlineExceeded, match="0 of 1 peers"):
            node.wait_for_peers(timeout_ms=1)


def test_node_looks_after_members_and_invitations():
    with open_solo(name="solo", engine="none") as node:
        (own,) = node.members(standing="member")
        assert node.member("solo") == own
        assert own.author == node.author
        node.invite(uses=3)
        (invitation,) = node.invitations()
        node.revoke_invitation(invitation.key)
        with pytest.raises(CommandRejected):
            node.expel("nobody", reason="floods")
        with pytest.raises(CommandRejected):
            node.vouch("nobody")
        with pytest.raises(CommandRejected, match="the only validator"):
            node.revoke_identity(reason="it leaves")


def test_node_has_embeddings_only_of_its_engine():
    with open_solo() as node, pytest.raises(EngineError, match="makes no embeddings"):
        node.embed({"model": "auto", "input": "hi"})


def test_node_gives_a_blocking_client_of_the_sdk():
    with open_solo() as node, node.openai() as client:
        answer = client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "hello"}]
        )
        said = answer.choices[0].message.content
        assert said is not None
        assert said.endswith("hello")


def test_missing_sdk_is_one_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with open_solo() as node, pytest.raises(ConfigError, match="needs the package openai"):
        node.openai()


async def test_connected_node_has_the_same_methods(tmp_path):
    async with open_gateway(tmp_path):
        node = await asyncio.to_thread(Node.connect, tmp_path)
        try:
            assert await asyncio.to_thread(node.member, "the attic") == MEMBER
            assert await asyncio.to_thread(getattr, node, "name") == "ada"
            await asyncio.to_thread(node.wait_for_peers, 0, timeout_ms=20_000)
            with pytest.raises(DeadlineExceeded, match="0 of 2 peers"):
                await asyncio.to_thread(node.wait_for_peers, 2, timeout_ms=1)
            with await asyncio.to_thread(node.openai) as client:
                assert client.api_key
        finally:
            await asyncio.to_thread(node.close)


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
