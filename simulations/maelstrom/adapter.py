"""A Maelstrom node: lines in, lines out, the real core between them.

`broadcast` and `add` author a note and are answered once it is stored; `read` answers the values
of all notes stored here. Maelstrom asks for them as `messages` where it broadcasts and as `value`
where it adds to a set, and takes neither for the other: the requests before tell which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from dag.types import Kind
from meshnode.core.events import Published, PublishFailed, VertexAdmitted
from meshnode.errors import CommandRejected
from simulations.maelstrom.node import MeshNode
from simulations.maelstrom.protocol import (
    Add,
    BadLine,
    BadRequest,
    Broadcast,
    ErrorCode,
    Head,
    Init,
    Message,
    Read,
    Topology,
    decode_message,
    decode_packet,
    decode_request,
    encode_message,
    encode_value,
    make_error,
    make_reply,
)

if TYPE_CHECKING:
    from meshnode.core.events import Event

MakeNode = Callable[[str, Sequence[str], int], MeshNode]
"""Starts a node by its name, everybody's names and the time."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Who waits for a publication."""

    client: str
    request: str
    msg_id: int


class Adapter:
    """One node, without I/O."""

    def __init__(self, make_node: MakeNode) -> None:
        self.topology: dict[str, tuple[str, ...]] = {}
        """The neighbours Maelstrom proposed."""
        self.ignored = 0
        """Lines that nobody could be answered about."""
        self._make_node = make_node
        self._name = ""
        self._names: tuple[str, ...] = ()
        self._node: MeshNode | None = None
        self._tokens = 0
        self._waiting: dict[int, _Waiting] = {}
        self._values: dict[bytes, msgspec.Raw] = {}
        self._is_broadcast = False
        self._lines: list[bytes] = []

    # --- lines and time -------------------------------------------------------------------------

    def receive(self, now_ms: int, line: bytes) -> str:
        """Take a line; answers why it was ignored, if it was."""
        try:
            message, head = decode_message(line)
            self._receive(now_ms, message, head)
        except BadLine as error:
            self.ignored += 1
            return error.message
        return ""

    def tick(self, now_ms: int) -> None:
        """Do what is due. Early or twice is harmless."""
        if self._node is not None:
            self._node.tick(now_ms)
            self._collect()

    @property
    def next_wakeup(self) -> int | None:
        """When `tick` has something to do."""
        return None if self._node is None else self._node.next_wakeup

    def take_lines(self, now_ms: int) -> list[bytes]:
        """What is to be written."""
        lines, self._lines = self._lines, []
        if self._node is not None:
            for name, packet in self._node.take_packets(now_ms):
                lines.append(encode_message(self._name, name, packet))
        return lines

    @property
    def node(self) -> MeshNode | None:
        """The mesh node, once there is one."""
        return self._node

    # --- messages -------------------------------------------------------------------------------

    def _receive(self, now_ms: int, message: Message, head: Head) -> None:
        if self._node is not None and message.dest != self._name:
            raise BadLine(f"a message to {message.dest}, and this is {self._name}")
        if head.in_reply_to is not None:
            raise BadLine("an answer, and nothing was asked")
        if head.type == "mesh":
            if self._node is None:
                raise BadLine("a packet before the node has a name")
            self._node.receive(now_ms, message.src, decode_packet(message.body))
            self._collect()
            return
        if head.msg_id is None:
            raise BadLine(f"a request of type {head.type} that wants no answer")
        try:
            body = self._serve(now_ms, message, head)
        except BadRequest as error:
            body = make_error(error, head.msg_id)
        if body:
            self._answer(message.src, body, message.dest)
        self._collect()

    def _answer(self, client: str, body: dict[str, object], source: str = "") -> None:
        self._lines.append(encode_message(source or self._name, client, body))

    def _serve(self, now_ms: int, message: Message, head: Head) -> dict[str, object]:
        """Answer a request; an empty body is an answer that comes later. Raises `BadRequest`."""
        request = decode_request(head, message.body)
        match request:
            case Init():
                self._init(now_ms, request)
                return make_reply("init", request.msg_id)
            case _ if self._node is None:
                raise BadRequest(ErrorCode.TEMPORARILY_UNAVAILABLE, "not yet initialised")
            case Topology():
                self.topology = request.topology
                self._is_broadcast = True
                return make_reply("topology", request.msg_id)
            case Broadcast():
                self._is_broadcast = True
                waiting = _Waiting(message.src, "broadcast", request.msg_id)
                self._publish(now_ms, waiting, request.message)
                return {}
            case Add():
                waiting = _Waiting(message.src, "add", request.msg_id)
                self._publish(now_ms, waiting, request.element)
                return {}
            case Read():
                field = "messages" if self._is_broadcast else "value"
                return make_reply("read", request.msg_id, **{field: list(self._values.values())})

    def _init(self, now_ms: int, request: Init) -> None:
        if self._node is not None:
            if (request.node_id, request.node_ids) != (self._name, self._names):
                raise BadRequest(ErrorCode.PRECONDITION_FAILED, f"this node is {self._name}")
            return
        names = request.node_ids
        if request.node_id not in names or len(dict.fromkeys(names)) < len(names):
            raise BadRequest(
                ErrorCode.MALFORMED_REQUEST, "node_ids names each node once, this one included"
            )
        self._name, self._names = request.node_id, names
        self._node = self._make_node(self._name, names, now_ms)

    def _publish(self, now_ms: int, waiting: _Waiting, value: object) -> None:
        body = encode_value(value)
        self._tokens += 1
        assert self._node is not None, "requests are served once there is a node"
        self._waiting[self._tokens] = waiting
        try:
            self._node.publish(now_ms, self._tokens, body)
        except CommandRejected as error:
            del self._waiting[self._tokens]
            raise BadRequest(ErrorCode.TEMPORARILY_UNAVAILABLE, str(error)) from error

    # --- what the core tells --------------------------------------------------------------------

    def _collect(self) -> None:
        if self._node is not None:
            for fact in self._node.take_facts():
                self._note(fact)

    def _note(self, fact: Event) -> None:
        match fact:
            case VertexAdmitted() if fact.signed.vertex.kind == Kind.NOTE:
                self._keep(fact.signed.vertex.body)
            case Published():
                waiting = self._waiting.pop(fact.token)
                self._answer(waiting.client, make_reply(waiting.request, waiting.msg_id))
            case PublishFailed():
                waiting = self._waiting.pop(fact.token)
                error = BadRequest(ErrorCode.ABORT, fact.reason)
                self._answer(waiting.client, make_error(error, waiting.msg_id))
            case _:
                pass

    def _keep(self, body: bytes) -> None:
        """Keep a note's value as it was written; a note that holds none is some other program's."""
        try:
            msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return
        self._values[body] = msgspec.Raw(body)
