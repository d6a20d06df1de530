"""The checks of `meshnode doctor` about finding members and being found, way by way.

What only a running node can know is `?` without one, never a guess.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import time
from typing import TYPE_CHECKING, Final

import msgspec

from meshnode.cli.checks import Check
from meshnode.cli.peers import shorten_address
from meshnode.cli.probes import probe_address
from meshnode.cli.stores import NoStore, find_own_store
from meshnode.errors import MeshError
from meshnode.home import open_home

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from meshnode.config import NodeConfig
    from meshnode.views import NodeStatus

TRIED_MAX: Final = 8
"""Addresses of one kind that are tried."""
CLOCK_MS: Final = 60_000
"""Files of the home that are so far ahead tell of a clock that went back."""
BOOK_KEY: Final = "address-book"
ANSWERS: Final = "something listens there"
_book_decoder: Final = msgspec.msgpack.Decoder(dict[str, tuple[str, ...]])


async def check_ways_offline(path: Path, config: NodeConfig) -> list[Check]:
    """Every way as far as it can be looked at while no node runs here."""
    book = await asyncio.to_thread(read_book, path)
    return [
        *[await check_listen(path, text) for text in config.listen],
        *[Check("advertise", "info", f"others are told {text}") for text in config.advertise],
        await asyncio.to_thread(check_clock, path),
        *await check_invitation(path),
        *await _check_book(book),
        check_mdns(config),
        *await _check_points(config.rendezvous),
        _check_relay(config),
        _check_direct(config),
        Check("reachable", "unknown", "only a peer that dials back can tell: start the node"),
    ]


async def check_ways_running(path: Path, status: NodeStatus) -> list[Check]:
    """Every way, as the running node has tried it."""
    checks = [await _check_own_address(text) for text in status.addresses]
    names = {way.name for way in status.ways}
    if "clock" not in names:
        checks.append(await asyncio.to_thread(check_clock, path))
    checks += await check_invitation(path)
    checks += [Check(way.name, way.state, way.detail, way.fix) for way in status.ways]
    if not status.ways:
        checks.append(Check("reachable", "unknown", "this node does not say how it finds others"))
    return checks


# --- where this node listens --------------------------------------------------------------------


async def check_listen(path: Path, text: str) -> Check:
    """Whether the node could listen at an address now. Nothing is made."""
    try:
        resolved = await asyncio.to_thread(_resolve, path, text)
    except MeshError as error:
        return Check("listen", "unknown", f"{text}: {error.message}", error.hint)
    parts = resolved.split("/")
    if len(parts) < 5 or parts[1] not in {"ip4", "ip6"} or not parts[4].isdecimal():
        return Check("listen", "unknown", f"{text}: not an address that can be tried")
    port = int(parts[4])
    try:
        server = await asyncio.get_running_loop().create_server(
            asyncio.Protocol, parts[2], port or None
        )
    except OSError as error:
        return _describe_listen(error, text, resolved)
    server.close()
    await server.wait_closed()
    which = f"port {port} is free" if port else "any free port"
    return Check("listen", "ok", f"{parts[2]}, {which}")


def _resolve(path: Path, text: str) -> str:
    return open_home(path).resolve_listen(text) if path.exists() else text


def _describe_listen(error: OSError, text: str, resolved: str) -> Check:
    if error.errno == errno.EADDRINUSE:
        if text != resolved:
            detail = f"{resolved} of the last run is in use; another port will be taken"
            fix = (
                "tickets that name the old one lead nowhere: end the other program, or invite anew"
            )
            return Check("listen", "info", detail, fix)
        fix = "end the other program, or choose another port with --listen"
        return Check("listen", "fail", f"{resolved} is in use", fix)
    if error.errno == errno.EADDRNOTAVAIL:
        fix = "listen on /ip4/0.0.0.0/tcp/0, or on an address this machine has"
        return Check("listen", "fail", f"this machine has no address {resolved}", fix)
    if error.errno == errno.EACCES:
        return Check("listen", "fail", f"{resolved} needs more rights", "choose a port above 1023")
    return Check("listen", "unknown", f"{resolved}: {error.strerror}")


async def _check_own_address(text: str) -> Check:
    result = await probe_address(text)
    shown = shorten_address(text)
    if result == ANSWERS:
        return Check("listen", "ok", f"{shown} answers from this machine")
    if "/ip4/127." in text or "/ip6/::1/" in text:
        return Check("listen", "fail", f"{shown}: {result}", "restart the node")
    # Many routers do not lead a machine back to itself.
    return Check("listen", "unknown", f"{shown} from this machine: {result}")


# --- time ---------------------------------------------------------------------------------------


def check_clock(path: Path) -> Check:
    """Whether the clock can be right: it is not behind what this home has seen."""
    now_s = time.time()
    try:
        newest_s = max((item.stat().st_mtime for item in path.iterdir()), default=0.0)
    except OSError:
        newest_s = 0.0
    if (newest_s - now_s) * 1_000 > CLOCK_MS:
        minutes = int(newest_s - now_s) // 60
        fix = "set the clock, best by NTP: peers hold back what is stamped too far ahead"
        return Check("clock", "fail", f"it is {minutes} minutes behind files of this home", fix)
    return Check("clock", "unknown", "not behind this home's files; only peers can tell more")


# --- addresses that are known -------------------------------------------------------------------


async def check_invitation(path: Path) -> list[Check]:
    """Whether anybody answers where the invitation leads."""
    try:
        addresses = await asyncio.to_thread(_read_invitation, path)
    except MeshError as error:
        return [Check("invitation", "unknown", error.message, error.hint)]
    if addresses is None:
        return [Check("invitation", "info", "none yet; `meshnode join` takes a ticket")]
    if not addresses:
        return [Check("invitation", "info", "this node founded its network")]
    return await _check_addresses(
        "invitation",
        addresses,
        "the inviter has moved or is down: ask for a new ticket, or name a member with `rendezvous`",
    )


def _read_invitation(path: Path) -> list[str] | None:
    """Where the ticket said that the inviter is; None before there is a network."""
    network = open_home(path).get_current_network() if path.exists() else None
    if network is None:
        return None
    return [text for one in network.membership.bootstrap for text in one.addresses]


async def _check_book(book: dict[str, tuple[str, ...]] | None) -> list[Check]:
    if book is None:
        return [Check("book", "unknown", "the address book cannot be read now")]
    if not book:
        return [Check("book", "info", "the address book is empty: no peer was connected yet")]
    addresses = [text for known in book.values() for text in known[:1]]
    shown = Check("book", "info", f"{len(book)} peers in the address book")
    fix = "nobody answers where they were: name a member with `rendezvous`, or ask for a new ticket"
    return [shown, *await _check_addresses("book", addresses, fix)]


def read_book(path: Path) -> dict[str, tuple[str, ...]] | None:
    """The peers a home remembers, by transport id; None where that cannot be read."""
    try:
        journal = find_own_store(path).journal
        connection = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
        try:
            row = connection.execute(
                "SELECT value FROM named_values WHERE key = ?", (BOOK_KEY,)
            ).fetchone()
        finally:
            connection.close()
        return {} if row is None else _book_decoder.decode(row[0])
    except NoStore:
        return {}
    except (MeshError, sqlite3.Error, msgspec.MsgspecError):
        return None


async def _check_addresses(name: str, addresses: Sequence[str], fix: str) -> list[Check]:
    """One line for each; broken only where none of them answers."""
    tried = list(dict.fromkeys(addresses))[:TRIED_MAX]
    results = await asyncio.gather(*(probe_address(text) for text in tried))
    details = [f"{shorten_address(t)}: {r}" for t, r in zip(tried, results, strict=True)]
    if ANSWERS in results:
        return [Check(name, "ok", detail) for detail in details]
    if all(result.startswith("?") for result in results):
        return [Check(name, "unknown", detail) for detail in details]
    *others, last = details
    return [*(Check(name, "info", detail) for detail in others), Check(name, "fail", last, fix)]


# --- ways that settings open --------------------------------------------------------------------


def check_mdns(config: NodeConfig) -> Check:
    """Whether members on this LAN could be found."""
    if not config.mdns:
        return Check("mdns", "info", "off", "set `mdns = true` to find members on this LAN")
    hosts = [text.split("/")[2] for text in config.listen if text.startswith("/ip4/")]
    if not hosts:
        fix = "listen on an IPv4 address, or set `mdns = false`"
        return Check("mdns", "fail", "on, but the node listens on no IPv4 address", fix)
    return Check("mdns", "unknown", "on; what it finds is known while the node runs")


async def _check_points(texts: Sequence[str]) -> list[Check]:
    if not texts:
        fix = "name a member that has `serve_rendezvous = true` with `rendezvous`"
        return [Check("rendezvous", "info", "no point is named", fix)]
    fix = "check the address, and that its node runs"
    return await _check_addresses("rendezvous", texts, fix)


def _check_relay(config: NodeConfig) -> Check:
    if config.serve_relay:
        return Check("relay", "info", "this node will relay for members")
    if not config.use_relays:
        return Check("relay", "info", "`use_relays` is false: this node takes no places")
    return Check("relay", "unknown", "relays are known while the node runs")


def _check_direct(config: NodeConfig) -> Check:
    if not config.punch_holes:
        detail = "`punch_holes` is false: peers met at a relay stay there"
        return Check("direct", "info", detail)
    return Check("direct", "unknown", "whether peers get past their relays is seen while it runs")
