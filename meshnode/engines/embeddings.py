"""Engines that can also turn text into vectors, where their model does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshnode.engines.base import EngineError
from meshnode.engines.context import encode_json
from meshnode.engines.http_engine import AUTO_MODELS, HttpEngine
from meshnode.engines.request import bad_request
from meshnode.engines.rules.draft import MESH_FIELD

if TYPE_CHECKING:
    from collections.abc import Mapping


class EmbeddingsEngine(HttpEngine):
    """An engine whose service has `POST /embeddings`."""

    async def embed(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answered JSON object of `POST /v1/embeddings`. Raises `EngineError`."""
        body = {name: value for name, value in request.items() if name != MESH_FIELD}
        if body.get("model") in AUTO_MODELS:
            body["model"] = self._default_model
        data = encode_json(body)
        if len(data) > self._options.request_bytes_max:
            raise bad_request(
                f"the request has {len(data)} bytes where {self._options.request_bytes_max} may be"
            )
        model = str(body["model"])
        meter = self._new_meter(model)
        async with self._gate.slot():
            ended: BaseException | None = None
            try:
                await self._check_standing(model)
                answer = await self._backend.fetch_object(
                    "POST",
                    "embeddings",
                    deadline=self._after(self._options.total_timeout_ms),
                    body=data,
                    size_max_bytes=self._options.answer_bytes_max,
                )
                meter.take(answer, now_ms=self._now_ms())
            except BaseException as error:
                ended = error
                if isinstance(error, EngineError):
                    await self._note_error(error, model)
                raise
            finally:
                self._close_meter(meter, ended)
        return answer
