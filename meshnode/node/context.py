"""What a question builds on: vertices that people name, as text before a model."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from dag.bodies import BlobNote, BlobResult, Note, Result
from meshnode.errors import CommandRejected
from meshnode.node.presenting import decode_body, make_knowledge_text, name_author
from meshnode.together.prompts import Material, fit, get_bytes_max, make_context_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dag.vertex import SignedVertex

_SHORT: int = 12


def make_context(
    context: Sequence[SignedVertex],
    knowledge: Sequence[SignedVertex],
    names: Mapping[bytes, str],
    *,
    context_tokens: int,
    texts: Mapping[bytes, str] = MappingProxyType({}),
) -> str:
    """The text of what a question builds on; empty where nothing has any.

    What is named as context is there whole, or the question is refused: with `CommandRejected`
    where a text is withheld or they are too long together. What is named as knowledge takes the
    room that is left: it may say nothing, and is cut, visibly, where it is too long. `texts` holds
    what lies in blobs, by vertex.
    """
    bytes_max = get_bytes_max(context_tokens)
    materials = [_require_material(signed, names, texts) for signed in context]
    size_bytes = sum(len(material.text.encode(errors="replace")) for material in materials)
    if size_bytes > bytes_max:
        limit = f"half of the model's {context_tokens} tokens" if context_tokens else "the limit"
        raise CommandRejected(
            f"the context has {size_bytes} bytes where {bytes_max} are allowed, {limit}",
            hint="name fewer or shorter vertices, or a model with more context",
        )
    known = [each for each in (_make_material(s, names, texts) for s in knowledge) if each]
    fitted = fit([material.text for material in known], bytes_max - size_bytes)
    materials += [
        Material(label=material.label, text=text)
        for material, text in zip(known, fitted, strict=True)
    ]
    return make_context_text(materials) if materials else ""


def _require_material(
    signed: SignedVertex, names: Mapping[bytes, str], texts: Mapping[bytes, str]
) -> Material:
    material = _make_material(signed, names, texts)
    if material is not None:
        return material
    shown = signed.id.hex()[:_SHORT]
    body = decode_body(signed)
    if isinstance(body, BlobResult | BlobNote):
        raise CommandRejected(
            f"vertex {shown} names a blob of {body.blob.size_bytes} bytes that is no text, or is "
            "too long",
            hint="`meshnode blob get` fetches it: put the part that matters into the question",
        )
    if isinstance(body, Result):
        raise CommandRejected(
            f"the text of result {shown} is withheld: it shares its digest only, or is empty",
            hint="only who asked has it: put it into the question itself",
        )
    if isinstance(body, Note):
        raise CommandRejected(
            f"note {shown} is no text ({body.media_type[:40]}), or is empty",
            hint="name a result or a note of text",
        )
    raise CommandRejected(
        f"vertex {shown} is no result and no note", hint="`meshnode dag log` lists what there is"
    )


def _make_material(
    signed: SignedVertex, names: Mapping[bytes, str], texts: Mapping[bytes, str]
) -> Material | None:
    text = texts.get(signed.id) or make_knowledge_text(signed)
    if not text.strip():
        return None
    body, author = decode_body(signed), signed.vertex.author
    what = f"result of model {body.model}" if isinstance(body, Result) else "note"
    who = name_author(author, names)
    return Material(label=f"{what} by {who}, vertex {signed.id.hex()[:_SHORT]}", text=text)
