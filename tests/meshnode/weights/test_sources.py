"""References to model files: what each form means, and what is refused."""

from __future__ import annotations

import pytest

from meshnode.errors import ConfigError
from meshnode.weights.sources import parse_source

DIGEST = "ab" * 32


def test_every_form_is_understood():
    hub = parse_source("hf:Qwen/Qwen3-0.6B-GGUF@main/sub/Qwen3-0.6B-Q8_0.gguf")
    assert hub.location == (
        "https://huggingface.co/Qwen/Qwen3-0.6B-GGUF/resolve/main/sub/Qwen3-0.6B-Q8_0.gguf"
    )
    assert (hub.file_name, hub.sha256) == ("Qwen3-0.6B-Q8_0.gguf", "")
    web = parse_source(f"https://example.org/a/m.gguf?download=1#sha256={DIGEST.upper()}")
    assert (web.file_name, web.sha256) == ("m.gguf", DIGEST)
    assert parse_source("file:/media/usb/m.gguf", sha256=DIGEST).file_name == "m.gguf"
    assert parse_source("builtin:x").kind == "builtin"
    mirror = parse_source("hf:a/b@v1/m.gguf", hub_url="http://127.0.0.1:1/")
    assert mirror.location == "http://127.0.0.1:1/a/b/resolve/v1/m.gguf"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("m.gguf", "no reference"),
        ("ollama:x", "no reference"),
        ("https://example.org/m.gguf", "needs its digest"),
        (f"http://example.org/m.gguf#sha256={DIGEST}", "no https address"),
        (f"https://u:p@example.org/m.gguf#sha256={DIGEST}", "no https address"),
        (f"https://[/m.gguf#sha256={DIGEST}", "no https address"),
        ("file:/m.gguf#sha256=zz", "64 hex digits"),
        ("file:/etc/passwd", "no name of a model file"),
        (f"https://example.org/..%2f.gguf#sha256={DIGEST}", "no name of a model file"),
        ("hf:Qwen/Qwen3/m.gguf", "names no file of the hub"),
        ("hf:a/b@main/../../m.gguf", "names no file of the hub"),
        ("hf:a/b@main/x y.gguf", "names no file of the hub"),
        ("hf:a/b@main/m.bin", "no name of a model file"),
    ],
)
def test_what_cannot_be_followed_is_refused(text, words):
    with pytest.raises(ConfigError, match=words):
        parse_source(text)


def test_two_digests_are_one_too_many():
    with pytest.raises(ConfigError, match="two different"):
        parse_source(f"file:/m.gguf#sha256={DIGEST}", sha256="cd" * 32)
    assert parse_source(f"file:/m.gguf#sha256={DIGEST}", sha256=DIGEST).sha256 == DIGEST
