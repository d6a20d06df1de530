"""What is left of a command that failed in a way nobody thought of."""

from __future__ import annotations

import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from meshnode.cli.output import print_error
from meshnode.secret import redact

if TYPE_CHECKING:
    from collections.abc import Sequence


def report_crash(error: BaseException, arguments: Sequence[str]) -> None:
    """Write the traceback to a file of its own and tell in one line where it is.

    Arguments stay out of the file but for the command's name: a ticket is a secret. What is shaped
    like a key is masked.
    """
    command = next((word for word in arguments if not word.startswith("-")), "")
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="meshnode-crash-", suffix=".log", delete=False, encoding="utf-8"
        ) as file:
            file.write(redact(f"meshnode {command}\n\n{text}"))
        where = f"the details are in {Path(file.name)}; please report them"
    except OSError:
        where = "the details could not be written: no folder for temporary files"
    print_error(f"internal error: {type(error).__name__}", where)
