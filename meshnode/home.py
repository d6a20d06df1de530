"""A node's home folder: its identity, the networks it belongs to, and what survives a restart.

    identity.key              the key store (see `meshnode.keystore`)
    sealing.keys              keys that receive sealed content, encrypted (see `meshnode.sealed`)
    keys/                     keys of services, encrypted (see `meshnode.sealed_keys`)
    usage.db                  what requests to engines used and cost (see `meshnode.usage_store`)
    models/                   weights that were fetched (see `meshnode.weights`)
    config.toml               settings, optional (see `meshnode.config_file`)
    current                   the network this home takes part in, as 16 hex digits
    name                      what people call this node, once somebody has said so
    port                      the port that addresses in tickets name
    host                      digest of the machine this folder belongs to
    node.lock, daemon.lock    held by the one process that runs this node, and its daemon
    runtime.json              how to reach that process (see `meshnode.runtime_file`)
    logs/                     what detached nodes write
    networks/<hex16>/         genesis.bin, membership.bin, invitations.bin, journal.db
    retired/<ms>/             an identity that was replaced, with its networks

Everything is private to its owner. Nothing here starts anything.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from dag.canonical import CanonicalDecoder, encode
from dag.genesis import (
    GENESIS_BYTES_MAX,
    Genesis,
    Grant,
    NewcomerLimits,
    Parameters,
    Share,
    Suite,
    Validator,
    compute_network_id,
    decode_genesis,
    encode_genesis,
)
from dag.identity import (
    SecretKeys,
    compute_author_id,
    derive_public_keys,
    derive_secret_keys,
    make_profile,
)
from dag.keys import derive_storage_key
from dag.types import AuthorId, NetworkId
from meshnode.errors import MeshError, StorageError, Unavailable
from meshnode.host_binding import bind_host, check_host, read_machine_digest
from meshnode.keystore import (
    SEED_BYTES,
    KeyMode,
    create_key_store,
    open_key_store,
    read_key_mode,
)
from meshnode.private_files import make_private_folder, read_private, remove_file, write_private
from meshnode.sealed.keys import get_sealing_secrets, replace_sealing_secrets
from meshnode.sealed.ring import KeyRing, make_ring
from meshnode.sealed.ring_file import FILE_NAME as RING_FILE_NAME
from meshnode.sealed.ring_file import RingFile, draw_secrets
from meshnode.sealing import MODERATE, KdfCost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from meshnode.secret import Secret

MEMBERSHIP_BYTES_MAX: Final = 1_000_000
NAME_BYTES_MAX: Final = 1_024


class Bootstrap(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where to find the mesh at the next start: whoever admitted this node."""

    peer: str
    addresses: tuple[str, ...]


