"""What every `meshnode kimi` command starts with: the home, the account's settings and its key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from meshnode.cli.output import note
from meshnode.cli.setup import get_key_passphrase
from meshnode.config_file import load_config, locate_home
from meshnode.errors import ConfigError
from meshnode.home import open_home
from meshnode.key_references import KeyPlaces, parse_reference, read_key
from meshnode.kimi_settings import check_key, complete_settings, refuse_key_in_clear

if TYPE_CHECKING:
    from meshnode.kimi_settings import KimiSettings
    from meshnode.secret import Secret

KEY_SETTING = "kimi.api_key"


def open_books_home(home: Path | None) -> Path:
    """The home folder, made where there is none: the books of what requests cost are kept in it."""
    return open_home(locate_home(home, os.environ)).path


def load_settings(home: Path | None) -> KimiSettings:
    """The account's settings. Raises `ConfigError` where nothing says which account."""
    settings = complete_settings(load_config(home).kimi, os.environ)
    if settings is None:
        raise ConfigError(
            "no account is configured",
            hint="`meshnode kimi configure` asks for a key; MOONSHOT_API_KEY or OPENROUTER_API_KEY "
            "in the environment is enough, too",
        )
    if not settings.configured:
        note(f"not configured: using {settings.provider} with {settings.api_key}")
    return settings


def load_key(home: Path, settings: KimiSettings) -> Secret | None:
    """The key, from where the settings say; None for an engine without one.

    Raises `ConfigError` and `KeystoreError`, also for a key that is another service's.
    """
    if not settings.api_key:
        return None
    reference = parse_reference(settings.api_key, setting=KEY_SETTING)
    passphrase = get_key_passphrase() if reference.kind == "sealed" else None
    places = KeyPlaces(environ=os.environ, home=home, passphrase=passphrase)
    key = read_key(reference, places, setting=KEY_SETTING)
    check_key(settings.provider, key)
    refuse_key_in_clear(settings.base_url)
    return key
