"""What a node is told at its start, as one plain record.

`meshnode.config_file` fills it from files, environment and flags; an embedder fills it by hand.
Nothing here reads any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from dag.genesis import Share, Suite
from meshnode.errors import ConfigError
from meshnode.secret import Secret

API_DEFAULT: Final = "127.0.0.1:7077"
LISTEN_DEFAULT: Final = "/ip4/0.0.0.0/tcp/0"
MINT_RUV_DEFAULT: Final = 1_000
"""What the founder of a network has at first: enough for a first market among friends, in which its
invitations can carry some. Validators can make more later, by motion."""
MINT_RUV_MAX: Final = 1_000_000_000_000
TOKEN_MS_MAX: Final = 60_000
PROBE_SPEND_URUV_MAX: Final = 1_000_000_000
ROTATE_KEYS_DAYS_DEFAULT: Final = 7
KEEP_KEYS_DAYS_DEFAULT: Final = 2
KEYS_DAYS_MAX: Final = 3_650
BLOB_QUOTA_MIB_MAX: Final = 1_000_000_000
LOOPBACK_HOSTS: Final = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """Settings of one node."""

    home: Path | None = None
    """Folder of identity and stores; None for a temporary one, removed at the end."""
    name: str = ""
    """How people call this node, 1 to 64 characters; empty for one made of its id."""
    network_name: str = ""
    """Name of the network that a fresh home founds; empty for one made of the node's name."""
    listen: tuple[str, ...] = (LISTEN_DEFAULT,)
    """Multiaddrs to listen on. Port 0 picks one that is then kept."""
    advertise: tuple[str, ...] = ()
    """Multiaddrs others should dial, where that is not what the node sees of itself (NAT)."""
    mdns: bool = False
    """Whether to look for members on the LAN, and to be seen there as a node of some network."""
    rendezvous: tuple[str, ...] = ()
    """Members that know where members are: multiaddrs that end in /p2p/<peer id>."""
    serve_rendezvous: bool = False
    """Whether to keep the addresses of members and tell them to members."""
    serve_relay: bool = False
    """Whether to hand connections on to members that cannot be reached otherwise."""
    use_relays: bool = True
    """Whether to be reached through members that relay, where nobody gets through otherwise."""
    punch_holes: bool = True
    """Whether peers met at a relay are dialled directly, both ends at once, where routers allow."""
    api: str | None = None
    """HOST:PORT of the local HTTP interface; port 0 picks a free one. None: 127.0.0.1:7077, or a
    free port where that one is taken, so that several homes of one machine need no setting."""
    api_insecure: bool = False
    """Whether the HTTP interface may listen beyond this machine, unencrypted."""
    api_cert: Path | None = None
    """PEM file with the certificate that encrypts the HTTP interface; None for plain HTTP."""
    api_key_file: Path | None = None
    """PEM file with the key of that certificate; None where the certificate's file holds it."""
    engine: str | None = None
    """Registered name of what answers questions here; 'none' to serve nothing. None: 'auto' on a
    node that founded its mesh, 'none' on a guest's, because taking part is voluntary."""
    engine_options: Mapping[str, object] = field(default_factory=dict)
    """Options of that engine. A key is a reference, see `meshnode.key_references`."""
    daily_cap_udollar: int | None = None
    """What requests to a provider may cost in a day (UTC), in micro-dollars; None for no cap."""
    serve_free: bool = True
    """Whether questions of others are answered without a contract; paid ones go first either way."""
    token_ms_max: int = 0
    """Fewer questions run at once while a token takes longer than this in the mean; 0 for never."""
    probe: bool = False
    """Whether to watch the providers that the market draws this node for: short questions to each,
    and a report on them."""
    probe_spend_uruv: int = 0
    """What questions to a provider that answers paid ones only may cost in a window of ten minutes;
    0 asks only what is free."""
    rotate_keys_days: int = ROTATE_KEYS_DAYS_DEFAULT
    """Age at which the keys that receive sealed content are replaced; 0 for never by itself."""
    keep_keys_days: int = KEEP_KEYS_DAYS_DEFAULT
    """How long keys that were replaced still open what is sealed to them; then they are erased."""
    share: Share | None = None
    """Whether own results carry their answers; None for what the network says."""
    suite: Suite = "hybrid"
    """Signatures of a network founded here."""
    kind: Literal["mesh", "demo"] = "mesh"
    """Kind of a network founded here."""
    mint_ruv: int = MINT_RUV_DEFAULT
    """Ruv that the founder of a network founded here has from its start."""
    validates: bool = True
    """Whether to make blocks, and so to help agree on one order, where the network's committee names
    the node. Without a seat in it a node makes none either way."""
    prune: bool = False
    """Whether history goes once a later checkpoint is certified; else all of it is kept."""
    blob_quota_mib: int = 4_096
    """What blobs may take on the disk, in MiB; what is neither pinned nor named by own vertices goes
    first."""
    record: Path | None = None
    """File that every input of the core is recorded to, for `meshnode replay`."""
    passphrase_file: Path | None = None
    """File that holds the key store's passphrase."""
    passphrase: Secret | None = None
    """The passphrase itself, where somebody has typed it; wins over the file."""
    host_binding: bool = True
    """Whether a copy of the home folder is refused."""


def parse_api_address(text: str, *, origin: str = "") -> tuple[str, int]:
    """Split HOST:PORT, with IPv6 in brackets. Raises `ConfigError`."""
    host, separator, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if (
        not separator
        or not host
        or (":" in host and not bracketed)
        or not (port.isascii() and port.isdecimal() and len(port) <= 5)
        or int(port) > 65_535
    ):
        where = f" (from {origin})" if origin else ""
        raise ConfigError(
            f"api = {text!r}{where} is not HOST:PORT", hint=f"for example {API_DEFAULT}"
        )
    return host, int(port)


def format_api_address(host: str, port: int) -> str:
    """The inverse of `parse_api_address`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