class Membership(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Why others let this node in; all empty for a founder."""

    inviter: bytes = b""
    invitation: bytes = b""
    """Canonical `SignedInvitation` with this node's bearer proof."""
    credentials: tuple[bytes, ...] = ()
    """Signed profile vertices of the inviters, root first."""
    bootstrap: tuple[Bootstrap, ...] = ()


_membership_decoder: Final = CanonicalDecoder(
    Membership, what="membership", bytes_max=MEMBERSHIP_BYTES_MAX
)


@dataclass(frozen=True, slots=True)
class Identity:
    """An opened key store. Its keys are one thing in every network this home joins."""

    secrets: SecretKeys
    """The pair that receives sealed content is the ring's current one."""
    mode: KeyMode
    created_ms: int
    ring: KeyRing
    ring_file: RingFile

    def compute_author(self, suite: Suite) -> AuthorId:
        """Who this identity is in a network of this suite."""
        keys = derive_public_keys(self.secrets, suite)
        return compute_author_id(keys.ed25519_key, keys.mldsa65_key)


@dataclass(frozen=True, slots=True)
class NetworkFolder:
    """A network this home belongs to."""

    directory: Path
    network: NetworkId
    genesis: Genesis
    membership: Membership

    @property
    def invitations_path(self) -> Path:
        """Where issued invitations are remembered."""
        return self.directory / "invitations.bin"


@dataclass(frozen=True, slots=True)
class Home:
    """A checked home folder; made by `open_home`."""

    path: Path

    @property
    def key_path(self) -> Path:
        """The key store."""
        return self.path / "identity.key"

    @property
    def runtime_path(self) -> Path:
        """How to reach the running node."""
        return self.path / "runtime.json"

    @property
    def logs_path(self) -> Path:
        """Where detached nodes write their log."""
        return self.path / "logs"

    @property
    def key_mode(self) -> KeyMode | None:
        """How the key is kept; None before there is one. Raises `KeystoreError`."""
        return read_key_mode(self.key_path)

    # --- identity ----------------------------------------------------------------------------

    def ensure_identity(
        self, passphrase: Secret | None, *, now_ms: int, cost: KdfCost = MODERATE
    ) -> Identity:
        """Open the key store, or make one: encrypted if there is a passphrase."""
        is_fresh = self.key_mode is None
        if is_fresh:
            stored = create_key_store(
                self.key_path,
                seed=os.urandom(SEED_BYTES),
                created_ms=now_ms,
                passphrase=passphrase,
                cost=cost,
            )
        else:
            stored = open_key_store(self.key_path, passphrase=passphrase)
        derived = derive_secret_keys(stored.seed)
        file = RingFile(self.path, derive_storage_key(stored.seed))
        ring = file.read()
        if ring is None and is_fresh:
            ring = make_ring(draw_secrets(), now_ms)
            file.write(ring)
        if ring is None:  # from before there were such files, or the file is lost
            ring = make_ring(get_sealing_secrets(derived), stored.created_ms)
        return Identity(
            replace_sealing_secrets(derived, ring.current.secrets),
            stored.mode,
            stored.created_ms,
            ring,
            file,
        )

    def retire_identity(self, *, now_ms: int) -> Path:
        """Move key and networks aside, so that the next start makes a new identity.

        Returns the folder they are in now. Nothing is deleted: memberships need their key.
        """
        retired = self.path / "retired" / str(now_ms)
        make_private_folder(retired)
        for name in ("identity.key", RING_FILE_NAME, "networks", "current"):
            source = self.path / name
            if source.exists():
                source.rename(retired / name)
        remove_file(self.path / "host")
        return retired

    # --- networks ----------------------------------------------------------------------------

    def create_network(
        self,
        identity: Identity,
        *,
        name: str,
        founder_name: str,
        now_ms: int,
        suite: Suite = "hybrid",
        share: Share = "full",
        kind: Literal["mesh", "demo"] = "mesh",
        mint_uruv: int = 0,
        newcomers: NewcomerLimits | None = None,
    ) -> NetworkFolder:
        """Found a network of which this identity is the only member and validator.

        `mint_uruv` is the money that it has from the start. With limits for `newcomers` anybody may
        join without an invitation.
        """
        keys = derive_public_keys(identity.secrets, suite)
        author = compute_author_id(keys.ed25519_key, keys.mldsa65_key)
        genesis = Genesis(
            version=1,
            name=name,
            kind=kind,
            suite=suite,
            time_ms=now_ms,
            nonce=os.urandom(16),
            founders=(make_profile(keys, name=founder_name),),
            committee=(Validator(author, 1),),
            parameters=Parameters(share=share, open=newcomers is not None),
            grants=(Grant(author, mint_uruv),) if mint_uruv else (),
            newcomers=newcomers,
        )
        return self.add_network(genesis, Membership())

    def add_network(self, genesis: Genesis, membership: Membership) -> NetworkFolder:
        """Write down a network and make it the current one. The same network twice is one."""
        data = encode_genesis(genesis)
        decode_genesis(data)  # limits hold for what is written as for what is read
        network = compute_network_id(genesis)
        directory = self.path / "networks" / network.hex()[:16]
        make_private_folder(directory)
        if not (directory / "genesis.bin").exists():
            write_private(directory / "membership.bin", encode(membership))
            write_private(directory / "genesis.bin", data)
        self.select_network(network)
        return self._read_network(directory)

    def select_network(self, network: bytes) -> None:
        """Make a network of this home the current one."""
        write_private(self.path / "current", network.hex()[:16].encode() + b"\n")

    def get_current_network(self) -> NetworkFolder | None:
        """The network this home takes part in; None before the first."""
        data = read_private(self.path / "current", bytes_max=64)
        if data is None:
            return None
        name = data.decode("ascii", errors="replace").strip()
        directory = self.path / "networks" / name
        if len(name) != 16 or not name.isalnum() or not directory.is_dir():
            raise StorageError(
                f"{self.path / 'current'} names no network of this home",
                hint="remove it to found a new network, or join with a ticket",
            )
        return self._read_network(directory)

    def _read_network(self, directory: Path) -> NetworkFolder:
        try:
            genesis = decode_genesis(_read(directory / "genesis.bin", GENESIS_BYTES_MAX))
            membership = _membership_decoder.decode(
                _read(directory / "membership.bin", MEMBERSHIP_BYTES_MAX)
            )
        except StorageError:
            raise
        except MeshError as error:
            raise StorageError(
                f"network folder {directory} is damaged: {error.message}",
                hint="restore a backup, or move the folder away and join again",
            ) from None
        network = compute_network_id(genesis)
        if network.hex()[:16] != directory.name:
            raise StorageError(
                f"network folder {directory} holds the genesis of {network.hex()[:16]}",
                hint="rename it back, or move it away and join again",
            )
        return NetworkFolder(directory, network, genesis, membership)

    # --- what is kept for the next start -----------------------------------------------------

    def get_name(self) -> str:
        """What this node was called last; empty where nobody has named it."""
        data = read_private(self.path / "name", bytes_max=NAME_BYTES_MAX)
        text = "" if data is None else data.decode("utf-8", errors="replace").strip()
        return text if text.isprintable() else ""

    def remember_name(self, name: str) -> None:
        """Keep the name for the next start, for peers know this node by it."""
        if name != self.get_name():
            write_private(self.path / "name", name.encode() + b"\n")

    def get_port(self) -> int | None:
        """The port this node listened on before; tickets out there name it."""
        data = read_private(self.path / "port", bytes_max=16)
        text = "" if data is None else data.decode("ascii", errors="replace").strip()
        return int(text) if text.isdecimal() and 0 < int(text) < 65_536 else None

    def remember_port(self, port: int) -> None:
        """Keep the port for the next start."""
        if port != self.get_port():
            write_private(self.path / "port", b"%d\n" % port)

    def resolve_listen(self, listen: str) -> str:
        """`listen` with port 0 replaced by the remembered port, if there is one."""
        port = self.get_port()
        if port is None or not listen.endswith("/tcp/0"):
            return listen
        return f"{listen.removesuffix('0')}{port}"

    # --- one process -------------------------------------------------------------------------

    @contextmanager
    def lock(self, *, now_ms: int, name: str = "node") -> Iterator[None]:
        """Hold this home for one process. Raises `Unavailable` naming who holds it.

        A daemon holds the lock of its own `name` before it opens its node and after it closed it.
        """
        path = self.path / f"{name}.lock"
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Unavailable(
                    f"home folder {self.path} is in use by {_describe_holder(file.read(256))}",
                    hint="`meshnode status` talks to it; `meshnode down` stops it; "
                    "--home names another folder",
                ) from None
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "since_ms": now_ms}))
            file.flush()
            yield


