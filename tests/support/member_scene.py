"""Meshes of cores in which members come by invitation, leave, and are expelled.

net = make_member_net(4)                      # four founders, all validators
guest = invite(net, net.hosts[0], bearer=1)   # not up yet
expel(net, net.hosts[3], voters=(0, 1, 2))
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace
from nacl import bindings as sodium

from consensus.roll import Roll
from dag.authors import is_first_profile
from dag.bodies import BallotBody, ExpulsionBody, IdentityRevocation, Invitation
from dag.canonical import encode
from dag.genesis import NewcomerLimits, Parameters
from dag.identity import prove_bearer, sign_invitation
from dag.types import Kind
from meshnode.core.commands import Connect
from tests.support.core_net import CoreNet, Host, make_addressed_genesis
from tests.support.dag_builder import make_person

SETTLE_MS = 3_000
HOUR_MS = 3_600_000


def make_member_net(
    count: int = 4, *, newcomers: NewcomerLimits | None = None, **parameters: Any
) -> CoreNet:
    """Founders who are all validators, connected and with a few commits behind them."""
    people = [make_person(number) for number in range(count)]
    genesis = replace(
        make_addressed_genesis(people),
        parameters=Parameters(open=newcomers is not None, **parameters),
        newcomers=newcomers,
    )
    net = CoreNet(count, genesis=genesis, validates=True)
    net.start()
    net.run(SETTLE_MS)
    return net


def seed_of(bearer: int) -> bytes:
    """The secret of a ticket."""
    return bearer.to_bytes(32, "big")


def key_of(bearer: int) -> bytes:
    """What names its invitation."""
    return sodium.crypto_sign_seed_keypair(seed_of(bearer))[0]


def invite(
    net: CoreNet,
    inviter: Host,
    *,
    bearer: int = 1,
    uses: int = 1,
    expires_ms: int = 0,
) -> Host:
    """A newcomer with a ticket of a member; it is not up yet."""
    person = make_person(len(net.hosts))
    issuer = inviter.person
    invitation = Invitation(net.network, issuer.author, key_of(bearer), "peer", uses, expires_ms, 0)
    signed = sign_invitation(issuer.secrets, "ed25519", invitation)
    proved = encode(prove_bearer(seed_of(bearer), net.network, person.author, signed))
    shown = next(
        signed.wire
        for signed in inviter.journal.values()
        if signed.vertex.author == issuer.author and is_first_profile(signed.vertex)
    )
    profile = person.profile(proved, addresses=(f"/sim/{person.name}",))
    return net.add(person, profile=encode(profile), inviter=issuer.author, credentials=(shown,))


def come(net: CoreNet) -> Host:
    """Somebody who comes to an open network by itself, and knows one founder; it is up."""
    person = make_person(len(net.hosts))
    host = net.add(person)
    host.start()
    founder = net.hosts[0]
    host.submit(Connect(founder.name, founder.settings.addresses))
    return host


def say(host: Host, word: msgspec.Struct) -> None:
    """Publish a word on membership."""
    host.publish(encode(word), kind=Kind.MEMBERSHIP)


def leave(host: Host, reason: str = "stolen") -> None:
    """An author ends its own identity."""
    say(host, IdentityRevocation(reason))


def expel(net: CoreNet, member: Host, *, voters: tuple[int, ...], reason: str = "floods") -> None:
    """Ask the first voter's network to expel a member, and let all voters say yes."""
    host = net.hosts[voters[0]]
    before = dict.fromkeys(host.journal)
    body = ExpulsionBody(member.person.author, reason, net.now_ms + HOUR_MS)
    host.publish(encode(body), kind=Kind.DECISION)
    net.run(200)
    (proposal,) = [
        key
        for key, signed in host.journal.items()
        if key not in before
        and signed.vertex.kind == Kind.DECISION
        and signed.vertex.author == host.person.author
    ]
    for voter in voters:
        net.hosts[voter].publish(encode(BallotBody(proposal, 0, "")), kind=Kind.DECISION)


def roll(host: Host) -> Roll:
    """The members as a host knows them."""
    return host.core.machines.roll


def standing(host: Host, other: Host) -> str:
    """What a host takes another for; empty for who has not come into its order."""
    record = roll(host).get(other.person.author)
    return "" if record is None else record.standing


def peers(host: Host) -> set[bytes]:
    """Authors that take part at a host."""
    return {peer.author for peer in host.core.view().peers}


def agree(hosts: list[Host]) -> bool:
    """Whether hosts have equal heads and equal rolls."""
    heads = {host.core.summarise().heads_digest for host in hosts}
    return len(heads) == 1 and len({roll(host).root() for host in hosts}) == 1
