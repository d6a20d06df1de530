"""meshnode: a peer-to-peer mesh that shares reasoning capacity.

    import meshnode

    async with meshnode.open_node() as node:
        answer = await node.ask("What is the capital of France?")
        print(answer.text, answer.vertex)

`open_node` runs a node inside this process, `connect` reaches the one that `meshnode up` started;
both have the same methods. `meshnode.sync.Node` is the blocking form, for notebooks and scripts,
and `meshnode.testing.mesh` starts several nodes at once. Everything here is loaded when it is first
used; the other packages are importable, but internal before 1.0.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshnode.client import RemoteNode, connect
    from meshnode.config import NodeConfig
    from meshnode.decision_views import DecisionInfo
    from meshnode.engines.base import Engine, EngineError, EngineFault, ModelInfo
    from meshnode.errors import (
        AnswerInterrupted,
        CommandRejected,
        ConfigError,
        DeadlineExceeded,
        InvalidMessage,
        MarketRefused,
        MeshError,
        NoDaemon,
        NodeClosed,
        NoPeerServes,
        StorageError,
        TransportError,
    )
    from meshnode.event_views import NodeEvent, VerticesOrdered
    from meshnode.member_views import InvitationInfo, MemberInfo
    from meshnode.node import NodeHandle, open_node
    from meshnode.trading.errors import NoOffer, NotEnoughRuv
    from meshnode.views import (
        Answer,
        Delta,
        Finality,
        Finished,
        HeadsInfo,
        NodeStatus,
        Payment,
        PeerInfo,
        Progress,
        Started,
        StreamItem,
        Together,
        VertexDetail,
        VertexInfo,
    )

    __version__: str

__all__ = [
    "Answer",
    "AnswerInterrupted",
    "CommandRejected",
    "ConfigError",
    "DeadlineExceeded",
    "DecisionInfo",
    "Delta",
    "Engine",
    "EngineError",
    "EngineFault",
    "Finality",
    "Finished",
    "HeadsInfo",
    "InvalidMessage",
    "InvitationInfo",
    "MarketRefused",
    "MemberInfo",
    "MeshError",
    "ModelInfo",
    "NoDaemon",
    "NoOffer",
    "NoPeerServes",
    "NodeClosed",
    "NodeConfig",
    "NodeEvent",
    "NodeHandle",
    "NodeStatus",
    "NotEnoughRuv",
    "Payment",
    "PeerInfo",
    "Progress",
    "RemoteNode",
    "Started",
    "StorageError",
    "StreamItem",
    "Together",
    "TransportError",
    "VertexDetail",
    "VertexInfo",
    "VerticesOrdered",
    "__version__",
    "connect",
    "open_node",
]

_MODULES = {
    "meshnode.client": ("RemoteNode", "connect"),
    "meshnode.config": ("NodeConfig",),
    "meshnode.decision_views": ("DecisionInfo",),
    "meshnode.member_views": ("InvitationInfo", "MemberInfo"),
    "meshnode.engines.base": ("Engine", "EngineError", "EngineFault", "ModelInfo"),
    "meshnode.errors": (
        "AnswerInterrupted",
        "CommandRejected",
        "ConfigError",
        "DeadlineExceeded",
        "InvalidMessage",
        "MarketRefused",
        "MeshError",
        "NoDaemon",
        "NoPeerServes",
        "NodeClosed",
        "StorageError",
        "TransportError",
    ),
    "meshnode.event_views": ("NodeEvent", "VerticesOrdered"),
    "meshnode.node": ("NodeHandle", "open_node"),
    "meshnode.trading.errors": ("NoOffer", "NotEnoughRuv"),
    "meshnode.views": (
        "Answer",
        "Delta",
        "Finality",
        "Finished",
        "HeadsInfo",
        "NodeStatus",
        "Payment",
        "PeerInfo",
        "Progress",
        "Started",
        "StreamItem",
        "Together",
        "VertexDetail",
        "VertexInfo",
    ),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    if name == "__version__":
        value: object = metadata.version("meshnode")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'meshnode' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