def get_default_home() -> Path:
    """Where a person's node lives unless told otherwise."""
    import platformdirs

    return platformdirs.user_data_path("meshnode")


def open_home(path: Path, *, machine: str | None = None, check: bool = True) -> Home:
    """Make or open a home folder. Raises `Unavailable` for one that is a copy.

    `machine` stands in for this machine's digest. Without `check` any folder is accepted, for the
    commands that repair one.
    """
    path = path.expanduser().absolute()
    make_private_folder(path)
    if path.stat().st_mode & 0o022:
        raise Unavailable(f"home folder {path} can be changed by others", hint=f"chmod 700 {path}")
    home = Home(path)
    if check:
        check_host(path, machine or read_machine_digest())
    return home


def rebind_home(path: Path, *, machine: str | None = None) -> Home:
    """Take over a folder that was copied here."""
    home = open_home(path, check=False)
    bind_host(home.path, machine or read_machine_digest())
    return home


def _read(path: Path, bytes_max: int) -> bytes:
    data = read_private(path, bytes_max=bytes_max)
    if data is None:
        raise StorageError(f"{path} is missing", hint="restore a backup, or join again")
    return data


def _describe_holder(text: str) -> str:
    try:
        record = json.loads(text)
        since = time.strftime("%H:%M", time.localtime(int(record["since_ms"]) // 1_000))
        return f"another meshnode, pid {int(record['pid'])}, since {since}"
    except (ValueError, KeyError, TypeError):
        return "another process"
