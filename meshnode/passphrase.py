"""Where the key store's passphrase comes from: a file, the environment, a descriptor, or a person.

Never from the command line, which every process of the machine can read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meshnode.errors import KeystoreError
from meshnode.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from meshnode.keystore import KeyMode

PASSPHRASE_BYTES_MAX: Final = 1_024
PASSPHRASE_VARIABLE: Final = "MESHNODE_PASSPHRASE"  # noqa: S105 - a name
PASSPHRASE_FILE_VARIABLE: Final = "MESHNODE_PASSPHRASE_FILE"  # noqa: S105 - a name
UNENCRYPTED_WARNING: Final = (
    "the node's key is stored unencrypted; set MESHNODE_PASSPHRASE_FILE before the first start, "
    "or run `meshnode identity new` with it, to encrypt it"
)


@dataclass(frozen=True, slots=True)
class PassphraseChoice:
    """What to open or make a key store with."""

    passphrase: Secret | None
    """None for the unencrypted mode."""
    warning: str = ""
    """One line a person should see."""


def choose_passphrase(
    mode: KeyMode | None,
    *,
    file: Path | None,
    environ: Mapping[str, str],
    prompt: Callable[[str], str] | None,
) -> PassphraseChoice:
    """Decide how to open a key store of `mode`, or to make one where `mode` is None.

    `prompt` asks a person without echo; it is None where nobody is there to answer. A fresh key
    store without any passphrase is unencrypted, with a warning.
    """
    if mode == "unencrypted-demo":
        return PassphraseChoice(None)
    given = read_passphrase(file, environ)
    if given is None and prompt is not None:
        question = (
            "Passphrase of this node's key: "
            if mode == "encrypted"
            else "Choose a passphrase for this node's key (empty: store it unencrypted): "
        )
        text = prompt(question)
        given = _make_passphrase("the answer", text.encode()) if text else None
    if given is None and mode is None:
        return PassphraseChoice(None, UNENCRYPTED_WARNING)
    return PassphraseChoice(given)


def read_passphrase(file: Path | None, environ: Mapping[str, str]) -> Secret | None:
    """The passphrase a person or service manager has provided, None where none is.

    In this order: `file`, the file that MESHNODE_PASSPHRASE_FILE names, MESHNODE_PASSPHRASE.
    """
    name = str(file) if file is not None else environ.get(PASSPHRASE_FILE_VARIABLE, "")
    if name:
        return _read_passphrase_file(name)
    text = environ.get(PASSPHRASE_VARIABLE, "")
    if len(text.encode()) > PASSPHRASE_BYTES_MAX:
        raise KeystoreError(
            f"{PASSPHRASE_VARIABLE} holds more than {PASSPHRASE_BYTES_MAX} bytes",
            hint="choose a shorter passphrase",
        )
    return Secret(text) if text else None


def _read_passphrase_file(name: str) -> Secret:
    try:
        with open(name, "rb") as file:  # noqa: PTH123 - the name comes from the environment
            data = file.read(PASSPHRASE_BYTES_MAX + 1)
    except OSError as error:
        raise KeystoreError(
            f"passphrase file {name} cannot be read: {error.strerror}",
            hint=f"check {PASSPHRASE_FILE_VARIABLE}",
        ) from None
    return _make_passphrase(f"passphrase file {name}", data)


def _make_passphrase(source: str, data: bytes) -> Secret:
    if len(data) > PASSPHRASE_BYTES_MAX:
        raise KeystoreError(
            f"{source} holds more than {PASSPHRASE_BYTES_MAX} bytes",
            hint="it must hold the passphrase and nothing else",
        )
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise KeystoreError(
            f"{source} holds no passphrase", hint="it must hold one line of UTF-8 text"
        )
    return Secret(text)
