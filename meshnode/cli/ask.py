"""`meshnode ask`: the answer to stdout as it comes; who gave it, and its finality, to stderr."""

from __future__ import annotations

import sys
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter, validators

from market.decimals import format_ruv
from meshnode.cli.blocking import interruptible
from meshnode.cli.down import read_clock_s
from meshnode.cli.exits import OK
from meshnode.cli.finality import describe_wait, wait_final
from meshnode.cli.formats import UNKNOWN, format_duration, format_id, format_name
from meshnode.cli.money import read_guarantee, read_percent, read_price, read_ruv, read_seconds
from meshnode.cli.options import HomeOption, JsonOption, ShareOption, TimeoutOption, accept_stdin
from meshnode.cli.output import clean, clean_line, note, print_json, write
from meshnode.cli.together import (
    TogetherOptions,
    describe_progress,
    describe_together,
    make_together_options,
)
from meshnode.client import connect
from meshnode.errors import AnswerInterrupted, CommandRejected, ConfigError, DeadlineExceeded
from meshnode.views import Delta, Finished, Progress, Started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meshnode.views import Answer, Payment, StreamItem

PROMPT_BYTES_MAX: Final = 1_000_000

MaxPriceOption = Annotated[
    str | None,
    Parameter(help="Buy the answer: pay at most so many ruv per 1,000 tokens.", show_default=False),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class WishOptions:
    """What a paid answer may cost altogether, and what its provider must offer."""

    max_ruv: Annotated[
        str | None, Parameter(help="Pay at most so many ruv altogether.", show_default=False)
    ] = None
    sla: Annotated[
        str | None,
        Parameter(help="Guarantee the provider must give, in percent.", show_default=False),
    ] = None
    context_tokens: Annotated[
        int | None,
        Parameter(
            help="Context the provider must offer, in tokens.",
            show_default=False,
            validator=validators.Number(gte=1),
        ),
    ] = None
    first_token: Annotated[
        str | None,
        Parameter(help="Seconds within which the first token must come.", show_default=False),
    ] = None
    reputation: Annotated[
        str | None,
        Parameter(help="Reputation the provider must have, in percent.", show_default=False),
    ] = None


async def ask(
    prompt: Annotated[
        str,
        Parameter(
            help="The question; '-' reads it from stdin.",
            allow_leading_hyphen=True,
            validator=accept_stdin,
        ),
    ],
    *,
    model: Annotated[str, Parameter(help="Model id, or 'auto' for whatever is served.")] = "auto",
    peer: Annotated[
        str | None, Parameter(help="Name or id of the member that shall answer.")
    ] = None,
    share: ShareOption = None,
    system: Annotated[str | None, Parameter(help="System prompt.")] = None,
    max_tokens: Annotated[
        int | None, Parameter(help="Longest answer.", validator=validators.Number(gte=1))
    ] = None,
    max_price: MaxPriceOption = None,
    wishes: WishOptions | None = None,
    together: TogetherOptions | None = None,
    timeout_s: TimeoutOption = 120,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Ask the mesh. Ctrl-C stops the work wherever it runs.

    With --max-price the answer is bought: the bid meets the cheapest offer that fits, and what was
    delivered is paid. With --ensemble or --debate several answer, and one is made of theirs.
    """
    messages = make_messages(read_prompt(prompt), system)
    options: dict[str, Any] = {
        "model": model,
        "share": share,
        "peer": peer,
        "max_tokens": max_tokens,
        "timeout_ms": timeout_s * 1_000,
        **make_payment_options(max_price, wishes or WishOptions()),
        **make_together_options(together or TogetherOptions()),
    }
    started_s = read_clock_s()
    try:
        async with connect(home) as node:
            if json:
                answer = await node.ask(messages, **options)
                wait = await wait_final(node, answer.vertex)
                print_json({**answer.to_json(), "finality": wait.to_json()})
            else:
                async with aclosing(node.stream(messages, **options)) as items:
                    answer = await print_stream(items)
                for line in describe_whole(answer):
                    note(line)
                note(describe_wait(await wait_final(node, answer.vertex)))
    except AnswerInterrupted as error:
        if read_clock_s() - started_s < timeout_s:
            raise
        # What ran out is the person's own patience, whoever noticed first.
        raise DeadlineExceeded(error.message, hint="allow more with --timeout") from None
    return OK


def make_messages(prompt: str, system: str | None) -> list[dict[str, str]]:
    """The chat messages of a question. Raises `CommandRejected` for an empty one."""
    if not prompt.strip():
        raise CommandRejected("the question is empty", hint='for example meshnode ask "Hello?"')
    messages = [{"role": "system", "content": system}] if system else []
    return [*messages, {"role": "user", "content": prompt}]


async def print_stream(items: AsyncIterator[StreamItem]) -> Answer:
    """Write a streamed answer to stdout and return it whole."""
    ends_line = True
    try:
        async for item in items:
            match item:
                case Progress():
                    note(describe_progress(item))
                case Started():
                    for attempt in item.attempts:
                        note(f"tried before: {clean_line(attempt)}")
                case Delta(text=text) if text:
                    write(clean(text))
                    ends_line = text.endswith("\n")
                case Finished(answer=answer):
                    return answer
    finally:
        if not ends_line:
            write("\n")
    raise AssertionError("a stream ends with its answer or an error")


def describe_whole(answer: Answer) -> list[str]:
    """What it was made of, where several answered; who answered; what it cost."""
    lines = [*describe_together(answer), describe_answer(answer)]
    return lines if answer.payment is None else [*lines, describe_payment(answer.payment)]


def describe_answer(answer: Answer) -> str:
    """Who answered, with what, how fast, and which vertex says so."""
    tokens = answer.usage.completion_tokens
    name = format_name(answer.name, answer.author)
    return clean_line(
        f"-- {name}{' (this node)' if answer.local else ''}, {answer.model} ({answer.engine}), "
        f"{UNKNOWN if tokens is None else tokens} tokens, "
        f"first after {format_duration(answer.first_token_ms)}, "
        f"all after {format_duration(answer.total_ms)}, "
        f"vertex {format_id(answer.vertex, 12)}"
        f"{'' if answer.verified else ' (not seen here yet)'}"
        f"{', sealed' if answer.sealed else ''}"
        f"{', cut at the token limit' if answer.finish_reason == 'length' else ''}"
    )


def make_payment_options(max_price: str | None, wishes: WishOptions) -> dict[str, Any]:
    """What `ask` is told of money; nothing without a price. Raises `ConfigError`."""
    asked: dict[str, int | None] = {
        "context_tokens": wishes.context_tokens,
        "sla_bp": _read(read_guarantee, wishes.sla, "--sla"),
        "first_token_ms": _read(read_seconds, wishes.first_token, "--first-token"),
        "reputation_bp": _read(read_percent, wishes.reputation, "--reputation"),
    }
    given = {name: value for name, value in asked.items() if value is not None}
    if max_price is None:
        if given or wishes.max_ruv is not None:
            raise ConfigError(
                "a paid question needs its highest price", hint="for example --max-price 0.002"
            )
        return {}
    return {
        "max_price_uruv": read_price(max_price, "--max-price"),
        "max_spend_uruv": _read(read_ruv, wishes.max_ruv, "--max-ruv"),
        "wishes": given,
    }


def _read(read: Callable[[str, str], int], text: str | None, what: str) -> int | None:
    return None if text is None else read(text, what)


def describe_payment(payment: Payment) -> str:
    """What the answer cost, and where that is written."""
    return clean_line(
        f"-- paid {format_ruv(payment.cost_uruv)} ruv for {payment.tokens_billed} tokens "
        f"at {format_ruv(payment.price_uruv)} per 1,000 "
        f"to {format_name(payment.provider_name, payment.provider)}, "
        f"contract {format_id(payment.contract, 12)}"
    )


def read_prompt(prompt: str) -> str:
    """The question as it was given, or from stdin for '-'. Raises `CommandRejected`."""
    if prompt != "-":
        return prompt
    with interruptible():
        data = sys.stdin.buffer.read(PROMPT_BYTES_MAX + 1)
    if len(data) > PROMPT_BYTES_MAX:
        raise CommandRejected(
            f"the question has more than {PROMPT_BYTES_MAX} bytes", hint="shorten it"
        )
    return data.decode("utf-8", errors="replace")
