"""What a provider says of its machine: a document signed by the provider and named by its digest.

An attestation holds the digest only, so an offer costs the same however much there is to say, and
nobody can exchange the document later. The document carries the public keys that its author id is
the digest of, so anybody can check it alone, with no node at hand.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from dag.canonical import compute_digest, encode
from dag.crypto import compute_detached_message, sign_suite, verify_suite
from dag.genesis import Suite
from dag.identity import compute_author_id, derive_public_keys
from dag.keys import PublicKeys, SecretKeys
from market.attestation import looks_like_credential
from meshnode.errors import ConfigError, InvalidSignature, MalformedMessage, WrongNetwork
from meshnode.private_files import make_private_folder, read_private, write_private
from meshnode.views import View

if TYPE_CHECKING:
    from pathlib import Path

HARDWARE_DOMAIN: Final = b"meshnode/hardware/1"
DOCUMENT_BYTES_MAX: Final = 16_000
"""It fits a note."""
MEDIA_TYPE: Final = "application/vnd.meshnode.hardware+json"
TEXT_CHARACTERS_MAX: Final = 128
COUNT_MAX: Final = 1_000_000
FOLDER: Final = "hardware"


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareSpec(View):
    """What serves a model. What is left out is not said."""

    accelerator: str = ""
    accelerators: int = 0
    accelerator_memory_gib: int = 0
    """Of each."""
    interconnect: str = ""
    cpu: str = ""
    cpu_cores: int = 0
    memory_gib: int = 0
    engine: str = ""
    """What runs the model, with its version."""
    region: str = ""
    tee: str = ""
    """A trusted execution environment, if there is one."""
    remarks: str = ""

    def __post_init__(self) -> None:
        """Raises `ConfigError` for what may not stand in a document that everybody reads."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str):
                _check_text(field.name, value)
            elif not 0 <= value <= COUNT_MAX:
                raise ConfigError(f"hardware_spec.{field.name} is not 0 to {COUNT_MAX}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareDocument(View):
    """A specification as its provider signed it; `read_document` checks one."""

    schema: ClassVar[str] = "meshnode.hardware/1"

    author: str
    network: str
    digest: str
    """Of author and specification: what attestations name it by."""
    spec: HardwareSpec
    suite: Suite
    ed25519_key: str
    mldsa65_key: str
    signature: str


class _Statement(msgspec.Struct, frozen=True, array_like=True):
    """What is signed: one byte form for each specification of each author."""

    author: bytes
    spec: tuple[str | int, ...]


def compute_hardware_digest(author: bytes, spec: HardwareSpec) -> bytes:
    """Name a specification of an author."""
    return compute_digest(HARDWARE_DOMAIN, _encode_statement(author, spec))


def sign_spec(
    spec: HardwareSpec, *, secrets: SecretKeys, suite: Suite, network: bytes
) -> HardwareDocument:
    """Sign a specification as a provider of a network."""
    keys = derive_public_keys(secrets, suite)
    author = compute_author_id(keys.ed25519_key, keys.mldsa65_key)
    data = _encode_statement(author, spec)
    message = compute_detached_message(HARDWARE_DOMAIN, network, data)
    return HardwareDocument(
        author=author.hex(),
        network=network.hex(),
        digest=compute_digest(HARDWARE_DOMAIN, data).hex(),
        spec=spec,
        suite=suite,
        ed25519_key=keys.ed25519_key.hex(),
        mldsa65_key=keys.mldsa65_key.hex(),
        signature=sign_suite(suite, secrets, message).hex(),
    )


def encode_document(document: HardwareDocument) -> bytes:
    """A document as the bytes of a JSON file or a note."""
    return json.dumps(document.to_json(), ensure_ascii=False, indent=1).encode() + b"\n"


def read_document(data: bytes, *, network: bytes | None = None) -> HardwareDocument:
    """Read and check a document. Raises `MalformedMessage`, `InvalidSignature`, `WrongNetwork`.

    With `network` it has to be of that one; without, of the one it names.
    """
    document = _parse(data)
    raw = {
        name: _read_hex(document, name)
        for name in ("author", "network", "digest", "ed25519_key", "mldsa65_key", "signature")
    }
    if network is not None and raw["network"] != network:
        raise WrongNetwork("the hardware document is of another network")
    if bool(raw["mldsa65_key"]) != (document.suite == "hybrid"):
        raise InvalidSignature("the keys of the hardware document are not those of its suite")
    if compute_author_id(raw["ed25519_key"], raw["mldsa65_key"]) != raw["author"]:
        raise InvalidSignature("the keys of the hardware document are not its author's")
    statement = _encode_statement(raw["author"], document.spec)
    if not hmac.compare_digest(compute_digest(HARDWARE_DOMAIN, statement), raw["digest"]):
        raise InvalidSignature("the digest of the hardware document is not that of its text")
    keys = PublicKeys(raw["ed25519_key"], raw["mldsa65_key"], b"", b"", b"")
    message = compute_detached_message(HARDWARE_DOMAIN, raw["network"], statement)
    if not verify_suite(document.suite, keys, message, raw["signature"]):
        raise InvalidSignature("the hardware document is not signed by its author")
    return document


def store_document(home: Path, document: HardwareDocument) -> Path:
    """Keep a document in a node's home folder, under its digest."""
    path = locate_document(home, document.digest)
    make_private_folder(path.parent)
    write_private(path, encode_document(document))
    return path


def load_document(home: Path, digest: str) -> HardwareDocument | None:
    """A stored document, checked; None where there is none of this digest."""
    data = read_private(locate_document(home, digest), bytes_max=DOCUMENT_BYTES_MAX)
    if data is None:
        return None
    document = read_document(data)
    if document.digest != digest:
        raise InvalidSignature("a stored hardware document is not the one its name says")
    return document


def locate_document(home: Path, digest: str) -> Path:
    """Where a document of this digest is kept. Raises `MalformedMessage` for no digest."""
    try:
        name = bytes.fromhex(digest).hex()
    except ValueError:
        raise MalformedMessage("a hardware document is named by its digest, in hex") from None
    return home / FOLDER / f"{name}.json"


def _parse(data: bytes) -> HardwareDocument:
    if len(data) > DOCUMENT_BYTES_MAX:
        raise MalformedMessage(f"a hardware document has at most {DOCUMENT_BYTES_MAX} bytes")
    try:
        decoded = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise MalformedMessage("a hardware document is JSON, and this is not") from None
    if not isinstance(decoded, dict) or decoded.get("schema") != HardwareDocument.schema:
        raise MalformedMessage(f"not a document of the form {HardwareDocument.schema}")
    try:
        return HardwareDocument.from_json(decoded)
    except ConfigError as error:
        raise MalformedMessage(error.message) from None


def _read_hex(document: HardwareDocument, name: str) -> bytes:
    try:
        return bytes.fromhex(getattr(document, name))
    except ValueError:
        raise MalformedMessage(f"'{name}' of the hardware document is not hex") from None


def _encode_statement(author: bytes, spec: HardwareSpec) -> bytes:
    values = tuple(getattr(spec, field.name) for field in fields(spec))
    return encode(_Statement(author, values))


def _check_text(name: str, text: str) -> None:
    """The text itself stays out of the error: it may be a secret."""
    if len(text) > TEXT_CHARACTERS_MAX:
        raise ConfigError(f"hardware_spec.{name} has more than {TEXT_CHARACTERS_MAX} characters")
    if not text.isprintable():
        raise ConfigError(f"hardware_spec.{name} holds control characters", hint="leave them out")
    if looks_like_credential(text):
        raise ConfigError(
            f"hardware_spec.{name} looks like it holds a key, a token or a password",
            hint="the document is signed for everybody to read: describe the machine only",
        )
