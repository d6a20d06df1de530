"""`meshnode kimi query`: one question straight to the provider, with the owner's own key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from meshnode.cli.ask import make_messages, read_prompt
from meshnode.cli.exits import OK
from meshnode.cli.formats import format_duration
from meshnode.cli.kimi_setup import load_key, load_settings, open_books_home
from meshnode.cli.options import HomeOption, JsonOption, accept_stdin
from meshnode.cli.output import clean, clean_line, note, print_json, write
from meshnode.kimi_settings import format_usd, read_usd

if TYPE_CHECKING:
    from meshnode.kimi.account import KimiAccount, KimiReply

ModelOption = Annotated[
    str, Parameter(name="--model", help="Model id, or 'auto' for the newest.", show_default=False)
]
MaxTokensOption = Annotated[
    int | None,
    Parameter(name="--max-tokens", help="Longest answer.", validator=validators.Number(gte=1)),
]
TemperatureOption = Annotated[
    float | None,
    Parameter(name="--temperature", help="0 to 2.", validator=validators.Number(gte=0, lte=2)),
]
MaxCostOption = Annotated[
    str | None,
    Parameter(
        name="--max-cost", help="Dollars one question may cost; more is refused before it is sent."
    ),
]


async def query(
    prompt: Annotated[
        str,
        Parameter(
            help="The question; '-' reads it from stdin.",
            allow_leading_hyphen=True,
            validator=accept_stdin,
        ),
    ],
    *,
    model: ModelOption = "",
    system: Annotated[str | None, Parameter(help="System prompt.")] = None,
    max_tokens: MaxTokensOption = None,
    temperature: TemperatureOption = None,
    max_cost: MaxCostOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Ask the provider, not the mesh. Ctrl-C stops the answer; what it cost is in the books."""
    from meshnode.kimi.account import open_account

    messages = make_messages(read_prompt(prompt), system)
    limit = None if max_cost is None else read_usd(max_cost, "--max-cost")
    folder = open_books_home(home)
    settings = load_settings(home)
    async with open_account(folder, settings, load_key(folder, settings)) as account:
        request = account.make_request(
            messages, model=model, max_tokens=max_tokens, temperature=temperature
        )
        if limit is not None:
            account.check_cost(request, limit)
        if json:
            reply = await account.ask(request, lambda _: None)
            print_json(reply.to_json())
        else:
            note(describe_reply(await stream_answer(account, request), account))
    return OK


async def stream_answer(account: KimiAccount, request: dict[str, object]) -> KimiReply:
    """Write an answer to stdout as it comes, and return it whole."""
    last = "\n"

    def show(text: str) -> None:
        nonlocal last
        write(clean(text))
        last = text[-1]

    try:
        reply = await account.ask(request, show)
    finally:
        if last != "\n":
            write("\n")
    for detail in reply.notes:
        note(f"-- {clean_line(detail)}")
    return reply


def describe_reply(reply: KimiReply, account: KimiAccount) -> str:
    """What answered, how fast, and what it cost."""
    cost = reply.cost_udollar
    price = "cost unknown" if cost is None else f"{format_usd(cost)} USD"
    if account.settings.provider == "local":
        price = "own engine"
    cached = f", {reply.cached_tokens} of them cached" if reply.cached_tokens else ""
    return clean_line(
        f"-- {reply.model} ({reply.provider}), {reply.prompt_tokens} tokens in{cached}, "
        f"{reply.completion_tokens} out, first after {format_duration(reply.first_token_ms)}, "
        f"all after {format_duration(reply.total_ms)}, {price}"
        f"{', cut at the token limit' if reply.finish_reason == 'length' else ''}"
    )
