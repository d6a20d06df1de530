"""`meshnode health`: one word and an exit code, for containers and scripts; quick to start."""

from __future__ import annotations

import http.client
import json as json_module
import os
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from meshnode.cli.exits import FAILED, OK
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, print_json, say
from meshnode.config_file import locate_home
from meshnode.errors import ConfigError, NoDaemon
from meshnode.runtime_file import require_runtime

if TYPE_CHECKING:
    from meshnode.runtime_file import RuntimeRecord

TIMEOUT_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 64 * 1_024


def health(
    *,
    ready: Annotated[
        bool,
        Parameter(
            name="--ready",
            negative="",
            show_default=False,
            help="Ask whether it can serve [default].",
        ),
    ] = False,
    live: Annotated[
        bool,
        Parameter(
            name="--live", negative="", show_default=False, help="Ask only whether it answers."
        ),
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Ask the running node how it is; 0 where all is well, 1 where not, 3 where none runs."""
    if ready and live:
        raise ConfigError("--ready and --live ask for different things", hint="give one of them")
    record = require_runtime(locate_home(home, os.environ) / "runtime.json")
    path = "/livez" if live else "/readyz?verbose"
    status, found = _ask(record, path)
    is_well = status == http.client.OK
    if json:
        print_json(found)
    else:
        for line in _describe(found, live=live, is_well=is_well):
            say(line)
    return OK if is_well else FAILED


def _ask(record: RuntimeRecord, path: str) -> tuple[int, dict[str, Any]]:
    """The status and the document of a path. Raises `NoDaemon`."""
    connection = _open(record)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        found = json_module.loads(response.read(ANSWER_BYTES_MAX))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoDaemon(
            f"the node (pid {record.pid}) does not answer at {record.api}: {type(error).__name__}",
            hint="`meshnode status` shows more; `meshnode down` and `meshnode up` start it anew",
        ) from None
    finally:
        connection.close()
    if not isinstance(found, dict):
        raise NoDaemon(
            f"what answers at {record.api} is no node", hint="does another program use its port?"
        )
    return response.status, found


def _open(record: RuntimeRecord) -> http.client.HTTPConnection:
    host, _, port = record.api.rpartition(":")
    host = host.strip("[]")
    if not record.certificate:
        return http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)
    from meshnode.gateway.tls import make_client_context

    context = make_client_context(record.certificate)
    return http.client.HTTPSConnection(host, int(port), timeout=TIMEOUT_S, context=context)


def _describe(found: dict[str, Any], *, live: bool, is_well: bool) -> list[str]:
    if live:
        return ["live" if is_well else "not live"]
    elapsed_s = int(found.get("elapsed_ms") or 0) // 1_000
    phase = clean_line(str(found.get("phase")), 32)
    lines = [f"ready, for {elapsed_s} s" if is_well else f"not ready: {phase} for {elapsed_s} s"]
    for check in found.get("checks") or ():
        state = "ok" if check.get("ok") else ("fail" if check.get("required") else "warn")
        name, detail = clean_line(str(check.get("name"))), clean_line(str(check.get("detail")))
        lines.append(f"{state:<5}{name:<12}{detail}")
    return lines
