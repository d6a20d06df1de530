"""Hosts behind routers on this machine: real TCP stacks, and real address translation between them.

    network = await asyncio.to_thread(NatNetwork, [Nat.KEPT, Nat.SYMMETRIC])
    await network.run_on(network.relay, ...)      # out in the open
    await network.run_on(network.hidden[0], ...)  # behind the first router

Inside the namespaces of `tests.support.netns`. Each hidden host has a network of its own behind a
router of its own; the routers and the relay are on one switch, which stands for the Internet. All
hosts have a second interface that only the program itself is at the other end of.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.support.netfilter import Nat, set_up_router
from tests.support.netns import (
    API_PORT,
    INSIDE_VARIABLE,
    PORT,
    UNSHARE,
    run_command,
    run_inside,
)

T = TypeVar("T")
_FORWARD = "sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'"


@dataclass(frozen=True)
class NatHost:
    """A host that a node can run on."""

    name: str
    number: int
    address: str
    public: str
    """Where others see it."""

    @property
    def flags(self) -> dict[str, Any]:
        """What a node here is started with."""
        return {
            "api": f"10.78.{self.number}.2:{API_PORT}",
            "api_insecure": True,
            "listen": [f"/ip4/{self.address}/tcp/{PORT}"],
            "engine": "none",
        }


class NatNetwork:
    """One host out in the open, and others behind routers."""

    def __init__(self, routers: Sequence[Nat]) -> None:
        self._spaces: list[str] = []
        _ip("link add internet type bridge")
        _ip("link set internet up")
        self.relay = NatHost("relay", 0, "203.0.113.10", "203.0.113.10")
        self._add_space(self.relay.name)
        self._plug(self.relay.name, "eth0", 0, self.relay.address)
        self._watch(self.relay)
        self.hidden = [self._add_site(number, nat) for number, nat in enumerate(routers, 1)]

    def close(self) -> None:
        """Take it all away."""
        for space in self._spaces:
            _ip(f"netns del {space}")
        _ip("link del internet")

    async def run_on(self, host: NatHost, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do something as if on a host: processes it starts are in that host's network."""
        return await asyncio.to_thread(run_inside, host.name, make)

    def _add_site(self, number: int, nat: Nat) -> NatHost:
        router, public = f"router{number}", f"203.0.113.{10 + number}"
        host = NatHost(f"hidden{number}", number, f"192.168.{number}.2", public)
        self._add_space(router)
        self._add_space(host.name)
        self._plug(router, "wan", number, public)
        _ip(f"-n {router} link add lan type veth peer name eth0 netns {host.name}")
        self._set_up(router, "lan", f"192.168.{number}.1")
        self._set_up(host.name, "eth0", host.address)
        _ip(f"-n {host.name} route add default via 192.168.{number}.1")
        _ip(f"netns exec {router} {_FORWARD}")
        run_inside(router, lambda: _translate(nat))
        self._watch(host)
        return host

    def _add_space(self, name: str) -> None:
        _ip(f"netns add {name}")
        _ip(f"-n {name} link set lo up")
        self._spaces.append(name)

    def _plug(self, name: str, interface: str, number: int, address: str) -> None:
        _ip(f"link add plug{number} type veth peer name {interface} netns {name}")
        _ip(f"link set plug{number} master internet up")
        self._set_up(name, interface, address)

    def _watch(self, host: NatHost) -> None:
        number = host.number
        _ip(f"link add watch{number} type veth peer name eth1 netns {host.name}")
        _ip(f"addr add 10.78.{number}.1/24 dev watch{number}")
        _ip(f"link set watch{number} up")
        self._set_up(host.name, "eth1", f"10.78.{number}.2")

    @staticmethod
    def _set_up(space: str, interface: str, address: str) -> None:
        _ip(f"-n {space} addr add {address}/24 dev {interface}")
        _ip(f"-n {space} link set {interface} up")


async def _translate(nat: Nat) -> None:
    set_up_router("wan", nat, port=PORT)


def _ip(arguments: str) -> None:
    run_command(f"ip {arguments}")


def find_nat_obstacle() -> str | None:
    """Why there are no routers on this machine; None where there are, or inside namespaces."""
    if os.environ.get(INSIDE_VARIABLE):
        return None
    trial = f"from {set_up_router.__module__} import *; set_up_router('lo', Nat.MOVED, port={PORT})"
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-c", trial], check=False, capture_output=True, text=True
    )
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
