"""A network with one member on it that lets joiners in, and ways for it to lie."""

from __future__ import annotations

from dag.genesis import encode_genesis
from dag.types import Kind
from meshnode.errors import InvalidMessage
from meshnode.invitations import InvitationBook
from meshnode.joining import JoinServer, request_admission
from meshnode.ticket import Ticket
from meshnode.transport.base import PeerId
from meshnode.transport.memory import MemoryNetwork, MemoryTransport
from tests.support.dag_builder import DagBuilder, make_person

JOINER = make_person(77)
MEMBER, STRANGER = PeerId("member"), PeerId("stranger")


class Member:
    """A member that serves joiners; `offences` holds what its streams raised."""

    def __init__(self, serve):
        self._serve = serve
        self.offences = []

    def connected(self, peer, *, inbound, remote_address):
        pass

    def disconnected(self, peer, *, reason):
        pass

    async def deliver(self, peer, channel, frames):
        pass

    async def serve(self, stream):
        try:
            await self._serve(stream)
        except InvalidMessage as error:
            self.offences.append(error)

    def offended(self, peer, *, offence, detail):
        pass


class Scene:
    """A network with a member on it, a ticket, and ways to lie."""

    def __init__(self, tmp_path, *, suite="ed25519", inviter=0, parameters=None):
        self.dag = DagBuilder(2, suite=suite, parameters=parameters).profiles()
        while inviter >= len(self.dag.people):
            self.dag.join(len(self.dag.people) - 1)
        self.person = self.dag.people[inviter]
        self.hub = MemoryNetwork()
        self.book = InvitationBook(tmp_path / "book")
        self.credentials = [
            signed.wire
            for signed in self.dag.vertices
            if signed.vertex.kind == Kind.PROFILE
            and signed.vertex.author != self.dag.people[0].author
        ]
        if inviter == 0:
            self.credentials = [self.dag.vertices[0].wire]
        self.now_ms = 0
        self.server = JoinServer(
            network=self.dag.network,
            genesis=encode_genesis(self.dag.genesis),
            peer=MEMBER,
            invitations=self.book,
            load_credentials=self._load,
            now_ms=lambda: self.now_ms,
            is_open=parameters is not None and parameters.open,
        )
        self.seed = self.issue()
        self.member = Member(self.server.serve)
        self.transport = MemoryTransport(self.hub, MEMBER)

    def issue(self, person=None):
        person = person or self.person
        return self.book.issue(
            person.secrets,
            self.dag.suite,
            network=self.dag.network,
            inviter=person.author,
            uses=1,
            expires_ms=100,
            role="peer",
            now_ms=0,
        )

    def ticket(self, **changes):
        values = {
            "network": self.dag.network,
            "network_name": "test",
            "suite": self.dag.suite,
            "peer": MEMBER,
            "addresses": ("memory:member",),
            "bearer_seed": self.seed,
        }
        return Ticket(**{**values, **changes})

    async def join(self, ticket=None, person=JOINER):
        transport = MemoryTransport(self.hub, PeerId("joiner"))
        return await request_admission(transport, ticket or self.ticket(), person.author)

    async def _load(self):
        return self.credentials

    async def __aenter__(self):
        await self.transport.start(self.member)
        return self

    async def __aexit__(self, *_):
        await self.transport.close()
