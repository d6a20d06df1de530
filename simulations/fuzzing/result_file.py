"""The file of a campaign: a result a line, appended as it comes, so that the campaign can go on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec


class _Result(Protocol):
    @property
    def seed(self) -> int: ...


ResultT = TypeVar("ResultT", bound=_Result)


class ResultFile(Generic[ResultT]):
    """What is known of a campaign, and where it is kept if it is."""

    def __init__(self, path: Path | None, kind: type[ResultT]) -> None:
        """Read what is there; a line torn by the end of an earlier campaign is left out."""
        self._path = path
        self.known: dict[int, ResultT] = {}
        for line in path.read_bytes().splitlines() if path is not None and path.exists() else ():
            try:
                result = msgspec.json.decode(line, type=kind)
            except msgspec.DecodeError:
                continue
            self.known[result.seed] = result

    def find_known(self, seeds: Iterable[int]) -> list[ResultT]:
        """The results these seeds have."""
        return [self.known[seed] for seed in seeds if seed in self.known]

    def add(self, result: ResultT) -> None:
        """Append a result."""
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(result) + b"\n")
