"""The simulator's command line, from its arguments to its exit code.

Exit code 0 if every run came to its end and every promise held, 1 if not, 2 for what cannot be
done, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from dag.errors import MeshError
from simulations.commands import (
    abuse,
    fuzz,
    fuzz_market,
    fuzz_members,
    fuzz_order,
    latency,
    listing,
    mutants,
    replay,
    report,
    routing,
    run,
    shrink,
    sweep,
)
from simulations.commands.console import CLEAN, INTERRUPTED, USAGE, complain

MODULES: Final = (
    listing,
    run,
    sweep,
    report,
    latency,
    routing,
    fuzz,
    fuzz_order,
    fuzz_market,
    fuzz_members,
    replay,
    shrink,
    mutants,
    abuse,
)
FIRST_STEPS: Final = """\
first steps:
  python -m simulations list
  python -m simulations run reach --open
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line; answers the exit code."""
    options = make_parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except MeshError as error:
        complain(error.message, error.hint)
        return USAGE
    except BrokenPipeError:
        # Whoever read stdout, such as `head`, has seen enough; nor must the exit flush to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLEAN
    except OSError as error:
        complain(f"{error.filename or 'a file'}: {error.strerror}", "check the path and its folder")
        return USAGE
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    return code


def make_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="python -m simulations",
        description="Simulate meshes of the real core under virtual time; measure them, hunt bugs.",
        epilog=FIRST_STEPS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for module in MODULES:
        module.add(commands)
    return parser
