"""The program itself: which commands there are, and how every one of them ends.

Commands are named here and loaded when they are called, so that help and version start at once.
A command returns its exit code; an error is one line on stderr, and never a traceback.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from cyclopts import App, CycloptsError, Group, MissingArgumentError, UnknownCommandError

from meshnode.cli import exits
from meshnode.cli.output import print_error
from meshnode.errors import ConfigError, MeshError

if TYPE_CHECKING:
    from collections.abc import Sequence

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


class Command(NamedTuple):
    """A command before it is loaded."""

    name: str
    target: str
    summary: str
    examples: tuple[str, ...]


_START: Final = (
    Command(
        "up",
        "up:up",
        "Start this machine's node in the background; return when it is ready.",
        (
            "meshnode up",
            "meshnode up --name kitchen --engine embedded",
            "meshnode up --api 127.0.0.1:0 --listen /ip4/0.0.0.0/tcp/4001 -f",
        ),
    ),
    Command("down", "down:down", "Stop the running node.", ("meshnode down",)),
    Command(
        "join",
        "join:join",
        "Join a mesh with a ticket; return when connected.",
        ("meshnode join mesh1...", "meshnode join mesh1... --name attic --engine echo"),
    ),
    Command(
        "invite",
        "invite:invite",
        "Print a ticket that lets others join.",
        ("meshnode invite", "meshnode invite --uses 3 --expires-h 1"),
    ),
    Command(
        "init",
        "init:init",
        "Make identity and network without starting anything.",
        ("meshnode init", "meshnode init --name home --share digest"),
    ),
    Command(
        "demo",
        "demo:demo",
        "Run a throw-away mesh of real processes that answers questions.",
        ("meshnode demo", "meshnode demo --nodes 4 --exit"),
    ),
)
_USE: Final = (
    Command(
        "ask",
        "ask:ask",
        "Ask the mesh; the answer streams to stdout.",
        (
            'meshnode ask "What is the capital of France?"',
            'meshnode ask "Summarise this" --model auto --max-tokens 200 --json',
            "cat notes.txt | meshnode ask -",
        ),
    ),
    Command(
        "events",
        "events:events",
        "Follow what happens; commits come in order, each once.",
        (
            "meshnode events",
            "meshnode events --commits --after 0",
            "meshnode events --after 41 --json",
        ),
    ),
    Command(
        "status",
        "status:status",
        "Show this node at a glance; problems come last, each with its fix.",
        ("meshnode status", "meshnode status --json", "meshnode status --watch"),
    ),
    Command(
        "peers",
        "peers:peers",
        "List the members of the mesh and what they serve.",
        ("meshnode peers", "meshnode peers --json"),
    ),
)
_INSPECT: Final = (
    Command(
        "doctor",
        "doctor:doctor",
        "Check this machine and its node; say how to repair what is broken.",
        ("meshnode doctor", "meshnode doctor --json"),
    ),
    Command(
        "replay",
        "replay:replay",
        "Run a recording (`up --record FILE`) again and compare every effect.",
        ("meshnode replay inputs.rec",),
    ),
    Command(
        "version",
        "version:version",
        "Print the version.",
        ("meshnode version", "meshnode version --json"),
    ),
)
_DAG: Final = (
    Command(
        "log",
        "dag:log",
        "List stored vertices, newest first.",
        ("meshnode dag log", "meshnode dag log --kind result --limit 5"),
    ),
    Command(
        "show",
        "dag:show",
        "Draw the DAG with leaders and commits, or show one vertex.",
        ("meshnode dag show", "meshnode dag show 3fa9c1", "meshnode dag show 3fa9c1 --json"),
    ),
    Command(
        "verify",
        "dag_verify:verify",
        "Check every stored vertex again from its bytes: ids, signatures, ancestors.",
        ("meshnode dag verify", "meshnode dag verify --store backup/journal.db --json"),
    ),
    Command(
        "export",
        "dag:export",
        "Draw the DAG, or write it down for other programs.",
        ("meshnode dag export --output mesh.svg", "meshnode dag export --format dot"),
    ),
)
_CONSENSUS: Final = (
    Command(
        "status",
        "consensus:status",
        "Show the agreed order: how far it is, who makes it, who is silent.",
        ("meshnode consensus status", "meshnode consensus status --json"),
    ),
)
_DECIDE: Final = (
    Command(
        "propose",
        "decide:propose",
        "Put a question to the mesh.",
        (
            'meshnode decide propose "Shall we share answers in full?"',
            'meshnode decide propose "Which model?" --option kimi-k2 --option smollm2',
        ),
    ),
    Command(
        "vote",
        "decide:vote",
        "Answer a question; the last answer before it closes counts.",
        ('meshnode decide vote 3fa9c1 yes --reason "it was asked for twice"',),
    ),
    Command(
        "show",
        "decide:show",
        "Show a question, its answers and their reasons.",
        ("meshnode decide show 3fa9c1", "meshnode decide show 3fa9c1 --wait --json"),
    ),
    Command(
        "list",
        "decide:list_",
        "List what the mesh is asked and has decided, newest first.",
        ("meshnode decide list", "meshnode decide list --status open --json"),
    ),
)
_VALIDATORS: Final = (
    Command(
        "list",
        "validators:list_",
        "List the validators, and the changes that are being voted on.",
        ("meshnode validators list", "meshnode validators list --json"),
    ),
    Command(
        "add",
        "validators:add",
        "Propose a member as a validator, or other stake for one.",
        (
            "meshnode validators add attic",
            "meshnode validators add attic --stake 2 --wait",
        ),
    ),
    Command(
        "remove",
        "validators:remove",
        "Propose to take a validator's seat away; it stays a member.",
        ('meshnode validators remove attic --reason "it was sold"',),
    ),
    Command(
        "change",
        "validators:change",
        "Propose other rules for the committee as it is.",
        ("meshnode validators change --profile cft",),
    ),
)
_IDENTITY: Final = (
    Command("show", "identity:show", "Show who this node is.", ("meshnode identity show --json",)),
    Command(
        "new",
        "identity:new",
        "Put the identity and its networks aside and make a new one.",
        ("meshnode identity new",),
    ),
    Command(
        "rebind",
        "identity:rebind",
        "Say that a home folder was moved to this machine for good.",
        ("meshnode identity rebind",),
    ),
    Command(
        "export-public",
        "identity:export_public",
        "Print the public keys as JSON.",
        ("meshnode identity export-public > alice.json",),
    ),
)


def make_app() -> App:
    """The program's commands, none of them loaded."""
    app = _make_group("meshnode", SUMMARY, _EPILOGUE)
    start, use, inspect = (
        Group(title, sort_key=number)
        for number, title in enumerate(("Start and join", "Use", "Inspect"))
    )
    _register(app, _START, start)
    _register(app, _USE, use)
    _register(app, _INSPECT, inspect)
    for name, summary, commands in (
        ("dag", "Look into the store of signed results.", _DAG),
        ("consensus", "Look at the order the mesh agrees on.", _CONSENSUS),
        ("decide", "Put questions to the mesh, and answer them.", _DECIDE),
        ("validators", "Look at or change who agrees on the order.", _VALIDATORS),
        ("identity", "Look at or replace this node's keys.", _IDENTITY),
    ):
        sub = _make_group(name, summary, f"Examples:\n  {commands[0].examples[0]}")
        sub.group, sub.sort_key = (inspect,), len(_INSPECT)
        _register(sub, commands, None)
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
    commands = {
        "meshnode dag": _DAG,
        "meshnode consensus": _CONSENSUS,
        "meshnode decide": _DECIDE,
        "meshnode validators": _VALIDATORS,
        "meshnode identity": _IDENTITY,
    }.get(chain)
    names = [command.name for command in commands or (*_START, *_USE, *_INSPECT)]
    names += [] if commands else ["dag", "consensus", "decide", "validators", "identity"]
    close = difflib.get_close_matches(word, names, n=1)
    return f"there is no command '{word}'", f"did you mean '{close[0]}'?" if close else hint
