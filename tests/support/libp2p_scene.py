"""A node under attack: a victim with an honest peer, and trio for the attacker."""

from __future__ import annotations

import asyncio

from meshnode.transport.base import Channel
from tests.support.transports import DEADLINE_S, connected


class Scene:
    """A victim with an honest peer, and trio for an attacker."""

    def __init__(self, lab, guest):
        self.lab = lab
        self.guest = guest

    async def open(self, limits=None):
        self.victim = await self.lab.start("victim", limits)
        self.honest = await self.lab.start("honest")
        await self.honest.dial(self.victim)
        await connected(self.honest, self.victim)
        self.addresses = self.victim.transport.addresses

    async def attack(self, function, *args):
        return await asyncio.wait_for(self.guest.run(function, *args), 2 * DEADLINE_S)

    async def check_honest(self):
        """The honest peer is still connected, was never disconnected and is served."""
        before = len(self.victim.seen.frames)
        assert self.honest.send(self.victim, Channel.CONTROL, b"still here")
        mine = (self.honest.id, Channel.CONTROL, b"still here")
        await self.victim.seen.until(lambda: mine in self.victim.seen.frames[before:])
        assert self.honest.seen.count("disconnected") == 0

    def offences(self):
        return [offence for _, offence, _ in self.victim.seen.offences]
