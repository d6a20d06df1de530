"""A node that answers from a script, and a process around it, for tests of what stands before."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from meshnode.errors import NoPeerServes
from meshnode.event_views import PeerJoined, VerticesOrdered
from meshnode.gateway.app import Gateway
from meshnode.gateway.port import NotReady, Phase
from meshnode.route_views import PlacementInfo, RouteCandidate, RouteInfo
from meshnode.runtime_file import make_runtime_record, write_runtime
from meshnode.views import Delta, Finality, Finished, HeadsInfo, PeerInfo, Started, VertexDetail
from tests.support.fake_blobs import FakeBlobs
from tests.support.fake_market import FakeMarket
from tests.support.views import (
    make_answer,
    make_decision,
    make_invitation,
    make_member,
    make_status,
    make_vertex,
)

STATUS = make_status(name="ada", engine=None, members=1, peers_ready=0)
DECISION = make_decision()
MEMBER = make_member()
INVITATION = make_invitation()
VERTEX = make_vertex("note", "ada", 1, kind="note")
ANSWER = make_answer(text="hello world", name="ada", local=True)
STARTED = Started(
    model="echo", engine="echo", author="aa" * 32, peer="12D3KooW", name="ada", local=True
)
FINALITY = Finality(
    vertex=VERTEX.id, final=True, commit_index=7, commit_digest="dd" * 32, time_ms=9
)
COMMIT = VerticesOrdered(
    commit_index=7, commit_digest="dd" * 32, time_ms=9, vertices=(VERTEX.id,), leader="ee" * 32
)
ROUTE_CANDIDATE = RouteCandidate(
    name="bob",
    peer="12D3KooX",
    author="bb" * 32,
    local=False,
    chosen=True,
    eligible=True,
    obstacle="",
    detail="",
    model="echo",
    revision="1",
    cost_us=20_000,
    rtt_us=2_000,
    prefill_us=3_000,
    decode_us=15_000,
    penalty_us=0,
    cached_tokens=512,
    miss_tokens=64,
    queue_tokens=0,
    requests=1,
    slots=4,
    age_ms=900,
    suspect=False,
)
ROUTE = RouteInfo(
    model="auto",
    prompt_tokens=12,
    chosen="12D3KooX",
    reason="least_cost",
    retry_after_ms=0,
    candidates=(ROUTE_CANDIDATE,),
)
PLACEMENT = PlacementInfo(
    time_ms=9,
    role="asking",
    requester="aa" * 32,
    owner="bb" * 32,
    backend="hosted",
    engine="echo",
    model="echo",
    allowed=True,
    reason="least_cost",
)
EVENT = PeerJoined(peer="12D3KooW", author="aa" * 32, name="ada")


class FakeNode(FakeMarket):
    """Records what it is asked; `hold` makes a question wait until it is cancelled."""

    def __init__(self, status=STATUS):
        self.blobs = FakeBlobs()
        self.calls = []
        self.fails = None
        self.fails_late = None
        self.hold = False
        self.waiting = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.status_view = status
        self.answer = ANSWER
        self.events_queue: asyncio.Queue = asyncio.Queue()
        self.stopped = asyncio.Event()
        self.stopped_by = None

    def _record(self, name, *args, **options):
        self.calls.append((name, args, options))
        if self.fails is not None:
            raise self.fails

    async def _wait(self):
        if self.hold:
            self.waiting.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise

    async def status(self):
        self._record("status")
        return self.status_view

    async def peers(self):
        self._record("peers")
        return [PeerInfo(author="ff" * 32, name="bob", ready=True, rtt_ms=3)]

    async def heads(self):
        self._record("heads")
        return HeadsInfo(digest="cc" * 32, vertices=1, lamport=1, heads=VERTEX.parents)

    async def vertices(self, **options):
        self._record("vertices", **options)
        return [VERTEX]

    async def vertex(self, vertex_id):
        self._record("vertex", vertex_id)
        return VertexDetail(vertex=VERTEX, body={"title": "x"}, wire="00")

    async def route(self, prompt="", **options):
        self._record("route", prompt, **options)
        return ROUTE

    async def placements(self, **options):
        self._record("placements", **options)
        return [PLACEMENT]

    async def ask(self, prompt, **options):
        self._record("ask", prompt, **options)
        await self._wait()
        return self.answer

    async def stream(self, prompt, **options):
        self._record("stream", prompt, **options)
        yield STARTED
        yield Delta(text="hello ", chunk={"n": 1})
        await self._wait()
        if self.fails_late is not None:
            raise self.fails_late
        yield Finished(answer=self.answer)

    async def embed(self, request):
        self._record("embed", request)
        return {"object": "list", "data": [], "model": "e", "usage": {}}

    async def publish(self, content, **options):
        self._record("publish", content, **options)
        return VERTEX

    async def propose(self, question, **options):
        self._record("propose", question, **options)
        return VERTEX

    async def propose_committee(self, stakes, **options):
        self._record("propose_committee", stakes, **options)
        return VERTEX

    async def vote(self, decision_id, option, **options):
        self._record("vote", decision_id, option, **options)
        return VERTEX

    async def decisions(self, **options):
        self._record("decisions", **options)
        return [DECISION]

    async def decision(self, decision_id, **options):
        self._record("decision", decision_id, **options)
        return DECISION

    async def members(self, **options):
        self._record("members", **options)
        return [MEMBER]

    async def member(self, author):
        self._record("member", author)
        return MEMBER

    async def expel(self, author, **options):
        self._record("expel", author, **options)
        return VERTEX

    async def vouch(self, author):
        self._record("vouch", author)
        return VERTEX

    async def revoke_identity(self, **options):
        self._record("revoke_identity", **options)
        return VERTEX

    async def invitations(self):
        self._record("invitations")
        return [INVITATION]

    async def revoke_invitation(self, key):
        self._record("revoke_invitation", key)
        return VERTEX

    async def invite(self, **options):
        self._record("invite", **options)
        return "mesh1ticket"

    async def finality(self, vertex_id, **options):
        self._record("finality", vertex_id, **options)
        return FINALITY

    async def events(self, **options):
        self._record("events", **options)
        try:
            while True:
                event = await self.events_queue.get()
                if event is None:
                    return
                yield event
        finally:
            self.cancelled.set()

    async def wait_stopped(self):
        await self.stopped.wait()
        if self.stopped_by is not None:
            raise self.stopped_by


class FakeHost:
    """A process in whatever phase a test wants."""

    def __init__(self):
        self.node = FakeNode()
        self.phase = Phase(name="ready", detail="ready", elapsed_ms=7)
        self.tickets = []
        self.readings = None
        self.stopping = asyncio.Event()

    def get_node(self):
        if not self.phase.ready:
            raise NotReady(f"the node is starting: {self.phase.detail}", hint="try again")
        return self.node

    def read_meters(self):
        return self.readings if self.phase.ready else None

    async def join(self, ticket):
        self.tickets.append(ticket)
        return self.node.status_view

    def request_shutdown(self):
        self.stopping.set()


NO_PEER = NoPeerServes("nobody serves 'kimi'", hint="served: echo")


@asynccontextmanager
async def open_gateway(path=None, **options):
    """A gateway on a free port; with a path its runtime file is written there."""
    host = FakeHost()
    gateway = Gateway(host, **{"api": "127.0.0.1:0", **options})
    await gateway.start()
    try:
        if path is not None:
            record = make_runtime_record(
                api=gateway.api, token=gateway.token, since_ms=5, version="0.1.0"
            )
            write_runtime(path / "runtime.json", record)
        yield host, gateway
    finally:
        await gateway.close()
