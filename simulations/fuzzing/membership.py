"""One run in which members come, leave and are put out while things go wrong.

Founders agree on one order under the faults of a plan, and vote on changes of their committee.
Guests come with tickets that may be too few, or be taken back, or come to an open network by
themselves; some leave for good, some are expelled by a vote, and so may founders be who lie. At
equal commits all honest hosts must have equal rolls. Once all is healed, the members hold the same,
nobody who is out takes part at any of them, no ticket let in more than it says, and every honest
guest that nobody put out and whose ticket is good is in.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace as change
from nacl import bindings as sodium

from dag.authors import is_first_profile
from dag.bodies import (
    ExpulsionBody,
    IdentityRevocation,
    Invitation,
    InvitationRevocation,
    Vouching,
)
from dag.canonical import encode
from dag.genesis import NewcomerLimits, Parameters, compute_network_id
from dag.identity import prove_bearer, sign_invitation
from dag.types import Kind
from meshnode.core.commands import Connect
from meshnode.core.events import Committed, OrderHalted
from meshnode.core.settings import Settings
from simulations.books import Books
from simulations.checkers import Authorship, Durability
from simulations.costs import Costs
from simulations.errors import CheckFailed, SimulationFailed, Unreached
from simulations.faults import find_clock_spread_ms, find_dishonest, find_kinds
from simulations.fuzzing.council import OPEN_MS, Council
from simulations.fuzzing.member_plan import Guest, MemberSpec
from simulations.fuzzing.run import TOLD_MS, name_failure
from simulations.identities import make_genesis, make_identity
from simulations.injector import Injector
from simulations.kernel import NS_PER_MS
from simulations.latency import Lognormal
from simulations.mesh import Mesh
from simulations.network import NetworkSettings
from simulations.observers import Observer
from simulations.order_checker import Order
from simulations.world import World

if TYPE_CHECKING:
    from meshnode.core.events import Event
    from simulations.host import Host

NOTES: Final = 80
HEAL_MS: Final = 240_000
LATER_MS: Final = 500
LINGERS_MS: Final = 30_000
"""Who is out may be told so, and is a peer until the next look at it."""
SEED_BYTES: Final = 32


class MemberResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run; equal for equal specs."""

    seed: int
    kinds: tuple[str, ...]
    check: str = ""
    """The promise that was broken; empty if none was."""
    message: str = ""
    digest: str = ""
    events: int = 0
    virtual_ms: int = 0
    agreed_ms: int = -1
    """From the end of the faults to agreement; -1 if there was none."""
    commits: int = 0
    reached: tuple[str, ...] = ()


class Rolls(Observer):
    """At equal commits all honest hosts have equal rolls, and the order never halts."""

    def __init__(self, honest: list[Host]) -> None:
        self._honest = {host.index: host for host in honest}
        self._roots: dict[int, bytes] = {}

    @property
    def commits(self) -> int:
        """How many commits were compared."""
        return len(self._roots)

    def on_fact(self, host: Host, event: Event) -> None:
        """A commit is told; the core may be further by then."""
        if host.index not in self._honest or not host.is_up:
            return
        if isinstance(event, OrderHalted):
            raise CheckFailed("one-order", f"{host.identity.name} has seen the order halt")
        if isinstance(event, Committed) and host.summarise().commit_index == event.commit.index:
            root = host.core.machines.roll.root()
            if self._roots.setdefault(event.commit.index, root) != root:
                name = f"{host.identity.name} at commit {event.commit.index}"
                raise CheckFailed("one-roll", f"the roll of {name} is another")


def run(spec: MemberSpec) -> MemberResult:
    """Simulate one run."""
    return MemberRun(spec).carry_out()


