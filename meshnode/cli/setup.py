"""What `init`, `up`, `join` and `identity` make when it is missing; each says so in one line."""

from __future__ import annotations

import getpass
import os
import sys
import time
from typing import TYPE_CHECKING

from meshnode.cli.blocking import interruptible
from meshnode.cli.formats import format_id
from meshnode.cli.output import clean_line, is_interactive, note
from meshnode.config_file import check_engine_options, load_config
from meshnode.errors import CommandRejected, KeystoreError
from meshnode.passphrase import choose_passphrase, read_passphrase
from meshnode.runtime_file import find_runtime
from meshnode.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.config import NodeConfig
    from meshnode.home import Home, Identity, NetworkFolder


def load_settings(home: Path | None, **flags: object) -> NodeConfig:
    """The settings a command works with: defaults, file, environment, then its own flags."""
    return load_config(home, {key: value for key, value in flags.items() if value != ()}).config


def check_engine(config: NodeConfig) -> None:
    """Refuse an unknown engine, or a key it cannot have, before anything is made.

    Raises `ConfigError`.
    """
    check_engine_options(config.engine_options, os.environ, home=config.home)
    if config.engine not in {None, "none"}:
        from meshnode.engines.registry import resolve_name

        resolve_name(str(config.engine))


def get_now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def refuse_while_running(home: Home, what: str) -> None:
    """Raise `CommandRejected` where a node runs for this home."""
    record = find_runtime(home.runtime_path)
    if record is not None:
        raise CommandRejected(
            f"{what} while a node runs for {home.path} (pid {record.pid}, at {record.api})",
            hint="`meshnode status` talks to it; `meshnode down` stops it",
        )


def choose_key_passphrase(home: Home, config: NodeConfig) -> Secret | None:
    """The passphrase for this home's key store, asked for where a person is there to answer."""
    choice = choose_passphrase(
        home.key_mode,
        file=config.passphrase_file,
        environ=os.environ,
        prompt=_ask_passphrase if is_interactive() else None,
    )
    if choice.warning:
        note(f"warning: {choice.warning}")
    if choice.passphrase is None and check_engine_options(
        config.engine_options, os.environ, home=home.path
    ):
        return get_key_passphrase(config.passphrase_file)
    return choice.passphrase


def get_key_passphrase(file: Path | None = None, *, fresh: bool = False) -> Secret | None:
    """The passphrase of a home's encrypted keys, asked for where a person is there.

    A fresh one is asked for twice.
    """
    given = read_passphrase(file, os.environ)
    if given is None and is_interactive():
        asking = "Choose a passphrase for" if fresh else "Passphrase of"
        text = _ask_passphrase(f"{asking} this home's keys: ")
        return Secret(text) if text else None
    return given


def prepare_identity(home: Home, passphrase: Secret | None) -> Identity:
    """Open the key store, or make one and say so."""
    fresh = home.key_mode is None
    identity = home.ensure_identity(passphrase, now_ms=get_now_ms())
    if fresh:
        note(f"made a new identity in {home.key_path} ({identity.mode})")
    return identity


def prepare_network(
    home: Home, identity: Identity, config: NodeConfig, *, is_open: bool = False
) -> NetworkFolder:
    """The home's network, or a new one, and say so; `is_open` lets anybody join a new one."""
    from meshnode.node.setup import choose_name, found_network

    network = home.get_current_network()
    if network is not None:
        return network
    name = choose_name(home, config, identity)
    network = found_network(home, identity, config, name=name, now_ms=get_now_ms(), is_open=is_open)
    genesis = network.genesis
    note(
        f"founded network {clean_line(genesis.name)} ({format_id(network.network.hex())}, "
        f"{genesis.suite}), with this node as its only member"
    )
    return network


def _ask_passphrase(question: str) -> str:
    """Ask without echo; a new passphrase is asked for twice."""
    with interruptible():
        text = getpass.getpass(question, stream=sys.stderr)
        if text and question.startswith("Choose") and getpass.getpass("Again: ") != text:
            raise KeystoreError("the two passphrases differ", hint="try again")
    return text
