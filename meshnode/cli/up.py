"""`meshnode up`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from meshnode.cli.exits import OK
from meshnode.cli.options import (
    ForegroundOption,
    HomeOption,
    JsonOption,
    MintOption,
    NameOption,
    NetworkNameOption,
    PassphraseFileOption,
    ShareOption,
)
from meshnode.cli.output import print_json
from meshnode.cli.setup import (
    check_engine,
    choose_key_passphrase,
    load_settings,
    prepare_identity,
    prepare_network,
    refuse_while_running,
)
from meshnode.cli.starting import run_in_foreground, start_in_background
from meshnode.config_file import parse_option_value
from meshnode.errors import ConfigError
from meshnode.home import open_home


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class NodeOptions:
    """Options of a node that is started, shared by `up` and `join`."""

    name: NameOption = None
    engine: Annotated[
        str | None,
        Parameter(
            help="What answers here: auto, embedded, echo, local, moonshot, openrouter, "
            "openai_compatible or none. Without it, auto on a node that founds its mesh and none "
            "on one that joins."
        ),
    ] = None
    model: Annotated[str | None, Parameter(help="The engine's model, where it has several.")] = None
    engine_option: Annotated[
        tuple[str, ...],
        Parameter(
            help="NAME=VALUE for the engine; may be repeated.", negative="", show_default=False
        ),
    ] = ()
    api: Annotated[
        str | None,
        Parameter(
            help="HOST:PORT of the local HTTP interface; port 0 is any. Without it "
            "127.0.0.1:7077, or another port where that one is taken."
        ),
    ] = None
    api_insecure: Annotated[
        bool,
        Parameter(
            help="Let that interface listen beyond this machine unencrypted.",
            negative="",
            show_default=False,
        ),
    ] = False
    api_cert: Annotated[
        Path | None,
        Parameter(help="Certificate (PEM) that encrypts it, which it may then do anywhere."),
    ] = None
    api_key_file: Annotated[
        Path | None, Parameter(help="The certificate's key (PEM), if that is another file.")
    ] = None
    listen: Annotated[
        tuple[str, ...],
        Parameter(help="Multiaddr to listen on; may be repeated.", negative="", show_default=False),
    ] = ()
    advertise: Annotated[
        tuple[str, ...],
        Parameter(
            help="Multiaddr others should dial; may be repeated.", negative="", show_default=False
        ),
    ] = ()
    share: ShareOption = None
    validates: Annotated[
        bool | None,
        Parameter(
            help="Whether to help agree on one order, where the committee has a seat for this "
            "node: yes, unless told not to.",
            show_default=False,
        ),
    ] = None
    prune: Annotated[
        bool,
        Parameter(
            help="Delete history that a certified checkpoint has made dispensable.",
            negative="",
            show_default=False,
        ),
    ] = False
    record: Annotated[
        Path | None, Parameter(help="Record every input to this file, for `meshnode replay`.")
    ] = None
    passphrase_file: PassphraseFileOption = None

    def make_flags(self) -> dict[str, Any]:
        """The settings these options set, by key; None for those left out."""
        return {
            "name": self.name,
            "engine": self.engine,
            "engine_options": self._make_engine_options(),
            "api": self.api,
            "api_insecure": self.api_insecure or None,
            "api_cert": self.api_cert,
            "api_key_file": self.api_key_file,
            "listen": self.listen or None,
            "advertise": self.advertise or None,
            "share": self.share,
            "validates": self.validates,
            "prune": self.prune or None,
            "record": self.record,
            "passphrase_file": self.passphrase_file,
        }

    def _make_engine_options(self) -> dict[str, object] | None:
        options: dict[str, object] = {} if self.model is None else {"model": self.model}
        for text in self.engine_option:
            name, separator, value = text.partition("=")
            if not separator or not name:
                raise ConfigError(
                    "--engine-option takes NAME=VALUE", hint="for example --engine-option slots=2"
                )
            options[name] = parse_option_value(value)
        return options or None


DEFAULTS = NodeOptions()


async def up(
    *,
    options: NodeOptions = DEFAULTS,
    network_name: NetworkNameOption = None,
    suite: Annotated[
        Literal["hybrid", "ed25519"] | None,
        Parameter(help="Signatures of a network founded here."),
    ] = None,
    mint: MintOption = None,
    foreground: ForegroundOption = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Start this machine's node; what is missing is made, and said."""
    flags = options.make_flags() | {
        "network_name": network_name,
        "suite": suite,
        "mint_ruv": mint,
    }
    config = load_settings(home, **flags)
    check_engine(config)
    assert config.home is not None, "settings always name a home"
    opened = open_home(config.home, check=config.host_binding)
    refuse_while_running(opened, "a second node cannot start")
    passphrase = choose_key_passphrase(opened, config)
    prepare_network(opened, prepare_identity(opened, passphrase), config)
    if foreground:
        await run_in_foreground(config, passphrase=passphrase)
        return OK
    status = await start_in_background(config, flags, passphrase=passphrase, quiet=json)
    if json:
        print_json(status.to_json())
    return OK
