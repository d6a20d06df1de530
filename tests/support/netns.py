"""Hosts of a network of their own on this machine, which can be cut in parts, healed, made lossy.

A program enters namespaces of its own first, in which it may do all this without being root on the
machine; everything in them is gone when it ends, however it ends:

    enter_namespaces("tests.campaigns.consensus_cut")
    network = HostNetwork(4)
    network.cut([(0, 1), (2, 3)])
    network.heal()
    network.lose(0.05)

Each host has two interfaces: one in the network that is cut, and one that only the program itself
is at the other end of, through which it watches all parts at all times.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from meshnode.demo.processes import Crew, DemoNode
from tests.support.committee import Place, Seat

INSIDE_VARIABLE = "CAMPAIGN_NAMESPACES"
PORT = 4001
API_PORT = 7077
CLONE_NEWNET = 0x40000000
T = TypeVar("T")
_DRAWN_MAX = 2**32
_DROP = "4,32 0 0 4294963256,53 1 0 {below},6 0 0 2,6 0 0 4294967295"
"""A packet filter in the kernel's classic code: draw 32 random bits, drop the packet where they are
less than `below`, else let it pass. Most kernels have this, few have the queue made for it."""

UNSHARE = (
    *("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork"),
    *("--kill-child", "--mount-proc"),
)


def find_obstacle() -> str | None:
    """Why this machine lets nobody have namespaces; None where it does."""
    for tool in ("unshare", "ip"):
        if shutil.which(tool) is None:
            return f"there is no `{tool}` here"
    trial = "mount -t tmpfs none /run && ip netns add trial && ip link add trial type bridge"
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", trial], check=False, capture_output=True, text=True
    )
    return None if done.returncode == 0 else done.stderr.strip() or "not permitted"


def find_loss_obstacle() -> str | None:
    """Why links of these hosts cannot be made lossy; None where they can, or inside namespaces."""
    if os.environ.get(INSIDE_VARIABLE):
        return None
    if shutil.which("tc") is None:
        return "there is no `tc` here"
    rule = _make_drop_rule("trial", 0.5)
    trial = f"ip link add trial type bridge && tc qdisc add dev trial clsact && {rule}"
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", trial], check=False, capture_output=True, text=True
    )
    return None if done.returncode == 0 else done.stderr.strip() or "not permitted"


def enter_namespaces(module: str) -> None:
    """Go on inside namespaces of the own; the first call replaces this process."""
    if os.environ.get(INSIDE_VARIABLE):
        return
    os.environ[INSIDE_VARIABLE] = "1"
    os.execvp(UNSHARE[0], [*UNSHARE, sys.executable, "-m", module, *sys.argv[1:]])


def prepare_namespaces() -> None:
    """Once, before hosts are made."""
    run_command("mount -t tmpfs none /run")
    _ip("link set lo up")


class HostNetwork:
    """Hosts on one switch, or after a cut on several that know nothing of each other."""

    def __init__(self, hosts: int) -> None:
        self._hosts = hosts
        prepare_namespaces()
        for number in range(hosts):
            self._add_switch(number)
            self._add_host(number)
        self.heal()

    @property
    def places(self) -> list[Place]:
        """Where a node of each host listens."""
        return [
            Place(f"10.77.0.{number + 1}", PORT, f"10.78.{number}.2:{API_PORT}")
            for number in range(self._hosts)
        ]

    def _add_switch(self, number: int) -> None:
        _ip(f"link add switch{number} type bridge")
        _ip(f"link set switch{number} up")

    def _add_host(self, number: int) -> None:
        host = f"host{number}"
        _ip(f"netns add {host}")
        _ip(f"-n {host} link set lo up")
        _ip(f"link add port{number} type veth peer name eth0 netns {host}")
        _ip(f"link set port{number} up")
        _ip(f"-n {host} addr add 10.77.0.{number + 1}/24 dev eth0")
        _ip(f"-n {host} link set eth0 up")
        _ip(f"link add watch{number} type veth peer name eth1 netns {host}")
        _ip(f"addr add 10.78.{number}.1/24 dev watch{number}")
        _ip(f"link set watch{number} up")
        _ip(f"-n {host} addr add 10.78.{number}.2/24 dev eth1")
        _ip(f"-n {host} link set eth1 up")

    def cut(self, parts: Sequence[Sequence[int]]) -> None:
        """Only hosts of one part reach each other from now on; what is sent else gets lost."""
        for switch, part in enumerate(parts):
            for number in part:
                _ip(f"link set port{number} master switch{switch}")

    def heal(self) -> None:
        """Everybody reaches everybody."""
        self.cut([range(self._hosts)])

    def lose(self, share: float) -> None:
        """Drop such a share of all packets between hosts from now on, each by chance."""
        for number in range(self._hosts):
            # One packet on the wire is one packet that may get lost, not a bundle of them.
            _ip(f"-n host{number} link set eth0 gso_max_segs 1")
            run_command(f"tc qdisc replace dev port{number} clsact")
            run_command(_make_drop_rule(f"port{number}", share))

    def count_lost(self) -> int:
        """Packets that were dropped so far."""
        lost = 0
        for number in range(self._hosts):
            shown = json.loads(run_command(f"tc -s -j qdisc show dev port{number}"))
            lost += sum(each.get("drops", 0) for each in shown if each["kind"] == "clsact")
        return lost

    async def start(self, crew: Crew, seat: Seat) -> DemoNode:
        """Run a seat's process on its own host."""
        number = next(n for n, place in enumerate(self.places) if place == seat.place)
        return await self.run_on(number, lambda: seat.start(crew))

    async def run_on(self, number: int, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do something as if on a host: processes it starts are in that host's network."""
        return await asyncio.to_thread(run_inside, f"host{number}", make)


def run_inside(host: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do something in the network of a host: processes belong to that of who starts them."""
    home = Path("/proc/thread-self/ns/net")
    with home.open("rb") as before, (Path("/run/netns") / host).open("rb") as inside:
        _set_network(inside.fileno())
        try:
            return asyncio.run(make())
        finally:
            _set_network(before.fileno())


def _set_network(fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the network of a host")


def _ip(arguments: str) -> None:
    run_command(f"ip {arguments}")


def _make_drop_rule(device: str, share: float) -> str:
    code = _DROP.format(below=min(int(share * _DRAWN_MAX), _DRAWN_MAX - 1))
    return f"tc filter replace dev {device} ingress pref 1 handle 1 bpf da bytecode '{code}'"


def run_command(command: str) -> str:
    """Run a program to its end; answers what it printed."""
    done = subprocess.run(shlex.split(command), check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr.strip()}"
    return done.stdout
