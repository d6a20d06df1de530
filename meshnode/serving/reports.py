"""What peers say of themselves, in the words of the router."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from meshnode.routing.report import ModelOffer, Report

if TYPE_CHECKING:
    from meshnode.core.messages import ModelAdvert
    from meshnode.serving.port import ServingPeer
    from meshnode.serving.protocol import Load


def make_offer(model: ModelAdvert) -> ModelOffer:
    """A model as it was advertised."""
    return ModelOffer(
        id=model.id,
        revision=model.revision,
        context_tokens=model.context_tokens,
        tools=model.tools,
        thinking=model.thinking,
    )


def make_report(peer: ServingPeer) -> Report:
    """A peer's newest advert."""
    return Report(
        sequence=peer.sequence,
        incarnation=peer.incarnation,
        models=tuple(make_offer(model) for model in peer.models),
        slots=peer.slots,
        running=peer.running,
        queued=peer.queued,
        queued_prefill_tokens=peer.queued_prefill_tokens,
        kv_usage_bp=peer.kv_usage_bp,
        draining=peer.draining,
        shareable=peer.shareable,
    )


def apply_load(report: Report, load: Load) -> Report:
    """A report with the load that came with an answer; what is served, only adverts say."""
    return dataclasses.replace(
        report,
        sequence=load.sequence,
        incarnation=load.incarnation,
        slots=load.slots,
        running=load.running,
        queued=load.queued,
        queued_prefill_tokens=load.queued_prefill_tokens,
        kv_usage_bp=load.kv_usage_bp,
        draining=load.draining,
    )
