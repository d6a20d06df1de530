"""What a GGUF file says of itself, read from its head without loading a weight.

The file is foreign: every count and length in it is held against a bound and against the size of the
file before anything is read or allocated. Long lists, such as vocabularies, are skipped and counted.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from meshnode.engines.base import EngineError, EngineFault

if TYPE_CHECKING:
    from pathlib import Path

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
ENTRIES_MAX: Final = 65_536
TENSORS_MAX: Final = 262_144
KEY_BYTES_MAX: Final = 1_024
TEXT_BYTES_MAX: Final = 1 << 22
LIST_TEXTS_MAX: Final = 1 << 22
"""Of all lists together: each has to be looked at to be skipped."""
KEPT_BYTES_MAX: Final = 1 << 25
"""Of all texts together."""
DIMENSIONS_MAX: Final = 8
_STRING: Final = 8
_ARRAY: Final = 9
_SCALARS: Final = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_FILE_TYPES: Final = dict(
    enumerate(
        (
            *("F32", "F16", "Q4_0", "Q4_1", "Q4_1_F16", "", "", "Q8_0", "Q5_0", "Q5_1", "Q2_K"),
            *("Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K"),
            *("IQ2_XXS", "IQ2_XS", "Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S"),
            *("IQ3_M", "IQ2_S", "IQ2_M", "IQ4_XS", "IQ1_M", "BF16"),
        )
    )
)
_TENSOR_TYPES: Final = dict(
    enumerate(
        (
            *("F32", "F16", "Q4_0", "Q4_1", "", "", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "Q2_K"),
            *("Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S"),
            *("IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8", "I16", "I32", "I64", "F64", "IQ1_M"),
            "BF16",
        )
    )
)


@dataclass(frozen=True, slots=True)
class SkippedList:
    """A list that was counted, not kept."""

    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufInfo:
    """What the head of a file says."""

    version: int
    size_bytes: int
    metadata: dict[str, Any]
    """Numbers, texts, booleans and `SkippedList`s."""
    tensors: int
    parameters: int
    """Numbers in all tensors together."""
    tensor_types: dict[str, int] = field(default_factory=dict)
    """How many tensors are of which type."""

    def get_text(self, key: str) -> str:
        """A text of the metadata; empty where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def get_count(self, key: str) -> int:
        """A whole number of the metadata; 0 where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    @property
    def architecture(self) -> str:
        """Which family of networks it is of: 'llama', 'qwen3'."""
        return self.get_text("general.architecture")

    @property
    def context_tokens(self) -> int:
        """How long a context it was trained for; 0 where it does not say."""
        return self.get_count(f"{self.architecture}.context_length")

    @property
    def quantisation(self) -> str:
        """How its weights are rounded: 'Q4_K_M'."""
        number = self.metadata.get("general.file_type")
        named = _FILE_TYPES.get(number, "") if isinstance(number, int) else ""
        if named or not self.tensor_types:
            return named
        return max(self.tensor_types, key=lambda name: self.tensor_types[name])


def read_gguf(path: Path) -> GgufInfo:
    """Read the head of a file. Raises `EngineError` for one that is no GGUF, or a broken one."""
    try:
        with path.open("rb") as file:
            return _Reader(file, str(path)).read()
    except OSError as error:
        raise EngineError(
            EngineFault.MODEL_NOT_FOUND,
            f"{path} cannot be read: {error.strerror}",
            hint="check its path",
        ) from None


class _Reader:
    """Reads one file from its beginning."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._size = os.fstat(file.fileno()).st_size
        self._texts_left = LIST_TEXTS_MAX
        self._bytes_left = KEPT_BYTES_MAX

    def read(self) -> GgufInfo:
        if self._size < len(MAGIC) or self._take(len(MAGIC)) != MAGIC:
            raise self._broken("it is no GGUF file")
        version = self._number("<I")
        if version not in VERSIONS:
            raise self._broken(f"it is of version {version}, and {VERSIONS[-1]} can be read")
        tensors = self._count(TENSORS_MAX, "tensors")
        entries = self._count(ENTRIES_MAX, "entries")
        metadata = {}
        for _ in range(entries):
            key = self._text(KEY_BYTES_MAX)
            metadata[key] = self._value(self._number("<I"))
        parameters, types = 0, dict[str, int]()
        for _ in range(tensors):
            items, kind = self._tensor()
            parameters += items
            types[kind] = types.get(kind, 0) + 1
        return GgufInfo(
            version=version,
            size_bytes=self._size,
            metadata=metadata,
            tensors=tensors,
            parameters=parameters,
            tensor_types=types,
        )

    def _value(self, kind: int) -> Any:
        if kind in _SCALARS:
            (value,) = self._unpack(_SCALARS[kind])
            return value
        if kind == _STRING:
            return self._text(TEXT_BYTES_MAX)
        if kind == _ARRAY:
            return self._list()
        raise self._broken(f"it has a value of unknown type {kind}")

    def _list(self) -> SkippedList:
        kind = self._number("<I")
        items = self._count(self._size, "items of a list")
        if kind in _SCALARS:
            self._skip(items * struct.calcsize(_SCALARS[kind]))
        elif kind == _STRING:
            self._texts_left -= items
            if self._texts_left < 0:
                raise self._broken(f"its lists have more than {LIST_TEXTS_MAX} texts")
            for _ in range(items):
                self._skip(self._number("<Q"))
        else:
            raise self._broken("it has a list of lists")
        return SkippedList(items)

    def _tensor(self) -> tuple[int, str]:
        self._skip(min(self._number("<Q"), self._size))
        dimensions = self._number("<I")
        if dimensions > DIMENSIONS_MAX:
            raise self._broken(f"it has a tensor of {dimensions} dimensions")
        items = 1
        for size in self._unpack(f"<{dimensions}Q"):
            items *= size
        kind, _ = self._unpack("<IQ")
        return items, _TENSOR_TYPES.get(kind) or f"type {kind}"

    def _text(self, bytes_max: int) -> str:
        size = self._number("<Q")
        if size > bytes_max:
            raise self._broken(f"it has a text of {size} bytes")
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise self._broken(f"its texts have more than {KEPT_BYTES_MAX} bytes")
        return self._take(size).decode("utf-8", errors="replace")

    def _count(self, count_max: int, what: str) -> int:
        count = self._number("<Q")
        if count > min(count_max, self._size):
            raise self._broken(f"it claims {count} {what}")
        return count

    def _number(self, form: str) -> int:
        (number,) = self._unpack(form)
        return int(number)

    def _unpack(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(form, self._take(struct.calcsize(form)))

    def _take(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise self._broken("it ends in the middle of its head")
        return data

    def _skip(self, size: int) -> None:
        if size > self._size - self._file.tell():
            raise self._broken("it ends in the middle of its head")
        self._file.seek(size, os.SEEK_CUR)

    def _broken(self, reason: str) -> EngineError:
        return EngineError(
            EngineFault.MALFORMED, f"{self._name} cannot be used: {reason}", hint="fetch it again"
        )
