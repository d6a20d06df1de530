"""Every command by its name, where it is, what it does and an example: the program's contents.

Nothing here is loaded but names; `meshnode.cli.app` makes the program of them.
"""

from __future__ import annotations

from typing import Final

from meshnode.cli.blob_catalogue import BLOB
from meshnode.cli.command import Command, Noun
from meshnode.cli.kimi_catalogue import KIMI, MODEL
from meshnode.cli.market_catalogue import MARKET, WALLET

START: Final = (
    Command(
        "up",
        "up:up",
        "Start this machine's node in the background; return when it is ready.",
        (
            "meshnode up",
            "meshnode up --name kitchen --engine embedded",
            "meshnode up --api 127.0.0.1:0 --listen /ip4/0.0.0.0/tcp/4001 -f",
        ),
    ),
    Command("down", "down:down", "Stop the running node.", ("meshnode down",)),
    Command(
        "join",
        "join:join",
        "Join a mesh with a ticket; return when connected.",
        ("meshnode join mesh1...", "meshnode join mesh1... --name attic --engine echo"),
    ),
    Command(
        "invite",
        "invite:invite",
        "Print a ticket that lets others join.",
        ("meshnode invite", "meshnode invite --uses 3 --expires-h 1"),
    ),
    Command(
        "init",
        "init:init",
        "Make identity and network without starting anything.",
        ("meshnode init", "meshnode init --name home --share digest"),
    ),
    Command(
        "demo",
        "demo:demo",
        "Run a throw-away mesh of real processes that answers questions.",
        ("meshnode demo", "meshnode demo --nodes 4 --exit"),
    ),
)
USE: Final = (
    Command(
        "ask",
        "ask:ask",
        "Ask the mesh; the answer streams to stdout.",
        (
            'meshnode ask "What is the capital of France?"',
            'meshnode ask "Summarise this" --model auto --max-tokens 200 --json',
            "cat notes.txt | meshnode ask -",
            'meshnode ask "Is 391 prime?" --ensemble 3 --judge vote',
            'meshnode ask "Sum it up" --context 3fa9c1 --context 77b0e2',
        ),
    ),
    Command(
        "events",
        "events:events",
        "Follow what happens; commits come in order, each once.",
        (
            "meshnode events",
            "meshnode events --commits --after 0",
            "meshnode events --after 41 --json",
        ),
    ),
    Command(
        "status",
        "status:status",
        "Show this node at a glance; problems come last, each with its fix.",
        ("meshnode status", "meshnode status --json", "meshnode status --watch"),
    ),
    Command(
        "peers",
        "peers:peers",
        "List the members of the mesh and what they serve.",
        ("meshnode peers", "meshnode peers --json"),
    ),
)
INSPECT: Final = (
    Command(
        "health",
        "health:health",
        "Say whether the node can serve, by one word and the exit code.",
        ("meshnode health", "meshnode health --live", "meshnode health --json"),
    ),
    Command(
        "doctor",
        "doctor:doctor",
        "Check this machine and its node; say how to repair what is broken.",
        ("meshnode doctor", "meshnode doctor --json"),
    ),
    Command(
        "replay",
        "replay:replay",
        "Run a recording (`up --record FILE`) again and compare every effect.",
        ("meshnode replay inputs.rec",),
    ),
    Command(
        "version",
        "version:version",
        "Print the version.",
        ("meshnode version", "meshnode version --json"),
    ),
)
_DAG: Final = (
    Command(
        "log",
        "dag:log",
        "List stored vertices, newest first.",
        ("meshnode dag log", "meshnode dag log --kind result --limit 5"),
    ),
    Command(
        "show",
        "dag:show",
        "Draw the DAG with leaders and commits, or show one vertex.",
        ("meshnode dag show", "meshnode dag show 3fa9c1", "meshnode dag show 3fa9c1 --json"),
    ),
    Command(
        "verify",
        "dag_verify:verify",
        "Check every stored vertex again from its bytes: ids, signatures, ancestors.",
        ("meshnode dag verify", "meshnode dag verify --store backup/journal.db --json"),
    ),
    Command(
        "export",
        "dag:export",
        "Draw the DAG, or write it down for other programs.",
        ("meshnode dag export --output mesh.svg", "meshnode dag export --format dot"),
    ),
)
_ROUTE: Final = (
    Command(
        "explain",
        "route:explain",
        "Show whom a question would go to, what each peer would cost, and why not others.",
        ("meshnode route explain", 'meshnode route explain --model echo "Why?" --json'),
    ),
    Command(
        "log",
        "route:log",
        "List which engines were let answer which questions, and why not.",
        ("meshnode route log", "meshnode route log --limit 5 --json"),
    ),
)
_CONSENSUS: Final = (
    Command(
        "status",
        "consensus:status",
        "Show the agreed order: how far it is, who makes it, who is silent.",
        ("meshnode consensus status", "meshnode consensus status --json"),
    ),
)
_DECIDE: Final = (
    Command(
        "propose",
        "decide:propose",
        "Put a question to the mesh.",
        (
            'meshnode decide propose "Shall we share answers in full?"',
            'meshnode decide propose "Which model?" --option kimi-k2 --option smollm2',
        ),
    ),
    Command(
        "vote",
        "decide:vote",
        "Answer a question; the last answer before it closes counts.",
        ('meshnode decide vote 3fa9c1 yes --reason "it was asked for twice"',),
    ),
    Command(
        "show",
        "decide:show",
        "Show a question, its answers and their reasons.",
        ("meshnode decide show 3fa9c1", "meshnode decide show 3fa9c1 --wait --json"),
    ),
    Command(
        "list",
        "decide:list_",
        "List what the mesh is asked and has decided, newest first.",
        ("meshnode decide list", "meshnode decide list --status open --json"),
    ),
)
_VALIDATORS: Final = (
    Command(
        "list",
        "validators:list_",
        "List the validators, and the changes that are being voted on.",
        ("meshnode validators list", "meshnode validators list --json"),
    ),
    Command(
        "add",
        "validators:add",
        "Propose a member as a validator, or other stake for one.",
        (
            "meshnode validators add attic",
            "meshnode validators add attic --stake 2 --wait",
        ),
    ),
    Command(
        "remove",
        "validators:remove",
        "Propose to take a validator's seat away; it stays a member.",
        ('meshnode validators remove attic --reason "it was sold"',),
    ),
    Command(
        "change",
        "validators:change",
        "Propose other rules for the committee as it is.",
        ("meshnode validators change --profile cft",),
    ),
)
_MEMBER: Final = (
    Command(
        "list",
        "member:list_",
        "List who is a member by the order, and who is out.",
        ("meshnode member list", "meshnode member list --standing expelled --json"),
    ),
    Command(
        "show",
        "member:show",
        "Show a member: how it came, and why it is out if it is.",
        ("meshnode member show attic", "meshnode member show 3fa9c1 --json"),
    ),
    Command(
        "revoke",
        "member:revoke",
        "End this node's own identity, for good: its keys were stolen, or it leaves.",
        ('meshnode member revoke --yes --reason "the laptop was stolen"',),
    ),
    Command(
        "expel",
        "member:expel",
        "Ask the validators to expel a member.",
        ('meshnode member expel attic --reason "it floods the mesh" --wait',),
    ),
    Command(
        "vouch",
        "member:vouch",
        "Speak for a newcomer of an open network: it is a full member by that.",
        ("meshnode member vouch attic",),
    ),
)
_INVITATION: Final = (
    Command(
        "list",
        "member:list_invitations",
        "List the invitations that this node has issued, and who came with them.",
        ("meshnode invitation list", "meshnode invitation list --json"),
    ),
    Command(
        "revoke",
        "member:revoke_invitation",
        "Take an invitation back: nobody comes in with it any more; who is in stays.",
        ("meshnode invitation revoke 5e10af",),
    ),
)
_IDENTITY: Final = (
    Command("show", "identity:show", "Show who this node is.", ("meshnode identity show --json",)),
    Command(
        "new",
        "identity:new",
        "Put the identity and its networks aside and make a new one.",
        ("meshnode identity new",),
    ),
    Command(
        "rebind",
        "identity:rebind",
        "Say that a home folder was moved to this machine for good.",
        ("meshnode identity rebind",),
    ),
    Command(
        "rotate",
        "identity:rotate",
        "Make new keys for sealed content.",
        ("meshnode identity rotate",),
    ),
    Command(
        "export-public",
        "identity:export_public",
        "Print the public keys as JSON.",
        ("meshnode identity export-public > alice.json",),
    ),
)
_KEYS: Final = (
    Command(
        "create",
        "keys:create",
        "Make an API key for a program; it is shown once.",
        (
            "meshnode keys create agent",
            "meshnode keys create nightly --requests-per-min 60 --ruv-per-day 5 --expires-days 30",
        ),
    ),
    Command(
        "list",
        "keys:list_",
        "List the API keys, their scopes and limits.",
        ("meshnode keys list", "meshnode keys list --json"),
    ),
    Command("revoke", "keys:revoke", "End an API key at once.", ("meshnode keys revoke agent",)),
)
USE_NOUNS: Final = (
    Noun("blob", "Keep and fetch content that is too large for a signed record.", BLOB),
    Noun("kimi", "Ask a provider of Kimi with your own key, and keep its books.", KIMI),
    Noun("model", "Fetch, look at and measure model files of your own.", MODEL),
)
_MCP: Final = (
    Command(
        "serve",
        "mcp:serve",
        "Offer the running node's tools on stdin and stdout.",
        ("meshnode mcp serve", "meshnode mcp serve --max-ruv 2"),
    ),
)
TRADE_NOUNS: Final = (
    Noun("market", "Offer capacity, bid for it, and see what became of it.", MARKET),
    Noun("wallet", "Look at the ruv of this node, send them, stake them.", WALLET),
)
_CONFIG: Final = (
    Command(
        "show",
        "config:show",
        "Show every setting and where it comes from; keys are never shown.",
        ("meshnode config show", "meshnode config show --all --json"),
    ),
)
INSPECT_NOUNS: Final = (
    Noun("dag", "Look into the store of signed results.", _DAG),
    Noun("route", "See where questions go, and why.", _ROUTE),
    Noun("consensus", "Look at the order the mesh agrees on.", _CONSENSUS),
    Noun("decide", "Put questions to the mesh, and answer them.", _DECIDE),
    Noun("validators", "Look at or change who agrees on the order.", _VALIDATORS),
    Noun("member", "Look at who takes part, and end that.", _MEMBER),
    Noun("invitation", "Look at or take back what `meshnode invite` has issued.", _INVITATION),
    Noun("config", "Look at the settings.", _CONFIG),
    Noun("identity", "Look at or replace this node's keys.", _IDENTITY),
    Noun("keys", "Let programs of this machine use the node, each with its own key.", _KEYS),
    Noun("mcp", "Let programs that host models use the node as a tool.", _MCP),
)
