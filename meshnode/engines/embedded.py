"""A small language model inside this process: llama.cpp by way of xllamacpp.

Native code runs in threads of its own; the event loop only ever hands over requests and receives
chunks. Two facts of the library shape this module. A call can be stopped only when it reports
something, so prompts are read in small batches that each report. And it listens on a loopback port
whether one wants that or not, so the port gets a random key that nobody keeps.
"""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from meshnode.engines.base import CountMethod, EngineError, EngineFault, ModelInfo, TokenCount
from meshnode.engines.cpu import default_thread_count
from meshnode.engines.embedded_request import build_request, read_prompt_tokens
from meshnode.engines.models import BUILTIN_MODEL, ModelFile, resolve_model, verify_model
from meshnode.engines.openai_stream import CompletionStream
from meshnode.engines.options import Count, EngineOptions
from meshnode.engines.request import check_model
from meshnode.engines.slots import SlotGate
from meshnode.secret import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshnode.engines.base import ChatRequest, Chunk

BATCH_TOKENS = 64
"""Tokens of a prompt per report. Measured on one thread: at most 0.7 s from report to report, for
8 % more time per prompt than batches of 512, which leave 3.3 s."""

_LABEL = "the embedded engine"
_FIRST_REQUEST = '{"prompt": "a", "n_predict": 1}'

