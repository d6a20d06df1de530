"""The background process: `python -m meshnode.daemon REPORT_FD HOME`, its orders on stdin.

HOME stands on the command line for people who look at `ps`; the orders decide.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from meshnode.config_file import load_config
from meshnode.daemon.body import run_daemon
from meshnode.daemon.report import Reporter
from meshnode.daemon.spawn import StartRequest
from meshnode.errors import MeshError
from meshnode.log_redaction import configure_logging
from meshnode.secret import Secret

_log: Final = logging.getLogger("meshnode.daemon")
REQUEST_BYTES_MAX: Final = 1_000_000


def main() -> int:
    """Run one node; 0 when it was told to stop, 1 when it failed, 2 for wrong use."""
    if len(sys.argv) != 3 or not sys.argv[1].isdecimal():
        sys.stderr.write("meshnode: error: this program is started by `meshnode up`\n")
        return 2
    configure_logging()
    _log.setLevel(logging.INFO)
    reporter = Reporter(int(sys.argv[1]))
    try:
        asyncio.run(_run(reporter))
    except MeshError as error:
        _log.error("%s", error)
        reporter.report_failure(error)
        return 1
    except Exception:  # noqa: BLE001 - the process ends here: whatever it was goes to the log
        _log.exception("the node failed")
        reporter.report_failure(
            MeshError("the node failed unexpectedly", hint="its log in the home folder says why")
        )
        return 1
    _log.info("stopped")
    return 0


async def _run(reporter: Reporter) -> None:
    line = sys.stdin.buffer.readline(REQUEST_BYTES_MAX)
    request = msgspec.json.decode(line, type=StartRequest)
    config = load_config(Path(request.home), request.flags).config
    if request.passphrase is not None:
        config = replace(config, passphrase=Secret(request.passphrase))
    stop = asyncio.Event()
    if request.tied:
        _watch_starter(stop)
    _log.info("starting, pid %d, home %s", os.getpid(), config.home)
    await run_daemon(config, ticket=request.ticket, on_phase=reporter.report_phase, stop=stop)


def _watch_starter(stop: asyncio.Event) -> None:
    """The starter holds the other end of stdin; when it ends, however it ends, so do we."""
    loop = asyncio.get_running_loop()

    def notice() -> None:
        if not os.read(sys.stdin.fileno(), 4_096):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()

    loop.add_reader(sys.stdin.fileno(), notice)


if __name__ == "__main__":
    sys.exit(main())
