"""A request on its way out: its fields, and notes on what the rules made of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from meshnode.engines.request import bad_request

if TYPE_CHECKING:
    from meshnode.engines.base import ChatRequest

NOTES_MAX = 64
MESH_FIELD = "meshnode"
"""Wishes to the mesh itself; a provider neither knows them nor needs to."""


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that was sent otherwise than asked, for whoever reads the answer."""

    rule: str
    """A stable word for programs: 'fixed_sampling', 'answer_cap', 'context_trimmed'."""
    field: str
    detail: str
    """For people, one line."""

    def as_json(self) -> dict[str, str]:
        """The form in which an answer carries it."""
        return asdict(self)


class Draft:
    """The fields of a request, to be changed; the request itself stays as it was."""

    def __init__(self, request: ChatRequest, *, model: str = "") -> None:
        self.fields: dict[str, Any] = {
            name: value for name, value in request.items() if name != MESH_FIELD
        }
        if model:
            self.fields["model"] = model
        wishes = request.get(MESH_FIELD)
        self.wishes: dict[str, Any] = wishes if isinstance(wishes, dict) else {}
        self.notes: list[Note] = []
        self.caps_by_default = False
        """Whether the cap on the answer is nobody's wish."""
        self.asked: Any = request.get("messages")
        """The conversation as it was asked, before any rule touched it."""

    @property
    def model(self) -> str:
        """The model asked for."""
        return str(self.fields.get("model") or "")

    @property
    def messages(self) -> list[Any]:
        """The conversation. Raises `EngineError` where there is none."""
        messages = self.fields.get("messages")
        if not isinstance(messages, list) or not messages:
            raise bad_request("'messages' is not a list of at least one message")
        return messages

    def get(self, name: str) -> Any:
        """A field; None where it is missing or null."""
        return self.fields.get(name)

    def omit(self, name: str) -> None:
        """Leave a field out."""
        self.fields.pop(name, None)

    def note(self, rule: str, field: str, detail: str) -> None:
        """Say what was changed."""
        if len(self.notes) < NOTES_MAX:
            self.notes.append(Note(rule, field, detail))
