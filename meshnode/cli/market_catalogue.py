"""The commands of the market and of money; see `meshnode.cli.catalogue`."""

from __future__ import annotations

from typing import Final

from meshnode.cli.command import Command

MARKET: Final = (
    Command(
        "offer",
        "market_offer:offer",
        "Offer capacity that this node serves.",
        (
            "meshnode market offer --example > offer.toml",
            "meshnode market offer --file offer.toml --dry-run",
            "meshnode market offer kimi-k2/fp8 --price 0.002 --tokens 9000 --context 32768",
        ),
    ),
    Command(
        "bid",
        "market_bid:bid",
        "Bid for capacity, to try the book; answers are bought with `meshnode ask --max-price`.",
        (
            "meshnode market bid kimi-k2/fp8 --price 0.002 --tokens 50000",
            "meshnode market bid kimi-k2/fp8 --max-ruv 0.5 --tokens 50000 --sla 99",
        ),
    ),
    Command(
        "cancel",
        "market_bid:cancel",
        "Take back an order, or all.",
        ("meshnode market cancel 3fa9c1", "meshnode market cancel --all --model kimi-k2/fp8"),
    ),
    Command(
        "book",
        "market_book:book",
        "Show who bids and offers how much at which price.",
        ("meshnode market book", "meshnode market book kimi-k2/fp8 --depth 5 --json"),
    ),
    Command(
        "watch",
        "market_watch:watch",
        "Follow depth and price live; lines where the output is piped.",
        ("meshnode market watch kimi-k2/fp8", "meshnode market watch --json --limit 10"),
    ),
    Command(
        "orders",
        "market_lists:orders",
        "List open orders, the newest first.",
        ("meshnode market orders", "meshnode market orders --everybody --model kimi-k2/fp8"),
    ),
    Command(
        "trades",
        "market_lists:trades",
        "List trades, the newest first.",
        ("meshnode market trades", "meshnode market trades --limit 5 --json"),
    ),
    Command(
        "contracts",
        "market_lists:contracts",
        "List what follows from this node's trades, or show one contract.",
        (
            "meshnode market contracts",
            "meshnode market contracts --ended",
            "meshnode market contracts 3fa9c1",
        ),
    ),
    Command(
        "close",
        "market_contract:close",
        "Want no more of a contract, as its buyer: what came is paid, the rest returns.",
        ("meshnode market close 3fa9c1",),
    ),
    Command(
        "finalise",
        "market_contract:finalise",
        "Say that this side will not dispute a contract.",
        ("meshnode market finalise 3fa9c1",),
    ),
    Command(
        "dispute",
        "market_contract:dispute",
        "Ask the validators to judge a contract, with a bond.",
        (
            'meshnode market dispute 3fa9c1 --reason "half of the answer is missing"',
            'meshnode market dispute 3fa9c1 --reason "no answer" --evidence log.txt --yes',
        ),
    ),
    Command(
        "verdict",
        "market_contract:verdict",
        "Move, as a validator, how a disputed contract ends.",
        (
            "meshnode market verdict 3fa9c1 --provider 0 --method replay --compared 40",
            "meshnode market verdict 3fa9c1 --provider 0 --fraud --model-digest 5e1c...",
        ),
    ),
    Command(
        "instruments",
        "market_lists:instruments",
        "List what can be traded, and what its terms allow.",
        ("meshnode market instruments", "meshnode market instruments --json"),
    ),
    Command(
        "attest",
        "market_attest:attest",
        "Open this node's backend for a model, by choice; needed before any offer.",
        (
            "meshnode market attest kimi-k2/fp8 --terms LICENSE --terms-version 2025-07",
            "meshnode market attest --file offer.toml --terms LICENSE --terms-version 2",
        ),
    ),
    Command(
        "revoke",
        "market_attest:revoke",
        "Take an attestation back; its offers end at once.",
        ("meshnode market revoke kimi-k2/fp8",),
    ),
    Command(
        "attestations",
        "market_attest:attestations",
        "List who opens which backend, under which terms.",
        ("meshnode market attestations", "meshnode market attestations --account bob --json"),
    ),
    Command(
        "hardware",
        "market_attest:hardware",
        "Check and show a signed description of hardware.",
        ("meshnode market hardware 3fa9c1", "meshnode market hardware bob.json --json"),
    ),
    Command(
        "audit",
        "market_audit:audit",
        "Show, export or check an account's chain of events.",
        (
            "meshnode market audit",
            "meshnode market audit --export alice.jsonl",
            "meshnode market audit --verify alice.jsonl",
        ),
    ),
    Command(
        "list",
        "market_committee:list_",
        "Move, as a validator, that a model can be traded.",
        (
            "meshnode market list kimi-k2/fp8",
            "meshnode market list other-model/bf16 --policy contribution_only",
        ),
    ),
)
WALLET: Final = (
    Command(
        "balance",
        "wallet:balance",
        "Show what an account has, and where it is.",
        ("meshnode wallet balance", "meshnode wallet balance bob --json"),
    ),
    Command(
        "send",
        "wallet:send",
        "Give free ruv to another account.",
        ("meshnode wallet send bob 12.5", 'meshnode wallet send bob 300uruv --memo "for lunch"'),
    ),
    Command(
        "stake",
        "wallet:stake",
        "Turn free ruv into stake, which stands behind offers.",
        ("meshnode wallet stake 100",),
    ),
    Command(
        "unstake",
        "wallet:unstake",
        "Begin to turn stake into free ruv; it takes 14 days.",
        ("meshnode wallet unstake 50",),
    ),
    Command(
        "history",
        "wallet:history",
        "List what happened to an account, the newest first.",
        ("meshnode wallet history", "meshnode wallet history --limit 5 --json"),
    ),
    Command(
        "mint",
        "market_committee:mint",
        "Move, as a validator, that an account gets new ruv.",
        ("meshnode wallet mint bob 100",),
    ),
)
