"""Where a model file comes from.

    builtin:NAME                  a model that an installed package carries
    file:PATH                     a file of this machine
    https://HOST/PATH             a file of the web, whose digest must be given
    hf:OWNER/NAME@REVISION/FILE   a file of the Hugging Face hub, whose digest the hub tells

Any of them may end in `#sha256=HEX`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal
from urllib.parse import quote, unquote, urlsplit

from meshnode.errors import ConfigError
from meshnode.kimi_settings import is_private_host

HUB_URL: Final = "https://huggingface.co"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_HUB: Final = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})@(?P<revision>[\w.-]{1,100})/"
    r"(?P<file>[\w./-]{1,300})",
    re.ASCII,
)
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,199}", re.ASCII)
_SUFFIX: Final = ".gguf"
_FORMS: Final = "write builtin:NAME, file:PATH, https://... or hf:OWNER/NAME@REVISION/FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """A reference that can be followed."""

    kind: Literal["builtin", "file", "https", "hub"]
    reference: str
    """As it was given, without the digest."""
    location: str
    """Path or URL; the reference itself for a builtin model."""
    sha256: str = ""
    """The digest the file must have; empty where the source may tell it."""
    file_name: str = ""
    """What the file is called here."""


def parse_source(text: str, *, sha256: str = "", hub_url: str = HUB_URL) -> ModelSource:
    """Read a reference. Raises `ConfigError`."""
    reference, _, written = text.partition("#sha256=")
    if sha256 and written and sha256.lower() != written.lower():
        raise ConfigError("two different digests are given", hint="leave one out")
    digest = (sha256 or written).lower()
    if digest and not _SHA256.fullmatch(digest):
        raise ConfigError("a digest is 64 hex digits", hint="`sha256sum FILE` prints it")
    kind, _, rest = reference.partition(":")
    if kind == "builtin" and rest:
        return ModelSource(kind="builtin", reference=reference, location=reference, sha256=digest)
    if kind == "file" and rest:
        name = PurePosixPath(rest).name
        return ModelSource(
            kind="file",
            reference=reference,
            location=rest,
            sha256=digest,
            file_name=check_file_name(name),
        )
    if kind in ("https", "http"):
        return _parse_web(reference, digest)
    if kind == "hf":
        return _parse_hub(reference, rest, digest, hub_url)
    raise ConfigError(f"{text[:80]!r} is no reference to a model", hint=_FORMS)


def _parse_web(reference: str, digest: str) -> ModelSource:
    check_web_address(reference)
    if not digest:
        raise ConfigError(
            "a file of the web needs its digest, or nobody could tell what arrived",
            hint="add --sha256 HEX, as its publisher gives it",
        )
    name = PurePosixPath(unquote(urlsplit(reference).path)).name
    return ModelSource(
        kind="https",
        reference=reference,
        location=reference,
        sha256=digest,
        file_name=check_file_name(name),
    )


def _parse_hub(reference: str, rest: str, digest: str, hub_url: str) -> ModelSource:
    match = _HUB.fullmatch(rest)
    parts = match["file"].split("/") if match else []
    if match is None or any(part in ("", ".", "..") for part in parts):
        raise ConfigError(
            f"{reference[:80]!r} names no file of the hub",
            hint="write hf:OWNER/NAME@REVISION/FILE, like hf:Qwen/Qwen3-0.6B-GGUF@main/x.gguf",
        )
    check_web_address(hub_url)
    location = (
        f"{hub_url.rstrip('/')}/{match['repo']}/resolve/{quote(match['revision'], safe='')}/"
        f"{quote(match['file'])}"
    )
    return ModelSource(
        kind="hub",
        reference=reference,
        location=location,
        sha256=digest,
        file_name=check_file_name(parts[-1]),
    )


def check_web_address(text: str) -> None:
    """Refuse an address that nothing should be fetched from. Raises `ConfigError`."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_private_host(host))
    if not host or parts.username or parts.password or not secure:
        raise ConfigError(
            f"{text[:80]!r} is no https address", hint="files are fetched over https only"
        )


def check_file_name(name: str) -> str:
    """A name that stays in its folder and says what it is. Raises `ConfigError`."""
    if not _FILE_NAME.fullmatch(name) or not name.lower().endswith(_SUFFIX):
        raise ConfigError(
            f"{name[:80]!r} is no name of a model file",
            hint="letters, digits, '.', '_' and '-', and .gguf at its end",
        )
    return name
