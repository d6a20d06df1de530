"""Where the key of a service is: settings hold a reference to it, never the key.

    env:NAME               an environment variable
    keyring:SERVICE/NAME   the key ring of the operating system
    file:NAME              an entry of the encrypted key store of the home folder
    file:PATH              a file with the key and nothing else, as service managers provide it;
                           a path has a slash in it

A text that is no reference may be the key itself, written where it does not belong. So no error
quotes one that cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from meshnode.errors import ConfigError
from meshnode.sealed_keys import (
    KEY_CHARS_MAX,
    NAME_PATTERN,
    locate_sealed_key,
    read_sealed_key,
)
from meshnode.secret import Secret, redact

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_ENTRY: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}/[A-Za-z0-9._@-]{1,64}")
_REFERENCE_CHARS_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class KeyReference:
    """A reference that can be read."""

    kind: Literal["env", "keyring", "sealed", "path"]
    name: str

    def __str__(self) -> str:
        scheme = "file" if self.kind in ("sealed", "path") else self.kind
        return f"{scheme}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlaces:
    """Where references lead to."""

    environ: Mapping[str, str]
    home: Path | None = None
    """Home folder with the encrypted key store."""
    passphrase: Secret | None = None
    """Opens that store."""


def parse_reference(text: str, *, setting: str) -> KeyReference:
    """Read a reference. Raises `ConfigError`, which names the setting and quotes nothing."""
    kind, _, name = text.partition(":")
    hides_key = redact(text) != text or len(text) > _REFERENCE_CHARS_MAX
    if not hides_key:
        if kind == "env" and _VARIABLE.fullmatch(name):
            return KeyReference("env", name)
        if kind == "keyring" and _ENTRY.fullmatch(name):
            return KeyReference("keyring", name)
        if kind == "file" and NAME_PATTERN.fullmatch(name):
            return KeyReference("sealed", name)
        if kind == "file" and "/" in name and name.isprintable():
            return KeyReference("path", name)
    raise ConfigError(
        f"{setting} must be a reference, so that no key stands in settings",
        hint="write env:NAME, keyring:SERVICE/NAME, file:NAME or file:PATH",
    )


def check_reference(reference: KeyReference, places: KeyPlaces, *, setting: str) -> None:
    """Find out, without a passphrase, whether a reference leads anywhere. Raises `ConfigError`."""
    if reference.kind == "sealed":
        home = _get_home(places, setting)
        if not locate_sealed_key(home, reference.name).exists():
            raise _missing(setting, f"entry '{reference.name}' of the encrypted key store")
    else:
        read_key(reference, places, setting=setting)


def read_key(reference: KeyReference, places: KeyPlaces, *, setting: str) -> Secret:
    """The key behind a reference. Raises `ConfigError` or `KeystoreError`."""
    match reference.kind:
        case "env":
            key = _read_variable(reference.name, places.environ, setting)
        case "keyring":
            key = _read_entry(reference.name, setting)
        case "sealed":
            home = _get_home(places, setting)
            key = read_sealed_key(home, reference.name, passphrase=places.passphrase)
        case _:
            key = _read_file(reference.name, setting)
    text = key.reveal()
    if len(text) > KEY_CHARS_MAX or not (text.isascii() and text.isprintable()) or " " in text:
        raise ConfigError(
            f"{setting} leads to something that is no key: {reference}",
            hint="it must be one line of printable characters without blanks",
        )
    return key


def _read_variable(name: str, environ: Mapping[str, str], setting: str) -> Secret:
    text = environ.get(name, "").strip()
    if not text:
        raise ConfigError(
            f"{setting} refers to {name}, which is not set",
            hint=f"set the environment variable {name}",
        )
    return Secret(text)


def _read_entry(name: str, setting: str) -> Secret:
    from meshnode.os_keyring import read_keyring

    service, _, entry = name.partition("/")
    key = read_keyring(service, entry)
    if key is None:
        raise _missing(setting, f"entry {name} of the key ring")
    return key


def _read_file(name: str, setting: str) -> Secret:
    try:
        with Path(name).expanduser().open(encoding="utf-8") as file:
            text = file.read(KEY_CHARS_MAX + 2).strip()
    except (OSError, RuntimeError, UnicodeDecodeError):
        text = ""
    if not text:
        raise ConfigError(
            f"{setting} refers to {name}, which cannot be read",
            hint="the file holds the key and nothing else",
        )
    return Secret(text)


def _get_home(places: KeyPlaces, setting: str) -> Path:
    if places.home is None:
        raise ConfigError(
            f"{setting} refers to an encrypted key store, and there is no home folder",
            hint="write env:NAME or file:PATH",
        )
    return places.home


def _missing(setting: str, what: str) -> ConfigError:
    return ConfigError(
        f"{setting} refers to {what}, which is not there",
        hint="`meshnode kimi configure` asks for the key again",
    )
