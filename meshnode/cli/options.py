"""Options that several commands share, with one wording each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

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