# What the binding makes of C++ exceptions.
_NATIVE_ERRORS = (
    ArithmeticError,
    IndexError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class EmbeddedOptions(EngineOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the embedded engine."""

    model: str = BUILTIN_MODEL
    """A reference to a model, see `meshnode.engines.models`."""
    slots: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    threads: Annotated[int, msgspec.Meta(ge=0, le=512)] = 0
    """Threads of the computation; 0 leaves one physical core to everything else."""
    context_tokens: Annotated[int, msgspec.Meta(ge=128, le=1 << 20)] = 4_096
    """Prompt and answer together, per slot; the bundled model was trained for 8,192."""
    answer_tokens_max: Count = 1_024


class EmbeddedEngine:
    """Answers with a model loaded into this process."""

    name = "embedded"
    shareable = True

    def __init__(self, options: EmbeddedOptions | None = None) -> None:
        self._options = options or EmbeddedOptions()
        self._gate = SlotGate(
            self.name, slots=self._options.slots, waiting_max=self._options.waiting_max
        )
        self._executor: ThreadPoolExecutor | None = None
        self._server: Any = None
        self._info: ModelInfo | None = None
        self._runs: dict[_Run, asyncio.Future[None]] = {}

    @property
    def slots(self) -> int:
        """How many requests run at once before they queue."""
        return self._options.slots

    async def start(self) -> None:
        """Check and load the model. Raises `EngineError`, or `ConfigError` for its reference.

        The library keeps the interpreter lock while it loads: 0.3 s for the bundled model, in which
        the event loop stands still. Checking the digest before warms the disk cache for it.
        """
        model = resolve_model(self._options.model)
        executor = ThreadPoolExecutor(self._options.slots, thread_name_prefix="meshnode-embedded")
        loop = asyncio.get_running_loop()
        try:
            self._info = await loop.run_in_executor(executor, _inspect, model, self._options)
            self._server = await loop.run_in_executor(executor, _load, model, self._options)
        except BaseException:
            executor.shutdown()
            raise
        self._executor = executor

    async def close(self) -> None:
        """Stop every answer, free the model and end its threads."""
        self._gate.close()
        for run in self._runs:
            run.stop()
        # Freeing the model under a running call would crash the process: the calls end first, each
        # at its next report.
        await asyncio.gather(*self._runs.values())
        executor, self._executor = self._executor, None
        if executor is None:
            return
        last_reference = [self._server]
        self._server = None
        await asyncio.get_running_loop().run_in_executor(executor, last_reference.clear)
        executor.shutdown()

    async def models(self) -> list[ModelInfo]:
        """The one model that is loaded."""
        return [self._info] if self._server is not None and self._info is not None else []

    async def chat(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        """Stream the model's answer."""
        if self._server is None or self._info is None:
            raise self._not_running()
        check_model(request, served=self._info.id)
        body = build_request(
            request,
            answer_tokens_max=self._options.answer_tokens_max,
            context_tokens=self._options.context_tokens,
        )
        await self._gate.acquire()
        run = self._begin(body)
        stream = CompletionStream(_LABEL, secret=Secret(""))
        try:
            while (data := await run.next_piece()) is not None and not self._gate.closed:
                chunk = stream.take(data)
                if chunk.pop("prompt_progress", None) is None:
                    yield chunk
            if self._gate.closed:
                raise self._gate.closed_error()
            for chunk in stream.finish():
                yield chunk
        finally:
            run.stop()

    async def count_tokens(self, request: ChatRequest) -> TokenCount:
        """The tokens of a request's prompt, by the model's own tokenizer and template: exact.

        The first report on a prompt says how long it is; the call is stopped right there.
        """
        if self._server is None or self._info is None:
            raise self._not_running()
        body = build_request(
            request,
            answer_tokens_max=self._options.answer_tokens_max,
            context_tokens=self._options.context_tokens,
        )
        await self._gate.acquire()
        run = self._begin(body)
        try:
            while (data := await run.next_piece()) is not None:
                total = read_prompt_tokens(data)
                if total is not None:
                    return TokenCount(total, CountMethod.TOKENIZER)
        finally:
            run.stop()
        raise EngineError(EngineFault.INTERNAL, f"{_LABEL} did not say how long the prompt is")

    def _not_running(self) -> EngineError:
        if self._gate.closed:
            return self._gate.closed_error()
        return EngineError(EngineFault.UNREACHABLE, "the embedded engine has not been started")

    def _begin(self, body: str) -> _Run:
        """Start a call in a thread; its slot is free again when the call has really ended."""
        loop = asyncio.get_running_loop()
        run = _Run(loop)
        self._runs[run] = future = loop.run_in_executor(self._executor, self._work, run, body)

        def ended(_: asyncio.Future[None]) -> None:
            del self._runs[run]
            self._gate.release()

        future.add_done_callback(ended)
        return run

    def _work(self, run: _Run, body: str) -> None:
        """The call itself, in a thread of the executor."""
        try:
            self._server.handle_chat_completions(body, run.report)
        except _NATIVE_ERRORS as error:
            run.fail(error)
        else:
            run.end()


class _Run:
    """One call of the native code: its pieces travel from its thread to the event loop.

    The queue needs no bound of its own: it holds at most one piece per token of the answer and per
    batch of the prompt, both of which are limited.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: asyncio.Queue[str | EngineError | None] = asyncio.Queue()
        self._stopped = False

    async def next_piece(self) -> str | None:
        """The next reported piece; None when the call has ended. Raises `EngineError`."""
        item = await self._queue.get()
        if isinstance(item, EngineError):
            raise item
        return item

    def stop(self) -> None:
        """Have the call end at its next report, and its reader at once."""
        self._stopped = True
        self._queue.put_nowait(None)

    def report(self, data: str) -> bool:
        """Called in the thread with each piece; True ends the call."""
        return self._stopped or not self._post(data)

    def end(self) -> None:
        """Called in the thread when nothing follows."""
        self._post(None)

    def fail(self, error: Exception) -> None:
        """Called in the thread when the call failed."""
        fault = EngineFault.BAD_REQUEST if isinstance(error, ValueError) else EngineFault.INTERNAL
        reason = " ".join(str(error).split())[:300]
        self._post(EngineError(fault, f"{_LABEL} could not answer: {reason}"))

    def _post(self, item: str | EngineError | None) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
        except RuntimeError:  # the loop is closed: nobody is left to read
            return False
        return True


def _inspect(model: ModelFile, options: EmbeddedOptions) -> ModelInfo:
    return ModelInfo(
        id=model.id,
        revision=model.sha256,
        context_tokens=options.context_tokens,
        size_bytes=verify_model(model),
        label=model.label,
    )


def _load(model: ModelFile, options: EmbeddedOptions) -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        raise EngineError(
            EngineFault.MODEL_NOT_FOUND,
            f"the embedded engine cannot be loaded: {error}",
            hint="install meshnode[local], or use the echo engine",
        ) from None
    try:
        server = xllamacpp.Server(_native_params(xllamacpp.CommonParams(), model, options))
        # Freed before its own thread has begun to work, the server would wait for that thread for
        # ever. An answer shows that it has begun, and that the model can give one.
        server.handle_completions(_FIRST_REQUEST, lambda _: False)
    except _NATIVE_ERRORS:
        raise EngineError(
            EngineFault.INTERNAL,
            f"the model {model.id} could not be loaded",
            hint="check that it is a GGUF file and that there is enough memory",
        ) from None
    return server


def _native_params(params: Any, model: ModelFile, options: EmbeddedOptions) -> Any:
    threads = options.threads or default_thread_count()
    params.model.path = str(model.path)
    params.model_alias = {model.id}  # or the path on this disk would be the model's public name
    params.n_parallel = options.slots
    params.n_ctx = options.context_tokens * options.slots
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_predict = options.answer_tokens_max
    params.fit_params = False  # it would change the sizes set here to what it thinks fits
    params.cache_ram_mib = 0  # its default keeps up to 8 GB of old prompts
    params.n_ctx_checkpoints = 0
    params.verbosity = -1
    params.hostnames = ["127.0.0.1"]
    params.api_keys = [secrets.token_urlsafe(32)]
    params.n_threads_http = 1
    params.cors_origins = ""
    params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = params.ui = False
    return params
