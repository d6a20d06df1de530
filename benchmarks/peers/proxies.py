"""Other gateways in front of the same stub engine, each in its own process and environment.

They are installed by `benchmarks/peers/setup_proxies.sh FOLDER`; what is not there is left out.
Each runs one worker process, with its logging and telemetry off, and as its documentation starts it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks._openai_stub import MODEL

START_S = 600.0
"""A gateway that does not answer within this has failed to start."""
LITELLM_KEY = "sk-bench-0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Target:
    """Something that speaks OpenAI's dialect."""

    name: str
    base_url: str
    key: str
    pid: int


def find_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


@contextmanager
def run_stub() -> Iterator[Target]:
    """The engine itself."""
    port = find_port()
    command = [sys.executable, "-m", "benchmarks._openai_stub", str(port)]
    with _run("direct", command, f"http://127.0.0.1:{port}/v1", "none") as target:
        yield target


@contextmanager
def run_meshnode(stub: Target) -> Iterator[Target]:
    """A node as `meshnode up` runs it, alone in its mesh, with the stub as its engine."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        options = [f"base_url={stub.base_url}", "slots=256", "self_hosted=true"]
        command = [sys.executable, "-m", "meshnode", "up", "--foreground", "--home", home]
        command += ["--engine", "openai_compatible", "--api", f"127.0.0.1:{find_port()}"]
        command += ["--listen", "/ip4/127.0.0.1/tcp/0"]
        for option in options:
            command += ["--engine-option", option]
        with _start(command) as process:
            runtime = Path(home) / "runtime.json"
            _wait(process, runtime.exists)
            record = json.loads(runtime.read_text(encoding="utf-8"))
            target = Target("meshnode", f"http://{record['api']}/v1", record["token"], process.pid)
            _wait(process, lambda: _answers(target))
            yield target


@contextmanager
def run_litellm(folder: Path, stub: Target) -> Iterator[Target]:
    """LiteLLM's proxy with one worker, without a database."""
    port = find_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        config = Path(home) / "config.yaml"
        config.write_text(
            f"model_list:\n  - model_name: {MODEL}\n    litellm_params:\n"
            f"      model: openai/{MODEL}\n      api_base: {stub.base_url}\n"
            "      api_key: none\nlitellm_settings:\n  telemetry: false\n"
            f"general_settings:\n  master_key: {LITELLM_KEY}\n",
            encoding="utf-8",
        )
        command = [str(folder / "litellm/bin/litellm"), "--config", str(config)]
        command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        with _run("litellm", command, f"http://127.0.0.1:{port}/v1", LITELLM_KEY) as target:
            yield target


@contextmanager
def run_sglang(folder: Path, stub: Target) -> Iterator[Target]:
    """sglang-router, which is written in Rust, with the stub as its only worker."""
    port, metrics_port = find_port(), find_port()
    command = [str(folder / "sglang/bin/sglang-router"), "launch", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--prometheus-port", str(metrics_port)]
    command += ["--policy", "round_robin", "--log-level", "error"]
    command += ["--worker-urls", stub.base_url.removesuffix("/v1")]
    with _run("sglang-router", command, f"http://127.0.0.1:{port}/v1", "none") as target:
        yield target


@contextmanager
def run_targets(names: Sequence[str], folder: Path | None) -> Iterator[list[Target]]:
    """The engine first, then every gateway that is wanted and there."""
    with ExitStack() as stack:
        stub = stack.enter_context(run_stub())
        targets = [stub]
        if "meshnode" in names:
            targets.append(stack.enter_context(run_meshnode(stub)))
        if folder is not None and "litellm" in names and (folder / "litellm").is_dir():
            targets.append(stack.enter_context(run_litellm(folder, stub)))
        if folder is not None and "sglang-router" in names and (folder / "sglang").is_dir():
            targets.append(stack.enter_context(run_sglang(folder, stub)))
        yield targets


def read_cpu_s(pid: int) -> float:
    """User and system time of a process and its children, of all their threads."""
    total = _read_ticks(pid)
    children = Path(f"/proc/{pid}/task/{pid}/children")
    total += sum(_read_ticks(int(child)) for child in children.read_text().split())
    return total / os.sysconf("SC_CLK_TCK")


def _read_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@contextmanager
def _run(name: str, command: list[str], base_url: str, key: str) -> Iterator[Target]:
    with _start(command) as process:
        target = Target(name, base_url, key, process.pid)
        _wait(process, lambda: _answers(target))
        yield target


@contextmanager
def _start(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environ)
        try:
            yield process
        except BaseException:
            log.seek(0)
            sys.stderr.buffer.write(log.read()[-4_000:])
            raise
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], condition: object) -> None:
    assert callable(condition)
    deadline_s = time.monotonic() + START_S
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError(f"it did not start: {process.args!r}")
        time.sleep(0.2)


def _answers(target: Target) -> bool:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "max_tokens": 1}
    request = urllib.request.Request(
        f"{target.base_url}/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {target.key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
