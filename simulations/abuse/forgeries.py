"""Signatures that do not hold, words of another network, proofs of somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from dag.canonical import encode
from dag.errors import Offence
from dag.intake import Intake
from dag.vertex import Envelope, encode_vertex
from meshnode.core import peers
from meshnode.core.admission import Admission
from meshnode.core.inputs import Candidate, Rejected
from meshnode.core.messages import Hello, Proof, Push
from meshnode.core.peers import Peers
from simulations.abuse.arena import SETTLE_MS, Forger, find_own_profile, make_mesh, tell
from simulations.abuse.rows import Row, Trial
from simulations.fuzzing.mutants.patches import answer
from simulations.identities import START_MS
from simulations.observers import Observer
from simulations.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dag.vertex import SignedVertex
    from meshnode.core.inputs import Input
    from meshnode.core.messages import Message
    from simulations.host import Host

FORGING_S: Final = 60


class _Refused(Observer):
    """Counts the vertices whose signatures a host has checked in vain."""

    def __init__(self, host: Host) -> None:
        self.count = 0
        self._host = host
        host.world.add_observer(self)

    def on_input(self, host: Host, entry: Input) -> None:
        """See `Observer`."""
        if host is self._host and isinstance(entry, Rejected):
            self.count += entry.offence is Offence.BAD_SIGNATURE


def forge_signatures(trial: Trial) -> int:
    """Ten forged vertices a second for a minute; answers how many a host has to check."""
    world, (victim, attacker, *_) = make_mesh(trial.seed, 4)
    refused = _Refused(victim)
    forger = Forger(attacker.identity, victim.settings.genesis)
    profile = find_own_profile(attacker)
    for number in range(10 * FORGING_S):
        signed = forger.make((profile,), seq=1, time_ms=START_MS + number)
        wire = encode(Envelope(encode_vertex(signed.vertex), bytes(len(signed.signature))))
        world.at(world.now_ms + 100 * number, tell, attacker, victim, Push((wire,)))
    world.run_for(1_000 * FORGING_S)
    return refused.count


def replay_another_network(trial: Trial) -> int:
    """What members said in one network is said in another; answers how many count as forked."""
    world, mesh = make_mesh(trial.seed, 5)
    victim, attacker, *others = mesh
    # The same people elsewhere: all they sign there is theirs, and of another network.
    genesis = msgspec.structs.replace(victim.settings.genesis, nonce=bytes([1] * 16))
    for host in others:
        host.publish(b"here")
    world.run_for(SETTLE_MS)
    wires = []
    for host in others:
        signed = Forger(host.identity, genesis).make(
            (find_own_profile(host),), seq=1, time_ms=START_MS, body=b"there"
        )
        wires.append(signed.wire)
    tell(attacker, victim, *(Push((wire,)) for wire in wires))
    world.run_for(SETTLE_MS)
    framed = {fork.author: None for fork in victim.summarise().forks}
    return sum(host.identity.author in framed for host in others)


def _check_any_network(right: Any) -> Any:
    def check_signed(self: Any, signed: SignedVertex) -> Candidate:
        own = self._network
        self._network = signed.vertex.network
        try:
            candidate: Candidate = right(self, signed)
        finally:
            self._network = own
        return candidate

    return check_signed


def _take_any_network(_right: Any) -> Any:
    return lambda _self, _vertex: None


class _Relay(Observer):
    """Takes a member's proof from one connection to another."""

    def __init__(self, world: World, member: Host, attacker: Host, victim: Host) -> None:
        self._member = member
        self._attacker = attacker
        self._victim = victim
        self.hello: Hello | None = None
        self.proof: Proof | None = None
        world.add_observer(self)
        attacker.mutator = self.speak

    def on_sent(self, host: Host, target: int, message: Message, size_bytes: int) -> None:
        """See `Observer`."""
        del size_bytes
        if host is self._member and target == self._attacker.index:
            if isinstance(message, Hello):
                self.hello = message
            elif isinstance(message, Proof):
                self.proof = message

    def speak(self, _host: Host, peer: str, message: Message) -> Sequence[Message]:
        """To the victim the member's words, to everybody else the own ones."""
        if peer == self._victim.name and self.hello is not None and self.proof is not None:
            if isinstance(message, Hello):
                return (self.hello,)
            if isinstance(message, Proof):
                return (self.proof,)
        return (message,)


def relay_a_proof(trial: Trial) -> int:
    """A member's handshake is passed on as the attacker's; answers connections in its name."""
    world = World(trial.seed, traced=False)
    mesh = world.add_mesh(3, known_members=True, start=False)
    victim, attacker, member = mesh
    _Relay(world, member, attacker, victim)
    member.start()
    attacker.start()
    world.run_for(SETTLE_MS)
    world.cut([member], [victim])
    victim.start()
    world.run_for(SETTLE_MS)
    name = member.identity.author
    return sum(one.author == name for one in victim.view().peers)


def _prove_nothing(_right: Any) -> Any:
    return lambda *_arguments: b"I am who I say"


ROWS: Final = (
    Row(
        name="bad-signatures",
        attack="vertices with forged signatures, 10 a second for a minute",
        defence="one ends the connection and bans transport and author for an hour",
        code="meshnode/core/peers.py, bans.py",
        figure="forgeries checked",
        bound=2,
        mount=forge_signatures,
        patches=((Peers, "offend", answer(None)),),
    ),
    Row(
        name="replay-network",
        attack="three members' vertices of another network, to frame them as forked",
        defence="the network's id is signed with every vertex",
        code="meshnode/core/admission.py, dag/intake.py",
        figure="members framed",
        bound=0,
        mount=replay_another_network,
        patches=(
            (Admission, "check_signed", _check_any_network),
            (Intake, "_check_alone", _take_any_network),
        ),
    ),
    Row(
        name="stolen-proof",
        attack="a member's HELLO and PROOF, passed on over an own connection",
        defence="a proof covers both transport ids, both nonces and the network",
        code="meshnode/core/peers.py, messages.py",
        figure="connections in a stolen name",
        bound=0,
        mount=relay_a_proof,
        patches=((peers, "compute_proof_message", _prove_nothing),),
    ),
)
