"""`meshnode identity show | new | rebind | rotate | export-public`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from dag.identity import derive_public_keys, format_fingerprint
from meshnode.cli.exits import OK
from meshnode.cli.formats import format_time
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, note, print_json, say
from meshnode.cli.setup import (
    choose_key_passphrase,
    get_now_ms,
    load_settings,
    prepare_identity,
    refuse_while_running,
)
from meshnode.config_file import locate_home
from meshnode.errors import KeystoreError
from meshnode.home import open_home, rebind_home
from meshnode.transport.peer_id import peer_id_from_public_key

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.home import Home, Identity


def show(*, home: HomeOption = None, json: JsonOption = False) -> int:
    """Show who this node is."""
    opened, identity = _open_identity(home)
    document = describe_identity(opened, identity)
    if json:
        print_json({"schema": "meshnode.identity/1", **document})
        return OK
    say(f"author       {document['author']}")
    say(f"fingerprint  {document['fingerprint']}")
    say(f"peer         {document['peer']}")
    say(f"key          {document['key_mode']}, made {format_time(document['created_ms'])}")
    say(f"sealing key  {_describe_ring(identity)}")
    say(f"network      {clean_line(document['network_name'] or 'none yet')}")
    say(f"home         {document['home']}")
    return OK


def new(*, home: HomeOption = None) -> int:
    """Put the identity and its networks aside, and make a new one. Nothing is deleted."""
    path = locate_home(home, os.environ)
    opened = open_home(path, check=False)
    refuse_while_running(opened, "an identity cannot be replaced")
    if opened.key_mode is not None:
        retired = opened.retire_identity(now_ms=get_now_ms())
        note(f"the old identity and its networks are in {retired}")
    opened = open_home(path)
    config = load_settings(home)
    identity = prepare_identity(opened, choose_key_passphrase(opened, config))
    say(describe_identity(opened, identity)["author"])
    return OK


def rebind(*, home: HomeOption = None) -> int:
    """Say that a home folder was moved to this machine for good."""
    opened = rebind_home(locate_home(home, os.environ))
    note(f"{opened.path} belongs to this machine now; never start it on the old one again")
    return OK


def rotate(
    *,
    erase: Annotated[
        bool,
        Parameter(
            help="Erase the keys before at once, as after a theft: what peers seal to them meanwhile "
            "is refused, and they ask again.",
            negative="",
        ),
    ] = False,
    home: HomeOption = None,
) -> int:
    """Make new keys for sealed content; a running node takes them up within seconds."""
    _, identity = _open_identity(home)
    now_ms = get_now_ms()
    ring = identity.ring_file.rotate(identity.ring, now_ms)
    if erase:
        identity.ring_file.forget(now_ms, 0)
    if ring.current_keys is None:
        raise KeystoreError("no library here can use the new keys", hint="install `cryptography`")
    say(ring.current_keys.id.hex())
    older = "are erased" if erase else "open what is sealed to them until their grace is over"
    note(f"peers seal to this key once they hear of it; those before {older}")
    return OK


def export_public(*, home: HomeOption = None) -> int:
    """Print the public keys as JSON."""
    opened, identity = _open_identity(home)
    suite = _get_suite(opened)
    keys = derive_public_keys(identity.secrets, suite)
    print_json(
        {
            "schema": "meshnode.public_keys/1",
            "author": identity.compute_author(suite).hex(),
            "suite": suite,
            "peer": peer_id_from_public_key(keys.libp2p_key),
            "ed25519_key": keys.ed25519_key.hex(),
            "mldsa65_key": keys.mldsa65_key.hex(),
            "x25519_key": keys.x25519_key.hex(),
            "mlkem768_key": keys.mlkem768_key.hex(),
            "libp2p_key": keys.libp2p_key.hex(),
        }
    )
    return OK


def describe_identity(home: Home, identity: Identity) -> dict[str, Any]:
    """An identity as JSON types, without any key."""
    suite = _get_suite(home)
    network = home.get_current_network()
    author = identity.compute_author(suite)
    keys = derive_public_keys(identity.secrets, suite)
    current = identity.ring.current_keys
    return {
        "author": author.hex(),
        "fingerprint": format_fingerprint(author),
        "suite": suite,
        "peer": peer_id_from_public_key(keys.libp2p_key),
        "key_mode": identity.mode,
        "created_ms": identity.created_ms,
        "sealing_key": None if current is None else current.id.hex(),
        "sealing_key_made_ms": identity.ring.current.created_ms,
        "older_sealing_keys": len(identity.ring.pairs) - 1,
        "network": None if network is None else network.network.hex(),
        "network_name": None if network is None else network.genesis.name,
        "home": str(home.path),
    }


def _describe_ring(identity: Identity) -> str:
    ring = identity.ring
    current = "none that a library here can use"
    if ring.current_keys is not None:
        current = ring.current_keys.id.hex()
    made = f"made {format_time(ring.current.created_ms)}"
    older = len(ring.pairs) - 1
    return f"{current}, {made}" + (f", {older} before it not erased yet" if older else "")


def _open_identity(home: Path | None) -> tuple[Home, Identity]:
    config = load_settings(home)
    opened = open_home(locate_home(home, os.environ))
    return opened, prepare_identity(opened, choose_key_passphrase(opened, config))


def _get_suite(home: Home) -> Any:
    network = home.get_current_network()
    return "hybrid" if network is None else network.genesis.suite
