"""`meshnode version`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as read_version

from meshnode.cli.exits import OK
from meshnode.cli.options import JsonOption
from meshnode.cli.output import print_json, say


def version(*, json: JsonOption = False) -> int:
    """Print the installed version."""
    text = get_version()
    if json:
        print_json({"schema": "meshnode.version/1", "version": text})
    else:
        say(f"meshnode {text}")
    return OK


def get_version() -> str:
    """The installed version; '?' in a source tree that is not installed."""
    try:
        return read_version("meshnode")
    except PackageNotFoundError:
        return "?"
