"""`meshnode replay`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from meshnode.cli.exits import FAILED, OK
from meshnode.cli.formats import format_count
from meshnode.cli.options import JsonOption
from meshnode.cli.output import clean_line, print_json, say


def replay(
    file: Annotated[Path, Parameter(help="What `meshnode up --record FILE` wrote.")],
    *,
    json: JsonOption = False,
) -> int:
    """Run a recording again and compare every effect, bit for bit."""
    from meshnode.shell.replay import replay as run_again

    report = run_again(file)
    if json:
        print_json({"schema": "meshnode.replay/1", **asdict(report), "ok": report.ok})
    elif report.ok:
        say(
            f"ok: {format_count(report.inputs, 'input')} replayed, "
            f"{format_count(report.digests, 'digest')} equal "
            f"(recorded by meshnode {clean_line(report.version, 40)})"
        )
    else:
        say(
            f"diverged: the effects differ after input {report.diverged_after} "
            f"(recorded by meshnode {clean_line(report.version, 40)})"
        )
    return OK if report.ok else FAILED
