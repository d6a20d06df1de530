"""Encryption of the HTTP interface with a certificate of the owner's."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshnode.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a certificate and its key are."""

    certificate: Path | None = None
    key: Path | None = None
    """None where the certificate's file holds it."""


_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"
NO_TLS: Final = TlsFiles()


def make_server_context(files: TlsFiles) -> ssl.SSLContext | None:
    """A context for these files, None without a certificate. Raises `ConfigError`."""
    certificate, key = files.certificate, files.key
    if certificate is None:
        if key is not None:
            raise ConfigError("api_key_file is given without api_cert", hint="give both or neither")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a passphrase would ask for it on the terminal, which a service has not.
        context.load_cert_chain(certificate, key, password=_refuse_passphrase)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"api_cert {certificate} and its key cannot be used: {reason}",
            hint="both are PEM files; the key has no passphrase (api_key_file, or in the same file)",
        ) from None
    return context


def _refuse_passphrase() -> str:
    raise ValueError("the key has a passphrase")


def make_client_context(certificate: str) -> ssl.SSLContext | None:
    """A context that trusts this node's certificate and nothing else; None for plain HTTP.

    The certificate itself is compared, so its name need not be the address that is dialled.
    Raises `ConfigError`.
    """
    if not certificate:
        return None
    try:
        text = Path(certificate).read_text(encoding="ascii")
        own = text[text.index(_BEGIN) : text.index(_END) + len(_END)]
        context = ssl.create_default_context(cadata=own)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the certificate {certificate} of the running node cannot be read: {error}",
            hint="restart the node after its certificate was moved",
        ) from None
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
