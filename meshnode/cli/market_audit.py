"""`meshnode market audit`: an account's chain of events, shown, exported, or checked."""

from __future__ import annotations

import hmac
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from meshnode.audit_file import check_audit, compute_link, write_audit
from meshnode.cli.exits import FAILED, OK
from meshnode.cli.formats import format_count, format_id, format_name
from meshnode.cli.market_options import AccountArgument, LimitOption
from meshnode.cli.market_text import HISTORY_COLUMNS, describe_entry, line
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import note, print_json, print_table, say, write
from meshnode.client import connect
from meshnode.errors import CommandRejected, ConfigError, NoDaemon
from meshnode.market_views import LISTED_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshnode.audit_file import AuditHead
    from meshnode.market_port import MarketPort
    from meshnode.market_views import AuditInfo

SHOWN = 10
_STANDARD_OUTPUT = Path("-")


async def audit(
    account: AccountArgument = None,
    *,
    export: Annotated[
        Path | None,
        Parameter(
            help="Write the whole chain as JSON lines; '-' for stdout.", allow_leading_hyphen=True
        ),
    ] = None,
    verify: Annotated[
        Path | None, Parameter(help="Check such a file, and compare it with the node's chain.")
    ] = None,
    limit: LimitOption = SHOWN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Show, export or check an account's chain of events."""
    if verify is not None:
        if account is not None or export is not None:
            raise ConfigError("--verify FILE goes alone", hint="the file names its account")
        return await _verify(verify, home, json=json)
    async with connect(home) as node:
        if export is not None:
            return await _export(node, account, export, json=json)
        found = await node.market_audit(account, limit=limit)
    if json:
        print_json(found.to_json())
        return OK
    _show(found)
    return FAILED if found.verified is False else OK


def _show(found: AuditInfo) -> None:
    say(line("account", f"{format_name(found.name, found.account)} ({format_id(found.account)})"))
    say(line("events", str(found.count)))
    say(line("last link", found.digest))
    say(line("chain", _describe_verified(verified=found.verified)))
    if found.entries:
        say()
        print_table(HISTORY_COLUMNS, [describe_entry(entry) for entry in found.entries])


def _describe_verified(*, verified: bool | None) -> str:
    if verified is None:
        return "older events are not held here"
    return "holds" if verified else "BROKEN: what is stored here is not what was agreed"


async def _export(node: MarketPort, account: str | None, path: Path, *, json: bool) -> int:
    if path == _STANDARD_OUTPUT:
        async for text in write_audit(_read_pages(node, account)):
            write(f"{text}\n")
        return OK
    count = await _write_file(node, account, path)
    if json:
        print_json({"schema": "meshnode.market-audit-export/1", "file": str(path), "count": count})
    else:
        say(f"wrote {format_count(count, 'event')} to {path}")
    return OK


async def _write_file(node: MarketPort, account: str | None, path: Path) -> int:
    """Write the chain beside the file and put it in place once it is whole; how many events."""
    is_device = _is_device(path)
    part = path if is_device else path.with_name(f"{path.name}.part")
    lines = 0
    try:
        with part.open("w", encoding="utf-8") as file:
            async for text in write_audit(_read_pages(node, account)):
                file.write(f"{text}\n")
                lines += 1
        if not is_device:
            part.replace(path)
    except OSError as error:
        raise CommandRejected(
            f"{path} cannot be written: {error.strerror}", hint="choose another file"
        ) from None
    finally:
        if not is_device:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    return lines - 1


def _is_device(path: Path) -> bool:
    """Whether to write to it as it is: nothing may take the place of a device or a pipe."""
    return path.exists() and not path.is_file()


async def _read_pages(node: MarketPort, account: str | None) -> AsyncIterator[AuditInfo]:
    """An account's chain from its beginning, until there is no more."""
    page = await node.market_audit(account, limit=LISTED_MAX, after=0)
    yield page
    while page.entries:
        # The account as it was found: a name may be given to somebody else meanwhile.
        page = await node.market_audit(page.account, limit=LISTED_MAX, after=page.next_after)
        yield page


async def _verify(path: Path, home: Path | None, *, json: bool) -> int:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            head = check_audit(file)
    except OSError as error:
        raise CommandRejected(f"{path} cannot be read: {error.strerror}") from None
    agreed = await _compare(head, home)
    if json:
        print_json(
            {
                "schema": "meshnode.market-audit-check/1",
                "account": head.account,
                "count": head.count,
                "digest": head.digest,
                "agreed": agreed,
            }
        )
    else:
        who = f"{format_name(head.name, head.account)} ({format_id(head.account)})"
        say(f"{format_count(head.count, 'event')} of {who}: the chain holds")
        _explain(agreed=agreed)
    return FAILED if agreed is False else OK


def _explain(*, agreed: bool | None) -> None:
    if agreed is None:
        note("whether it is the chain that nodes agree on was not checked: no node could tell")
    elif agreed:
        say("it is the chain that this node knows")
    else:
        say("it is NOT the chain that this node knows: somebody made it up, or of another mesh")


async def _compare(head: AuditHead, home: Path | None) -> bool | None:
    """Whether the node's chain of the account goes through the file's last link; None: unknown."""
    try:
        async with connect(home) as node:
            link = await compute_link(_read_pages(node, head.account), head.count)
    except NoDaemon:
        return None
    return None if link is None else hmac.compare_digest(link, head.digest)
