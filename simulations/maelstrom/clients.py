"""The clients of a test: each asks its own node, one request at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from simulations.errors import SimulationError
from simulations.maelstrom.history import Operation
from simulations.maelstrom.protocol import ErrorCode, Head, Message, encode_message

if TYPE_CHECKING:
    from simulations.maelstrom.plan import Plan

ADD_REQUESTS: Final = {"broadcast": ("broadcast", "message"), "g-set": ("add", "element")}
"""By workload, the request that adds a value, and the field that holds it."""
READ_FIELDS: Final = {"broadcast": "messages", "g-set": "value"}


class WrongAnswer(SimulationError):
    """A node has broken the protocol."""

    code = "wrong_answer"


class _Error(msgspec.Struct, frozen=True):
    code: int


@dataclass(slots=True)
class _Client:
    """One client; `asked` is the message id it waits for, or -1."""

    name: str
    node: str
    asked: int = -1
    operation: Operation | None = None


class Clients:
    """One client for each node, and the history of what they asked."""

    def __init__(self, plan: Plan) -> None:
        self.history: list[Operation] = []
        self._plan = plan
        self._clients = {
            f"c{number}": _Client(f"c{number}", node) for number, node in enumerate(plan.names, 1)
        }
        self._msg_ids = 0
        self._values = 0
        self._lines: list[tuple[str, bytes]] = []

    @property
    def free(self) -> list[str]:
        """Clients that wait for nothing."""
        return [client.name for client in self._clients.values() if client.operation is None]

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits."""
        return all(client.operation is None for client in self._clients.values())

    @property
    def next_deadline(self) -> int | None:
        """When the first of those who wait gives up."""
        begun_ms = [
            client.operation.begun_ms
            for client in self._clients.values()
            if client.operation is not None
        ]
        return min(begun_ms) + self._plan.request_timeout_ms if begun_ms else None

    def take_lines(self) -> list[tuple[str, bytes]]:
        """What is to be sent, each with its node."""
        lines, self._lines = self._lines, []
        return lines

    # --- asking ---------------------------------------------------------------------------------

    def add(self, now_ms: int, name: str) -> None:
        """Let a client add the next value."""
        request, field = ADD_REQUESTS[self._plan.workload]
        operation = Operation("add", self._clients[name].node, now_ms, self._values)
        self._values += 1
        self._ask(name, operation, {"type": request, field: operation.value})

    def read(self, now_ms: int, name: str, *, is_final: bool = False) -> None:
        """Let a client read."""
        operation = Operation("read", self._clients[name].node, now_ms, is_final=is_final)
        self._ask(name, operation, {"type": "read"})

    def read_all(self, now_ms: int) -> None:
        """Let every client read for the last time."""
        for name in self._clients:
            self.read(now_ms, name, is_final=True)

    def _ask(self, name: str, operation: Operation, body: dict[str, object]) -> None:
        client = self._clients[name]
        assert client.operation is None, "a client asks one thing at a time"
        self._msg_ids += 1
        client.asked, client.operation = self._msg_ids, operation
        self.history.append(operation)
        line = encode_message(name, client.node, {**body, "msg_id": self._msg_ids})
        self._lines.append((client.node, line))

    # --- hearing --------------------------------------------------------------------------------

    def receive(self, now_ms: int, message: Message, head: Head) -> None:
        """Take an answer; one that comes too late is passed over. Raises `WrongAnswer`."""
        client = self._clients.get(message.dest)
        if client is None or client.operation is None or head.in_reply_to != client.asked:
            return
        operation, client.operation = client.operation, None
        operation.ended_ms = now_ms
        if head.type == "error":
            self._fail(operation, message)
            return
        request = "read" if operation.kind == "read" else ADD_REQUESTS[self._plan.workload][0]
        if head.type != f"{request}_ok":
            raise WrongAnswer(f"{message.src} answered {request} with {head.type}")
        operation.outcome = "ok"
        if operation.kind == "read":
            operation.values = self._decode_values(message)

    def _fail(self, operation: Operation, message: Message) -> None:
        try:
            code = ErrorCode(msgspec.json.decode(message.body, type=_Error).code)
        except (msgspec.DecodeError, ValueError):
            operation.outcome = "unknown"
            return
        operation.outcome = "failed" if code.is_definite else "unknown"

    def _decode_values(self, message: Message) -> tuple[int, ...]:
        field = READ_FIELDS[self._plan.workload]
        try:
            body = msgspec.json.decode(message.body, type=dict[str, msgspec.Raw])
            return msgspec.json.decode(body.get(field, b""), type=tuple[int, ...])
        except (msgspec.DecodeError, RecursionError) as error:
            raise WrongAnswer(f"{message.src} answered read without {field}: {error}") from error

    def tick(self, now_ms: int) -> None:
        """Give up what has taken too long."""
        for client in self._clients.values():
            operation = client.operation
            if operation and now_ms - operation.begun_ms >= self._plan.request_timeout_ms:
                operation.ended_ms, operation.outcome = now_ms, "unknown"
                client.operation = None
