"""`meshnode market audit`: an account's chain of events, shown, exported, or checked."""

from __future__ import annotations

import hmac
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
    from meshnode.audit_file import AuditHead
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
        found = await node.market_audit(account, limit=limit if export is None else LISTED_MAX)
    if export is not None:
        return _export(found, export, json=json)
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


def _export(found: AuditInfo, path: Path, *, json: bool) -> int:
    text = "".join(f"{each}\n" for each in write_audit(found))
    if path == _STANDARD_OUTPUT:
        write(text)
        return OK
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandRejected(
            f"{path} cannot be written: {error.strerror}", hint="choose another file"
        ) from None
    if json:
        print_json(
            {"schema": "meshnode.market-audit-export/1", "file": str(path), "count": found.count}
        )
    else:
        say(f"wrote {format_count(found.count, 'event')} to {path}")
    return OK


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
            found = await node.market_audit(head.account, limit=LISTED_MAX)
    except NoDaemon:
        return None
    link = compute_link(found, head.count)
    return None if link is None else hmac.compare_digest(link, head.digest)
