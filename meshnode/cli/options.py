"""Options that several commands share, with one wording each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from meshnode.config import MINT_RUV_MAX


def accept_stdin(_: type, value: object) -> None:
    """Let '-' stand for stdin, and nothing else that looks like an option stand for a value."""
    if isinstance(value, str) and value.startswith("-") and value != "-":
        raise ValueError(f"Unknown option: {value}")


HomeOption = Annotated[
    Path | None,
    Parameter(name="--home", help="Folder of the node [default: MESHNODE_HOME, else your own]."),
]
JsonOption = Annotated[
    bool,
    Parameter(name="--json", negative="", show_default=False, help="Print one JSON document."),
]
WatchOption = Annotated[
    bool,
    Parameter(name="--watch", negative="", show_default=False, help="Repeat until Ctrl-C."),
]
NameOption = Annotated[str | None, Parameter(name="--name", help="How people call this node.")]
NetworkNameOption = Annotated[
    str | None, Parameter(name="--network-name", help="Name of a network founded here.")
]
MintOption = Annotated[
    int | None,
    Parameter(
        name="--mint",
        help="Ruv that the founder of a network founded here has at first [default: 1000].",
        validator=validators.Number(gte=0, lte=MINT_RUV_MAX),
        show_default=False,
    ),
]
PassphraseFileOption = Annotated[
    Path | None,
    Parameter(name="--passphrase-file", help="File that holds the passphrase of the node's key."),
]
ForegroundOption = Annotated[
    bool,
    Parameter(
        name=("--foreground", "-f"),
        negative="",
        show_default=False,
        help="Stay in this terminal, for services and containers.",
    ),
]
TimeoutOption = Annotated[
    int,
    Parameter(
        name="--timeout",
        help="Seconds to wait at most.",
        validator=validators.Number(gte=1, lte=86_400),
    ),
]
ShareOption = Annotated[
    Literal["full", "digest"] | None,
    Parameter(name="--share", help="Whether signed results hold the answer or only its digest."),
]
