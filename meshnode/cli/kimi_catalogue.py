"""The commands of an own account and of local models; see `meshnode.cli.catalogue`."""

from __future__ import annotations

from typing import Final

from meshnode.cli.command import Command

KIMI: Final = (
    Command(
        "configure",
        "kimi_configure:configure",
        "Say which account to use and what it may cost; the key is asked for.",
        (
            "meshnode kimi configure",
            "meshnode kimi configure --provider openrouter --daily-cap 1.50",
            "meshnode kimi configure --api-key-stdin < key.txt",
            "meshnode kimi configure --provider local --base-url http://127.0.0.1:8000/v1",
        ),
    ),
    Command(
        "query",
        "kimi_query:query",
        "Ask the provider one question, with your own key.",
        (
            'meshnode kimi query "Why is the sky blue?"',
            'meshnode kimi query "Summarise this" --max-tokens 200 --max-cost 0.01 --json',
            "cat notes.txt | meshnode kimi query -",
        ),
    ),
    Command(
        "chat",
        "kimi_chat:chat",
        "Talk with the provider.",
        ("meshnode kimi chat", 'meshnode kimi chat --system "Answer in one line."'),
    ),
    Command(
        "status",
        "kimi_status:status",
        "Call the provider: does the key work, what is left, what is offered.",
        ("meshnode kimi status", "meshnode kimi status --json"),
    ),
    Command(
        "models",
        "kimi_status:models",
        "List what the provider offers, with context and price.",
        ("meshnode kimi models", "meshnode kimi models --json"),
    ),
    Command(
        "usage",
        "kimi_usage:usage",
        "Sum up what requests used and cost.",
        (
            "meshnode kimi usage",
            "meshnode kimi usage --by model --days 7 --json",
            "meshnode kimi usage --export csv > usage.csv",
        ),
    ),
)
MODEL: Final = (
    Command(
        "ls",
        "model:ls",
        "List model files, and what engines that run here serve.",
        ("meshnode model ls", "meshnode model ls --json"),
    ),
    Command(
        "pull",
        "model_pull:pull",
        "Fetch a model file; it is checked against its digest.",
        (
            "meshnode model pull hf:Qwen/Qwen3-0.6B-GGUF@main/Qwen3-0.6B-Q8_0.gguf",
            "meshnode model pull file:/media/usb/model.gguf",
        ),
    ),
    Command(
        "show",
        "model:show",
        "Show what a model file says of itself, its licence and digest.",
        ("meshnode model show builtin:smollm2-135m-instruct",),
    ),
    Command(
        "bench",
        "model_bench:bench",
        "Measure how fast a model is on this machine.",
        ("meshnode model bench", "meshnode model bench model.gguf --threads 2 --json"),
    ),
)
