"""Surrounding a node: many peers of one operator want to be its only ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dag.canonical import encode
from meshnode.core.commands import Connect
from meshnode.core.messages import Disconnect, Neighbour, Shuffle, ShuffleReply
from meshnode.core.overlay import Overlay
from meshnode.core.settings import Limits, Settings, Timing
from simulations.abuse.arena import ENDLESS
from simulations.abuse.rows import Row, Trial
from simulations.history import make_past
from simulations.identities import Identity, make_genesis, make_identity
from simulations.world import World

if TYPE_CHECKING:
    from meshnode.core.messages import Message
    from simulations.host import Host

HONEST: Final = 16
ATTACKERS: Final = 24
FEW_HONEST: Final = 8
SURROUND_MS: Final = 40_000
DIAL_EVERY_MS: Final = 2_000
SURROUNDED_S: Final = 300
LARGE: Final = Limits(full_mesh_max=6)
Locate = Callable[[int], str]
"""The address of an attacker."""


def _in_one_block(number: int) -> str:
    return f"/ip4/66.66.{number}.1/tcp/4001"


def _in_many_blocks(number: int) -> str:
    return f"/ip4/67.{number}.1.1/tcp/4001"


class Siege:
    """A mesh of honest members, one of them the victim, and one operator's many."""

    def __init__(
        self,
        trial: Trial,
        honest: int,
        locate: Locate,
        limits: Limits,
        timing: Timing | None = None,
    ) -> None:
        """With `limits` and `timing` for the victim alone."""
        self.world = world = World(trial.seed, traced=False)
        people = []
        for number in range(honest + ATTACKERS):
            own = number - honest
            address = locate(own) if own >= 0 else f"/ip4/68.{number}.1.1/tcp/4001"
            seed = world.streams.derive(f"identity {number}")
            identity = make_identity(seed, f"node-{number}", "ed25519")
            people.append(replace(identity, addresses=(address,)))
        genesis = make_genesis(people, "ed25519")
        past = make_past(genesis, people)
        hosts = [
            world.add_host(
                one,
                Settings(
                    genesis=genesis,
                    author=one.author,
                    transport=one.transport,
                    addresses=one.addresses,
                    profile=encode(one.profile),
                    limits=limits if number == 0 else LARGE,
                    timing=(timing if number == 0 else None) or Timing(),
                ),
                past=past,
                start=False,
            )
            for number, one in enumerate(people)
        ]
        self.victim = hosts[0]
        self.honest = hosts[1:honest]
        self.attackers = hosts[honest:]
        self._identities: Sequence[Identity] = people[honest:]
        self._names = {host.name: None for host in self.attackers}
        for host in self.attackers:
            host.mutator = self._speak

    def _speak(self, _host: Host, peer: str, message: Message) -> Sequence[Message]:
        """To the victim everybody is urgent, and nobody is known but the own kind."""
        if peer != self.victim.name:
            return (message,)
        if isinstance(message, Neighbour):
            return (Neighbour(urgent=True),)
        if isinstance(message, Shuffle | ShuffleReply | Disconnect):
            own = tuple(one.author for one in self._identities[: len(message.peers)])
            return (msgspec.structs.replace(message, peers=own),)
        return (message,)

    def start(self, hosts: Sequence[Host]) -> None:
        """Bring members up."""
        for host in hosts:
            host.start()

    def surround(self, duration_ms: int) -> None:
        """Let every attacker dial the victim again and again."""
        name, addresses = self.victim.name, self.victim.settings.addresses
        for _ in range(duration_ms // DIAL_EVERY_MS):
            for host in self.attackers:
                if name not in host.core.get_ready_peers():
                    host.submit(Connect(name, addresses))
            self.world.run_for(DIAL_EVERY_MS)

    def count_attackers(self, *, chosen: bool = False) -> int:
        """How many of the victim's neighbours, or of those it has chosen, are attackers."""
        active = self.victim.core._overlay._active  # noqa: SLF001 - who chose whom shows nowhere
        found = active.pick(outbound=True) if chosen else active.all
        return sum(item.peer in self._names for item in found)

    def count_chosen(self) -> int:
        """How many neighbours the victim has chosen itself."""
        return len(self.victim.core._overlay._active.pick(outbound=True))  # noqa: SLF001 - as above

    def count_neighbours(self) -> int:
        """How many neighbours the victim has."""
        return len(self.victim.core._overlay.neighbours)  # noqa: SLF001 - as above


def surround_from_one_block(trial: Trial) -> int:
    """24 attackers behind one /16 dial a newcomer; answers how many it has as neighbours."""
    limits = LARGE if trial.guarded else Limits(full_mesh_max=6, group_max=ENDLESS)
    siege = Siege(trial, HONEST, _in_one_block, limits)
    siege.start([*siege.honest, *siege.attackers])
    siege.world.run_for(5_000)
    siege.start([siege.victim])
    siege.surround(SURROUND_MS)
    return siege.count_attackers()


def surround_from_everywhere(trial: Trial) -> int:
    """24 attackers with 24 blocks; answers in percent how many of the neighbours they are."""
    loose = Limits(full_mesh_max=6, outbound_min=0, inbound_max=10)
    siege = Siege(trial, HONEST, _in_many_blocks, LARGE if trial.guarded else loose)
    siege.start([*siege.honest, *siege.attackers])
    siege.world.run_for(5_000)
    siege.start([siege.victim])
    siege.surround(SURROUND_MS)
    return 100 * siege.count_attackers() // siege.count_neighbours()


def wait_for_a_restart(trial: Trial) -> int:
    """Attackers come while a node is down; answers how many of those it then chooses they are."""
    siege = Siege(trial, FEW_HONEST, _in_many_blocks, LARGE)
    siege.start([siege.victim, *siege.honest])
    siege.world.run_for(20_000)
    siege.victim.crash()
    siege.world.cut(siege.attackers, siege.honest)  # they have eyes for the victim only
    siege.start(siege.attackers)
    siege.world.run_for(5_000)
    siege.start([siege.victim])
    siege.surround(10_000)
    return siege.count_attackers(chosen=True)


def stay_surrounded(trial: Trial) -> int:
    """Only attackers are there at first; answers after how many seconds one it chose is honest."""
    timing = Timing() if trial.guarded else Timing(cross_check_ms=ENDLESS)
    siege = Siege(trial, HONEST, _in_many_blocks, LARGE, timing)
    siege.start([siege.victim, *siege.attackers])
    siege.surround(10_000)
    siege.start(siege.honest)
    for second in range(SURROUNDED_S):
        if siege.count_attackers(chosen=True) < siege.count_chosen():
            return second
        siege.world.run_for(1_000)
    return SURROUNDED_S


def _start_without_anchors(right: Any) -> Any:
    return lambda self, _stored: right(self, b"")


ROWS: Final = (
    Row(
        name="eclipse-block",
        attack="24 members behind one /16 dial a newcomer, all of them urgent",
        defence="2 neighbours of one /16, or of one /32 of IPv6",
        code="meshnode/core/active_view.py, address_group.py",
        figure="attackers among the neighbours",
        bound=2,
        mount=surround_from_one_block,
    ),
    Row(
        name="eclipse-places",
        attack="24 members with a /16 each dial a newcomer, and name only each other",
        defence="4 neighbours are the node's own choice, nobody takes their place",
        code="meshnode/core/active_view.py, overlay.py",
        figure="% of the neighbours that attack",
        bound=90,
        mount=surround_from_everywhere,
    ),
    Row(
        name="eclipse-stays",
        attack="24 members are all there is at first, and stay when 15 others come",
        defence="each minute one of the 4 is exchanged for a member drawn from all",
        code="meshnode/core/overlay.py",
        figure="s until one it chose is honest",
        bound=240,
        mount=stay_surrounded,
    ),
    Row(
        name="eclipse-restart",
        attack="24 members join 8 while a node is down, and surround it as it comes back",
        defence="the 4 neighbours chosen last are tried first after a start",
        code="meshnode/core/overlay.py",
        figure="attackers among 4 it chooses",
        bound=1,
        mount=wait_for_a_restart,
        patches=((Overlay, "start", _start_without_anchors),),
    ),
)