class MemberRun:
    """A world with founders and guests, its faults, its checkers and its phases."""

    def __init__(self, spec: MemberSpec) -> None:
        self.spec = spec
        latency = Lognormal(spec.median_ms, 0.1)
        self.world = World(
            spec.seed,
            fidelity="objects",
            tie_break="random",
            network=NetworkSettings(latency=latency, loss=spec.loss),
        )
        hosts = self._add_hosts()
        self.founders, self.guests = hosts[: spec.founders], hosts[spec.founders :]
        self.mesh = Mesh(self.world, hosts)
        dishonest = find_dishonest(spec.faults)
        self.honest = [host for host in hosts if host.index not in dishonest]
        self.first = next(host for host in self.founders if host in self.honest)
        self.books = Books(self.honest)
        self.durability = Durability(self.honest)
        self.order = Order(self.honest, self.books)
        self.rolls = Rolls(self.honest)
        judges = [host for host in self.founders if host in self.honest]
        seats = [one.author for one in self.first.settings.genesis.committee]
        self.council = Council(self.world, judges, seats)
        for observer in (
            self.books,
            # A guest shows its first profile to others before it stores it.
            Authorship(judges),
            self.durability,
            self.order,
            self.council,
            self.rolls,
        ):
            self.world.add_observer(observer)
        self.injector = Injector(self.world, self.mesh, spec.faults)
        self._limit_ms = HEAL_MS + find_clock_spread_ms(spec.faults)
        self._reached: dict[str, None] = {}
        self._agreed_ms = -1

    def _add_hosts(self) -> list[Host]:
        spec, streams = self.spec, self.world.streams
        identities = [
            make_identity(streams.derive(f"identity {number}"), f"node-{number}", "ed25519")
            for number in range(spec.founders + len(spec.guests))
        ]
        genesis = make_genesis(identities[: spec.founders], "ed25519")
        limits = NewcomerLimits(0, 0, probation_hours=1) if spec.is_open else None
        genesis = change(genesis, parameters=Parameters(open=spec.is_open), newcomers=limits)
        self.network = compute_network_id(genesis)
        return [
            self.world.add_host(
                identity,
                Settings(
                    genesis=genesis,
                    author=identity.author,
                    transport=identity.transport,
                    addresses=identity.addresses,
                    profile=encode(identity.profile),
                    agent="simulation",
                    validates=number < spec.founders,
                ),
                costs=Costs(),
                start=False,
            )
            for number, identity in enumerate(identities)
        ]

    def carry_out(self) -> MemberResult:
        """Go through all phases, and say how it ended."""
        check = message = ""
        try:
            self._go()
        except SimulationFailed as error:
            check, message = name_failure(error), error.message
        except Unreached as error:
            check, message = "liveness", f"{error.message}: {self._describe_stuck()}"
        except CheckFailed as error:
            check, message = error.check, error.message
        return MemberResult(
            seed=self.spec.seed,
            kinds=find_kinds(self.spec.faults),
            check=check,
            message=message,
            digest=self.world.digest,
            events=self.world.kernel.events,
            virtual_ms=self.world.kernel.now_ns // NS_PER_MS,
            agreed_ms=self._agreed_ms,
            commits=self.rolls.commits,
            reached=tuple(sorted(self._reached)),
        )

    def _go(self) -> None:
        spec, world = self.spec, self.world
        guests = dict.fromkeys(self.guests)
        for host in self.injector.hosts:
            if host not in guests:
                host.start()
        self._schedule()
        self.council.schedule(spec.safety_ms)
        world.run_for(spec.safety_ms)
        # Who has not come yet comes when its inviter has spoken.
        self.injector.hosts = [host for host in self.injector.hosts if host.life]
        self.injector.heal()
        self._agreed_ms = world.run_until(self._is_settled, self._limit_ms)
        world.run_for(TOLD_MS)
        self._check_end()
        world.run_until(lambda: not self._list_lingering(), LINGERS_MS)

    # --- what happens ---------------------------------------------------------------------------

    def _schedule(self) -> None:
        spec, world = self.spec, self.world
        stream = world.streams.get("workload")
        for place, ticket in enumerate(spec.tickets):
            if ticket.taken_back_ms:
                host = self.founders[ticket.inviter]
                back = InvitationRevocation(_get_key(place))
                world.at(ticket.taken_back_ms, self._say, host, back, "ticket taken back")
        for host, plan in zip(self.guests, spec.guests, strict=True):
            world.at(plan.comes_ms, self._come, host, plan)
            if plan.vouched_ms:
                word = Vouching(host.identity.author)
                world.at(plan.vouched_ms, self._say, self.first, word, "vouched for")
            if plan.leaves_ms:
                world.at(plan.leaves_ms, self._say, host, IdentityRevocation("stolen"), "left")
            if plan.expelled_ms:
                world.at(plan.expelled_ms, self._expel, host)
        for number, at_ms in spec.expelled:
            world.at(at_ms, self._expel, self.founders[number])
        for _ in range(NOTES):
            host = self.mesh[stream.randrange(len(self.mesh))]
            at_ms = stream.randrange(200, spec.safety_ms)
            world.at(at_ms, self._publish, host, stream.randbytes(40))

    def _publish(self, host: Host, body: bytes) -> None:
        if host.is_up:
            host.publish(body)

    def _say(self, host: Host, word: msgspec.Struct, name: str) -> None:
        if host.is_up:
            host.publish(encode(word), kind=Kind.MEMBERSHIP)
            self._reached[name] = None

    def _expel(self, host: Host) -> None:
        asker = self.first
        if asker.is_up:
            deadline_ms = asker.read_clock_ms() + OPEN_MS
            body = ExpulsionBody(host.identity.author, "floods", deadline_ms)
            asker.publish(encode(body), kind=Kind.DECISION)
            self._reached["expulsion asked for"] = None

    def _come(self, host: Host, plan: Guest) -> None:
        founder = self.first
        if plan.ticket is not None:
            founder = self.founders[self.spec.tickets[plan.ticket].inviter]
            shown = self._find_profile(host, founder.identity.author)
            if shown is None:  # its inviter has said nothing yet, or only in times to come
                self.world.at(self.world.now_ms + LATER_MS, self._come, host, plan)
                return
            host.settings = self._make_invited(host, founder, plan.ticket, shown)
        host.connect_at_start = (Connect(founder.identity.transport, founder.identity.addresses),)
        host.start()
        self._reached["by itself" if plan.ticket is None else "with a ticket"] = None

    def _make_invited(self, host: Host, inviter: Host, place: int, shown: bytes) -> Settings:
        issuer, uses = inviter.identity, self.spec.tickets[place].uses
        invitation = Invitation(
            self.network, issuer.author, _get_key(place), "peer", uses, 0, grant_uruv=0
        )
        signed = sign_invitation(issuer.secrets, "ed25519", invitation)
        proved = prove_bearer(_get_seed(place), self.network, host.identity.author, signed)
        return replace(
            host.settings,
            profile=encode(change(host.identity.profile, invitation=encode(proved))),
            inviter=issuer.author,
            credentials=(shown,),
        )

    def _find_profile(self, host: Host, author: bytes) -> bytes | None:
        """An author's first profile, once a guest's clock is far enough for it."""
        latest_ms = host.read_clock_ms() + host.settings.genesis.parameters.future_hold_ms
        for signed in self.books.vertices.values():
            vertex = signed.vertex
            if vertex.author == author and is_first_profile(vertex) and vertex.time_ms < latest_ms:
                return signed.wire
        return None

    # --- the end --------------------------------------------------------------------------------

    def _list_members(self) -> list[Host]:
        """Honest hosts that are in, by the order of the first honest founder."""
        return [host for host in self.honest if self._get_standing(host) in {"member", "newcomer"}]

    def _get_standing(self, host: Host) -> str:
        record = self.first.core.machines.roll.get(host.identity.author)
        return "" if record is None else record.standing

    def _is_settled(self) -> bool:
        if not self.council.is_done or self._list_awaited():
            return False
        first = self.first.summarise()
        for host in self._list_members():
            one = host.summarise()
            if (one.heads_digest, one.commit_index) != (first.heads_digest, first.commit_index):
                return False
            if one.speech != "open" or one.publications_queued or one.unordered:
                return False
            if one.quarantined or one.held or one.fetching or one.unknown_authors:
                return False
        return True

    def _list_awaited(self) -> list[Host]:
        """Honest guests whose ticket is good for all who have one like it, and who are not in yet."""
        plans = self.spec.guests
        awaited = []
        for host, plan in zip(self.guests, plans, strict=True):
            if host not in self.honest or plan.ticket is None or self._get_standing(host):
                continue
            ticket = self.spec.tickets[plan.ticket]
            holders = sum(other.ticket == plan.ticket for other in plans)
            lies = self.founders[ticket.inviter] not in self.honest
            if not ticket.taken_back_ms and holders <= ticket.uses and not lies:
                awaited.append(host)
        return awaited

    def _list_lingering(self) -> list[str]:
        """Who is out, and takes part at an honest member all the same."""
        return [
            f"{peer.name} at {host.identity.name}"
            for host in self._list_members()
            for peer in host.view().peers
            if host.core.machines.roll.is_gone(peer.author)
        ]

    def _check_end(self) -> None:
        members = self._list_members()
        roots = {host.core.machines.roll.root() for host in members}
        if len(roots) != 1:
            raise CheckFailed("one-roll", f"{len(roots)} different rolls at the end")
        self.council.check_end()
        for place, ticket in enumerate(self.spec.tickets):
            inviter = self.founders[ticket.inviter].identity.author
            used = self.first.core.machines.roll.count_uses(inviter, _get_key(place))
            if used > ticket.uses:
                raise CheckFailed("tickets", f"ticket {place} let in {used}, not {ticket.uses}")
        for owner in members:
            acknowledged = self.durability.acknowledged.get(owner.index, ())
            for vertex_id in self.order.find_missing(acknowledged):
                name = f"{vertex_id.hex()[:12]} of {owner.identity.name}"
                raise CheckFailed("ordered", f"{name} has no place in the order")
        self._note_reached()

    def _note_reached(self) -> None:
        roll = self.first.core.machines.roll
        for record in roll.list_records():
            self._reached[f"is {record.standing}"] = None
        if self.council.epochs:
            self._reached["another committee"] = None
        if any(host.life and not self._get_standing(host) for host in self.guests):
            self._reached["never let in"] = None

    def _describe_stuck(self) -> str:
        awaited = [host.identity.name for host in self._list_awaited()]
        lines = [
            f"awaited {awaited}, votes done {self.council.is_done}, out {self._list_lingering()}"
        ]
        for host in self._list_members():
            view = host.view()
            lines.append(
                f"{host.identity.name} {view.speech} {len(view.peers)} peers "
                f"heads {view.heads_digest.hex()[:8]} commit {view.commit_index} "
                f"unordered {view.unordered} queued {view.publications_queued} "
                f"waiting {view.quarantined} {view.refusal}"
            )
        return "; ".join(lines)


def _get_seed(place: int) -> bytes:
    return (place + 1).to_bytes(SEED_BYTES, "big")


def _get_key(place: int) -> bytes:
    key: bytes = sodium.crypto_sign_seed_keypair(_get_seed(place))[0]
    return key
