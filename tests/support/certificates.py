"""Self-signed certificates for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from meshnode.gateway.tls import TlsFiles


def write_certificate(
    folder: Path, *, name: str = "node", together: bool = False, passphrase: bytes = b""
) -> TlsFiles:
    """A certificate for a name that nobody dials, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    key_bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    certificate_path, key_path = folder / f"{name}.pem", folder / f"{name}.key"
    key_path.write_bytes(key_bytes)
    certificate_bytes = certificate.public_bytes(Encoding.PEM)
    certificate_path.write_bytes(certificate_bytes + (key_bytes if together else b""))
    return TlsFiles(certificate_path, None if together else key_path)
