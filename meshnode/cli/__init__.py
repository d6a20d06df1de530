"""The command line: one module per noun, each command thin over typed functions below it."""

from __future__ import annotations

import sys


def main() -> None:
    """The `meshnode` program."""
    from meshnode.cli.app import run

    sys.exit(run(sys.argv[1:]))
