"""The program itself: which commands there are, and how every one of them ends.

Commands are named here and loaded when they are called, so that help and version start at once.
A command returns its exit code; an error is one line on stderr, and never a traceback.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import sys
from typing import TYPE_CHECKING, Final

from cyclopts import App, CycloptsError, Group, MissingArgumentError, UnknownCommandError

from meshnode.cli import exits
from meshnode.cli.catalogue import (
    INSPECT,
    INSPECT_NOUNS,
    START,
    TRADE_NOUNS,
    USE,
    USE_NOUNS,
)
from meshnode.cli.output import print_error
from meshnode.errors import ConfigError, MeshError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.cli.command import Command

SUMMARY: Final = "A private mesh of machines that share reasoning; every answer is a signed record."
_EPILOGUE: Final = """\
Try it:
  meshnode demo                     a whole mesh on this machine, with answers
Two machines:
  meshnode up                       on the first: start a node
  meshnode invite                   on the first: print a ticket
  meshnode join TICKET              on the second: join with it
  meshnode ask "Why is the sky blue?"

Commands about a node take --home FOLDER (or MESHNODE_HOME), for several on one machine.
Exit codes: 0 ok, 1 failed or degraded, 2 usage, 3 no node runs, 4 refused, 5 timed out."""


def make_app() -> App:
    """The program's commands, none of them loaded."""
    app = _make_group("meshnode", SUMMARY, _EPILOGUE)
    start, use, trade, inspect = (
        Group(title, sort_key=number)
        for number, title in enumerate(("Start and join", "Use", "Trade", "Inspect"))
    )
    for commands, group in ((START, start), (USE, use), (INSPECT, inspect)):
        _register(app, commands, group)
    for nouns, group in ((USE_NOUNS, use), (TRADE_NOUNS, trade), (INSPECT_NOUNS, inspect)):
        for noun in nouns:
            sub = _make_group(
                noun.name, noun.summary, f"Examples:\n  {noun.commands[0].examples[0]}"
            )
            sub.group, sub.sort_key = (group,), len(INSPECT)
            _register(sub, noun.commands, None)
            app.command(sub)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing is raised."""
    try:
        code = make_app()(_move_home(list(arguments)))
        sys.stdout.flush()
        return code if isinstance(code, int) else exits.OK
    except CycloptsError as error:
        print_error(*_explain_usage(error))
        return exits.USAGE
    except MeshError as error:
        print_error(error.message, error.hint)
        return exits.get_exit_code(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return exits.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; Python would complain again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    except Exception as error:  # noqa: BLE001 - the last resort: no traceback reaches a person
        from meshnode.cli.crash import report_crash

        report_crash(error, arguments)
        return exits.FAILED


def _make_group(name: str, summary: str, epilogue: str) -> App:
    app = App(
        name=name,
        help=summary,
        help_epilogue=epilogue,
        help_format="plaintext",
        version_flags=(),
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    app["--help"].show = False
    return app


def _register(app: App, commands: Sequence[Command], group: Group | None) -> None:
    for position, command in enumerate(commands):
        app.command(
            f"meshnode.cli.{command.target}",
            name=command.name,
            help=command.summary,
            help_epilogue="\n  ".join(("Examples:", *command.examples)),
            group=group,
            sort_key=position,
        )


def _move_home(arguments: list[str]) -> list[str]:
    """`meshnode --home X COMMAND ...` means `meshnode COMMAND ... --home X`."""
    if arguments[:1] == ["--home"]:
        moved, rest = arguments[:2], arguments[2:]
    elif arguments and arguments[0].startswith("--home="):
        moved, rest = arguments[:1], arguments[1:]
    else:
        return arguments
    if moved == ["--home"]:
        raise ConfigError("--home needs a folder", hint="`meshnode --help` shows what there is")
    if not rest:
        return []  # a folder alone says nothing to do: show what there is
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], *moved, *rest[end:]]


def _explain_usage(error: CycloptsError) -> tuple[str, str]:
    """What is wrong with a command line, and the next step."""
    chain = " ".join(("meshnode", *(error.command_chain or ())))
    hint = f"`{chain} --help` shows what there is"
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.argument.name
        if error.keyword or error.argument.tokens:
            return f"{error.keyword or name} needs a value", hint
        return f"`{chain}` needs {name.lstrip('-').upper()}", hint
    if not isinstance(error, UnknownCommandError):
        return str(error).rstrip(". \n"), hint
    # Its own text would load every command, to suggest one.
    word = (error.unused_tokens or [""])[0]
    nouns = (*USE_NOUNS, *TRADE_NOUNS, *INSPECT_NOUNS)
    inside = next((noun for noun in nouns if chain == f"meshnode {noun.name}"), None)
    if inside is not None:
        names = [command.name for command in inside.commands]
    else:
        names = [command.name for command in (*START, *USE, *INSPECT)]
        names += [noun.name for noun in nouns]
    close = difflib.get_close_matches(word, names, n=1)
    return f"there is no command '{word}'", f"did you mean '{close[0]}'?" if close else hint
