"""Digests of prompts: prefix-stable, bounded, forgotten, told once."""

from __future__ import annotations

from meshnode.serving.prompt_cache import PromptCache, digest_prompt, read_blocks, render_prompt
from meshnode.serving.protocol import BLOCK_BYTES

TERMS = {"network": bytes(32), "model": "m", "revision": "r"}


def test_conversation_that_goes_on_begins_as_it_began():
    messages = [{"role": "user", "content": "x" * 5_000}]
    longer = [*messages, {"role": "assistant", "content": "y" * 5_000}]
    first = digest_prompt({"messages": messages}, **TERMS)  # type: ignore[arg-type]
    second = digest_prompt({"messages": longer, "temperature": 1}, **TERMS)  # type: ignore[arg-type]
    assert len(first) == 2
    assert second[:2] == first
    assert digest_prompt({"messages": messages}, **{**TERMS, "model": "n"})[0] != first[0]  # type: ignore[arg-type]


def test_prompt_that_cannot_be_rendered_has_no_digests():
    assert render_prompt({"messages": [object()]}) == b""
    assert digest_prompt({"messages": 7}, **TERMS) == ()  # type: ignore[arg-type]


def test_cache_tells_only_what_is_new():
    cache = PromptCache()
    cache.add((1, 2), now_ms=0)
    cache.add((), now_ms=0)
    complete, blocks = cache.read_since(0, now_ms=0)
    assert (complete, read_blocks(blocks), cache.generation) == (True, (1, 2), 1)
    cache.add((1, 3), now_ms=1)
    complete, blocks = cache.read_since(1, now_ms=1)
    assert (complete, read_blocks(blocks)) == (False, (1, 3))
    assert cache.read_since(99, now_ms=1)[0]
    assert len(cache.read_since(0, now_ms=1)[1]) == 3 * BLOCK_BYTES


def test_cache_counts_the_leading_blocks_it_holds():
    cache = PromptCache()
    cache.add((1, 2), now_ms=0)
    assert [cache.count_held(each, now_ms=0) for each in ((1, 2, 3), (3, 1), (1, 2), ())] == [
        2,
        0,
        2,
        0,
    ]


def test_cache_forgets_the_oldest_and_what_is_too_much():
    cache = PromptCache(blocks_max=3, ttl_ms=100)
    cache.add((1, 2), now_ms=0)
    cache.add((3, 4, 5, 6), now_ms=50)
    assert read_blocks(cache.read_since(0, now_ms=50)[1]) == (3, 4, 5)
    assert read_blocks(cache.read_since(0, now_ms=150)[1]) == ()
