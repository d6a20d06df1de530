"""Writing one table of config.toml, and nothing else of it.

What a person wrote stays as it is, comments included; the one table that a command keeps is replaced
whole. The result is read again before it is written: anything else in it that would change is an
error.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from meshnode.errors import ConfigError
from meshnode.private_files import make_private_folder, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG_BYTES_MAX: Final = 65_536
_HEADER: Final = re.compile(r"^[ \t]*\[", re.MULTILINE)


def write_table(path: Path, name: str, values: Mapping[str, Any], *, comment: str) -> None:
    """Put a table into a settings file in place of the one of that name. Raises `ConfigError`."""
    before = _read(path)
    after = replace_table(before, name, values, comment=comment)
    if len(after.encode()) > CONFIG_BYTES_MAX:
        raise ConfigError(
            f"{path} would be larger than {CONFIG_BYTES_MAX} bytes", hint="it holds settings only"
        )
    make_private_folder(path.parent)
    write_private(path, after.encode())


def replace_table(text: str, name: str, values: Mapping[str, Any], *, comment: str) -> str:
    """The settings with a table replaced or added. Raises `ConfigError`."""
    table = "".join(
        (f"[{name}]\n", f"# {comment}\n", *(f"{key} = {_show(values[key])}\n" for key in values))
    )
    start, end = _find(text, name)
    if start < 0:
        joint = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        result = f"{text}{joint}{table}"
    else:
        rest = text[end:].lstrip("\n")
        result = f"{text[:start]}{table}\n{rest}" if rest else f"{text[:start]}{table}"
    expected = _parse(text) | {name: dict(values)}
    try:
        if tomllib.loads(result) == expected:
            return result
    except ValueError:
        pass  # the table stands there in another form, such as an inline one
    raise ConfigError(
        f"the table [{name}] of config.toml cannot be replaced without touching the rest",
        hint=f"remove {name} from it by hand and try again",
    )


def _find(text: str, name: str) -> tuple[int, int]:
    """From where to where a table stands; (-1, -1) where there is none."""
    begin = re.search(rf"^[ \t]*\[[ \t]*{name}[ \t]*\][^\n]*$", text, re.MULTILINE)
    if begin is None:
        return -1, -1
    following = _HEADER.search(text, begin.end())
    if following is None:
        return begin.start(), len(text)
    # Comments above the next header are about what follows it.
    inside = text[begin.end() : following.start()].splitlines(keepends=True)
    while inside and (not inside[-1].strip() or inside[-1].lstrip().startswith("#")):
        inside.pop()
    return begin.start(), begin.end() + len("".join(inside))


def _show(value: object) -> str:
    """A value as TOML; JSON writes texts, numbers and booleans the same way, but for one sign."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"config.toml is not TOML: {error}", hint="correct that line") from None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(CONFIG_BYTES_MAX + 1).decode()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", hint="check who owns it"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", hint="correct it") from None
