"""`meshnode join TICKET`."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from meshnode.cli.blocking import interruptible
from meshnode.cli.down import read_clock_s
from meshnode.cli.exits import FAILED, OK
from meshnode.cli.formats import format_count, format_id
from meshnode.cli.options import ForegroundOption, HomeOption, JsonOption, accept_stdin
from meshnode.cli.output import clean_line, note, print_json, say
from meshnode.cli.setup import (
    check_engine,
    choose_key_passphrase,
    load_settings,
    prepare_identity,
)
from meshnode.cli.starting import run_in_foreground, start_in_background
from meshnode.cli.up import DEFAULTS, NodeOptions
from meshnode.client import connect
from meshnode.errors import CommandRejected
from meshnode.home import open_home
from meshnode.runtime_file import find_runtime
from meshnode.ticket import TICKET_CHARACTERS_MAX, decode_ticket

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.home import Home
    from meshnode.views import NodeStatus

CONNECT_TIMEOUT_S: Final = 15.0
"""After this long without any peer a person should know."""
_POLL_S: Final = 0.1


async def join(
    ticket: Annotated[
        str,
        Parameter(
            help="What `meshnode invite` printed; '-' reads it from stdin.",
            allow_leading_hyphen=True,
            validator=accept_stdin,
        ),
    ],
    *,
    options: NodeOptions = DEFAULTS,
    foreground: ForegroundOption = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Join a mesh: with the running node if it is alone, else with one that is started."""
    text = _read_ticket(ticket)
    decode_ticket(text)  # a slip of the hand is told before anything is made
    flags = options.make_flags()
    config = load_settings(home, **flags)
    check_engine(config)
    assert config.home is not None, "settings always name a home"
    opened = open_home(config.home, check=config.host_binding)
    if find_runtime(opened.runtime_path) is not None:
        if any(value is not None for value in flags.values()):
            note("a node runs already: its settings stay, and what was given here is left out")
        async with connect(config.home) as node:
            await node.join(text)
    else:
        passphrase = choose_key_passphrase(opened, config)
        prepare_identity(opened, passphrase)
        if foreground:
            await run_in_foreground(config, passphrase=passphrase, ticket=text)
            return OK
        await start_in_background(config, flags, passphrase=passphrase, ticket=text, quiet=True)
    status = await wait_for_peer(config.home)
    if json:
        print_json(status.to_json())
    else:
        say(describe_membership(status))
        if is_candidate(opened):
            say(
                "the validators are asked to give this node a seat; it makes blocks from then on, "
                "and `meshnode validators list` shows it"
            )
    return OK if status.peers_ready else FAILED


def describe_membership(status: NodeStatus) -> str:
    """What a join has led to, in one line."""
    network = f"{clean_line(status.network_name, 32)} ({format_id(status.network)})"
    if status.peers_ready:
        peers = format_count(status.peers_ready, "peer")
        return f"joined {network}: {peers} connected, api http://{status.api}"
    return (
        f"joined {network}, but no peer is connected yet; the node keeps trying, and "
        "`meshnode doctor` shows what it tried"
    )


def is_candidate(home: Home) -> bool:
    """Whether this home was invited as a validator."""
    from meshnode.invitations import was_invited_as_validator

    network = home.get_current_network()
    return network is not None and was_invited_as_validator(network.membership.invitation)


async def wait_for_peer(home: Path, *, timeout_s: float = CONNECT_TIMEOUT_S) -> NodeStatus:
    """The node's status once a peer is connected, or as it is after a while."""
    end = read_clock_s() + timeout_s
    async with connect(home) as node:
        while True:
            status = await node.status()
            if status.peers_ready or read_clock_s() > end:
                return status
            await asyncio.sleep(_POLL_S)


def _read_ticket(ticket: str) -> str:
    """The ticket, or what stands on stdin: command lines can be read by others."""
    if ticket != "-":
        return ticket
    with interruptible():
        text = sys.stdin.readline(TICKET_CHARACTERS_MAX + 2).strip()
    if not text:
        raise CommandRejected("there is no ticket on standard input", hint="paste one into it")
    return text
