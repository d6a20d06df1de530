"""The public names: pinned, lazy, complete."""

from __future__ import annotations

import subprocess
import sys

import pytest

import meshnode

PUBLIC = {
    *("Answer", "AnswerInterrupted", "CommandRejected", "ConfigError", "DeadlineExceeded"),
    *("DecisionInfo", "Delta"),
    *(
        "Engine",
        "EngineError",
        "EngineFault",
        "Finality",
        "Finished",
        "HeadsInfo",
        "InvalidMessage",
        "InvitationInfo",
    ),
    *(
        "MarketRefused",
        "MemberInfo",
        "MeshError",
        "ModelInfo",
        "NoDaemon",
        "NoPeerServes",
        "NodeClosed",
        "NodeConfig",
    ),
    *("NoOffer", "NotEnoughRuv", "Payment"),
    *("NodeEvent", "NodeHandle", "NodeStatus", "PeerInfo", "Progress", "RemoteNode"),
    *(
        "Started",
        "StorageError",
        "StreamItem",
        "Together",
        "TransportError",
        "VertexDetail",
        "VertexInfo",
        "VerticesOrdered",
    ),
    *("__version__", "connect", "open_node"),
}


def test_public_names_are_these():
    assert set(meshnode.__all__) == PUBLIC
    assert set(dir(meshnode)) >= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_name_can_be_used(name):
    assert getattr(meshnode, name) is not None


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        meshnode.nonsense  # noqa: B018


def test_submodules_can_be_imported_beside_the_lazy_names():
    code = (
        "import meshnode, meshnode.sync, meshnode.testing;"
        "from meshnode import open_node, MeshError; print(open_node.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "open_node"
