"""`meshnode market list`, `meshnode wallet mint`: what validators move together."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter, validators

from market.commands import Policy
from meshnode.cli.market_options import WAIT_S, WaitOption
from meshnode.cli.market_text import print_outcome
from meshnode.cli.money import format_amount, read_ruv
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line
from meshnode.cli.wallet import AmountArgument
from meshnode.client import connect

_COUNTED = "it holds once validators with two thirds of the stake have moved the same"

NonceOption = Annotated[
    int,
    Parameter(
        name="--nonce",
        show_default=False,
        help="Another number repeats an earlier motion.",
        validator=validators.Number(gte=0, lte=2**31),
    ),
]


async def list_(
    variant: Annotated[
        str, Parameter(help="Model and precision of its weights: kimi-k2-instruct/fp8.")
    ],
    *,
    policy: Annotated[
        Policy,
        Parameter(
            help="What its terms allow: open to any backend; contribution_only, as single tasks "
            "of those who have an account; forbidden."
        ),
    ] = "open",
    backend_class: Annotated[str, Parameter(help="What kind of backend serves it.")] = (
        "own_weights"
    ),
    in_weight_bp: Annotated[
        int,
        Parameter(
            help="What a token read counts, in hundredths of a percent of one written.",
            validator=validators.Number(gte=0, lte=10_000),
        ),
    ] = 2_500,
    nonce: NonceOption = 0,
    timeout_s: WaitOption = WAIT_S,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Move, as a validator, that a model can be traded."""
    async with connect(home) as node:
        outcome = await node.market_list(
            variant,
            policy=policy,
            backend_class=backend_class,
            in_weight_bp=in_weight_bp,
            nonce=nonce,
            wait_ms=timeout_s * 1_000,
        )
    said = f"moved that {clean_line(variant, 40)} is {policy.replace('_', ' ')};\n{_COUNTED}"
    return print_outcome(outcome, said, json=json)


async def mint(
    account: Annotated[str, Parameter(help="A member's name, or a whole account id.")],
    amount: AmountArgument,
    *,
    nonce: NonceOption = 0,
    timeout_s: WaitOption = WAIT_S,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Move, as a validator, that an account gets new ruv."""
    uruv = read_ruv(amount, "the amount")
    async with connect(home) as node:
        outcome = await node.wallet_mint(account, uruv, nonce=nonce, wait_ms=timeout_s * 1_000)
    said = f"moved that {clean_line(account, 40)} gets {format_amount(uruv)};\n{_COUNTED}"
    return print_outcome(outcome, said, json=json)
