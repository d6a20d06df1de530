"""Taking an account's key from a person and putting it where it is safe."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from meshnode.cli.setup import get_key_passphrase
from meshnode.errors import ConfigError, KeystoreError
from meshnode.key_references import KeyPlaces, KeyReference, parse_reference, read_key
from meshnode.keystore import read_key_mode
from meshnode.kimi_settings import check_key, refuse_key_in_clear, suggest_reference
from meshnode.os_keyring import SERVICE, describe_keyring, write_keyring
from meshnode.sealed_keys import check_home_passphrase, list_sealed_keys, write_sealed_key
from meshnode.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from meshnode.kimi_settings import KimiSettings

Store = Literal["auto", "keyring", "encrypted"]


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """A key to keep, or a reference to one that is kept already."""

    key: Secret | None
    reference: KeyReference | None = None
    store: Store = "auto"


def choose_key(
    *,
    given: str | None,
    stdin: Callable[[], str] | None,
    variable: str | None,
    file: Path | None,
    store: Store,
    settings: KimiSettings,
    environ: Mapping[str, str],
    prompt: Callable[[str], str] | None,
) -> KeyAnswer | None:
    """Where the key comes from: what was said, else the environment, else a person.

    None where nothing was said and a key is configured already, or nobody is there to answer.
    """
    said = [name for name in (given, stdin, variable, file) if name is not None]
    if len(said) > 1:
        raise ConfigError(
            "the key is given in more than one way", hint="give one of the --api-key options"
        )
    if variable is not None:
        reference = parse_reference(f"env:{variable}", setting="--api-key-env")
        return KeyAnswer(None, reference)
    if file is not None:
        path = file.expanduser().absolute()
        return KeyAnswer(None, parse_reference(f"file:{path}", setting="--api-key-file"))
    if given is not None or stdin is not None:
        text = (given if given is not None else stdin() if stdin else "").strip()
        return KeyAnswer(_make_key(text, settings), store=store)
    suggested = suggest_reference(settings.provider, environ)
    configured = bool(settings.api_key) and settings.api_key != suggested
    if configured or (suggested and environ.get(suggested.removeprefix("env:"))):
        return None
    if prompt is None or settings.provider == "local":
        return None
    text = prompt(f"Key of {settings.provider} (empty: it will be in {suggested}): ").strip()
    return KeyAnswer(_make_key(text, settings), store=store) if text else None


def keep_key(
    home: Path, settings: KimiSettings, answer: KeyAnswer, *, now_ms: int
) -> tuple[str, str]:
    """Put a key where it is safe. Answers the reference to it, and a remark on where it is.

    Raises `ConfigError` and `KeystoreError`; then nothing has changed.
    """
    refuse_key_in_clear(settings.base_url)
    if answer.key is None:
        assert answer.reference is not None, "an answer is a key or a reference"
        return str(answer.reference), _check_reference(home, settings, answer.reference)
    ring = "" if answer.store == "encrypted" else describe_keyring()
    if answer.store == "keyring" or ring:
        write_keyring(SERVICE, settings.provider, answer.key)
        return f"keyring:{SERVICE}/{settings.provider}", "in the key ring of this system"
    fresh = read_key_mode(home / "identity.key") != "encrypted" and not list_sealed_keys(home)
    passphrase = get_key_passphrase(fresh=fresh)
    if not passphrase:
        raise KeystoreError(
            "there is no key ring here, and no passphrase to encrypt the key with",
            hint="set MESHNODE_PASSPHRASE_FILE, run in a terminal, or keep the key in an "
            "environment variable and use --api-key-env",
        )
    check_home_passphrase(home, passphrase)
    write_sealed_key(home, settings.provider, answer.key, passphrase=passphrase, now_ms=now_ms)
    return f"file:{settings.provider}", "encrypted with this home's passphrase"


def _check_reference(home: Path, settings: KimiSettings, reference: KeyReference) -> str:
    """Look at the key behind a reference, where it is there already."""
    places = KeyPlaces(environ=os.environ, home=home)
    try:
        key = read_key(reference, places, setting=str(reference))
    except ConfigError:
        return "not there yet"
    check_key(settings.provider, key)
    return "found"


def _make_key(text: str, settings: KimiSettings) -> Secret:
    if not text:
        raise ConfigError("no key was given", hint="`meshnode kimi configure` asks for it")
    key = Secret(text)
    check_key(settings.provider, key)
    return key
