"""`meshnode init`: what `up` would make, without starting anything."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from meshnode.cli.exits import OK
from meshnode.cli.identity import describe_identity
from meshnode.cli.options import (
    HomeOption,
    JsonOption,
    MintOption,
    NameOption,
    NetworkNameOption,
    PassphraseFileOption,
    ShareOption,
)
from meshnode.cli.output import print_json, say
from meshnode.cli.setup import (
    choose_key_passphrase,
    load_settings,
    prepare_identity,
    prepare_network,
    refuse_while_running,
)
from meshnode.home import open_home


def init(
    *,
    name: NameOption = None,
    network_name: NetworkNameOption = None,
    suite: Annotated[
        Literal["hybrid", "ed25519"] | None,
        Parameter(help="Signatures of the network: ed25519 is for research only."),
    ] = None,
    share: ShareOption = None,
    mint: MintOption = None,
    is_open: Annotated[
        bool,
        Parameter(
            name="--open",
            negative="",
            show_default=False,
            help="Anybody may join the new network without an invitation, within limits.",
        ),
    ] = False,
    passphrase_file: PassphraseFileOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Make identity and network; both stay as they are where they exist."""
    config = load_settings(
        home,
        name=name,
        network_name=network_name,
        suite=suite,
        share=share,
        mint_ruv=mint,
        passphrase_file=passphrase_file,
    )
    assert config.home is not None, "settings always name a home"
    opened = open_home(config.home, check=config.host_binding)
    refuse_while_running(opened, "nothing can be made anew")
    identity = prepare_identity(opened, choose_key_passphrase(opened, config))
    network = prepare_network(opened, identity, config, is_open=is_open)
    if json:
        print_json({"schema": "meshnode.identity/1", **describe_identity(opened, identity)})
    else:
        say(f"{opened.path} is ready: network {network.genesis.name}; next: meshnode up")
    return OK
