"""The key ring of the operating system, through the optional package `keyring`.

A machine without a desktop often has none: the package then offers a backend that fails, one that
forgets, or one that writes plain text. All three count as no key ring here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.errors import ConfigError
from meshnode.secret import Secret

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "meshnode"
_HINT: Final = "keep the key in an environment variable or in the encrypted key store instead"
_USELESS: Final = ("keyring.backends.fail", "keyring.backends.null", "keyrings.alt.")


def describe_keyring() -> str:
    """What key ring can be used here; empty where there is none."""
    backend = _find_backend()
    return "" if backend is None else f"{type(backend).__module__}.{type(backend).__name__}"


def read_keyring(service: str, name: str) -> Secret | None:
    """An entry's key; None where there is no such entry. Raises `ConfigError`."""
    from keyring.errors import KeyringError

    backend = _get_backend()
    try:
        text = backend.get_password(service, name)
    except (KeyringError, OSError, RuntimeError, NotImplementedError):
        # Their words may quote what they were asked to keep.
        raise ConfigError("the key ring did not open", hint=f"unlock it, or {_HINT}") from None
    return Secret(text) if text else None


def write_keyring(service: str, name: str, key: Secret) -> None:
    """Keep a key in an entry, in place of what it held. Raises `ConfigError`."""
    from keyring.errors import KeyringError

    backend = _get_backend()
    try:
        backend.set_password(service, name, key.reveal())
    except (KeyringError, OSError, RuntimeError, NotImplementedError):
        raise ConfigError("the key ring did not take the key", hint=_HINT) from None


def _get_backend() -> KeyringBackend:
    backend = _find_backend()
    if backend is None:
        raise ConfigError("this machine has no key ring that could keep a key", hint=_HINT)
    return backend


def _find_backend() -> KeyringBackend | None:
    try:
        import keyring
        from keyring.backends import chainer
    except ImportError:
        return None
    try:
        backend = keyring.get_keyring()
    except (ImportError, AttributeError, RuntimeError, OSError):
        # A setting of the package names a backend that is not there.
        return None
    if isinstance(backend, chainer.ChainerBackend):
        useful = [part for part in backend.backends if not _is_useless(part)]
        return useful[0] if useful else None
    return None if _is_useless(backend) else backend


def _is_useless(backend: KeyringBackend) -> bool:
    return type(backend).__module__.startswith(_USELESS)
