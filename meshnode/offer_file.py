"""`offer.toml`: an offer as its provider writes it down.

Decimal numbers in it are read exactly: a price of 0.000002 is that price, not the binary fraction
next to it.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from market.decimals import InvalidNumber, parse_scaled
from market.offer_terms import ConvertedOffer, InvalidTerms, OfferTerms, convert_offer
from meshnode.errors import ConfigError
from meshnode.hardware_spec import COUNT_MAX, TEXT_CHARACTERS_MAX, HardwareSpec

FILE_BYTES_MAX: Final = 65_536
_DIGITS_MAX: Final = 40
_MS_PLACES: Final = 3
"""Decimals of a number of seconds that are whole milliseconds."""

EXAMPLE: Final = """\
# An offer of capacity on the market of a mesh.
#   meshnode market offer --file offer.toml --dry-run    what the order book makes of it
#   meshnode market attest --file offer.toml ...         once: open your backend for this model
#   meshnode market offer --file offer.toml              offer

# Who offers: this node. Left out, it is whoever runs the command.
# provider = "kitchen"

# The model and the precision of its weights, as `meshnode market instruments` lists it.
model_variant = "kimi-k2-instruct/fp8"

# The longest context you serve, in tokens. Tiers: 8192, 32768, 65536, 131072.
context_limit = 131072

# Ruv for each billed token; a token read counts a part of one, as the instrument says.
price_per_token = 0.000002

# Percent of probes you answer: 0 for no guarantee, else tiers at 95, 99 and 99.9.
# A guarantee is backed by stake, and a broken one costs some of it.
sla_guarantee = 99

# Billed tokens on offer, in thousands.
tokens = 500_000

# The first token comes within so many seconds. Tiers: 2, 10; left out, within a day.
first_token_s = 10

# For 8 hours, unsold tokens lapse at the full hour and all are offered anew; 0 to sell once.
renew_hours = 0

# Taken back after so many hours, at most 24.
lasts_hours = 24

# What you can show to buyers who ask for it.
region = false
tee = false

# The machine; signed by you when you attest, and known to the market by its digest.
[hardware_spec]
accelerator = "NVIDIA H100 80GB"
accelerators = 8
accelerator_memory_gib = 80
interconnect = "NVLink 4"
cpu = "AMD EPYC 9654"
cpu_cores = 96
memory_gib = 1536
engine = "vLLM 0.11"
region = "eu-central"
"""


def _write_number(value: object) -> object:
    """A number of TOML as the decimal text it was written as; anything else as it is."""
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > _DIGITS_MAX:
            raise ValueError("it is out of range")
        return f"{value:f}"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_Number = Annotated[str, BeforeValidator(_write_number), Field(max_length=2 * _DIGITS_MAX)]
_Text = Annotated[str, Field(max_length=TEXT_CHARACTERS_MAX)]
_Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class HardwareTable(_Strict):
    """The table `hardware_spec`."""

    accelerator: _Text = ""
    accelerators: _Count = 0
    accelerator_memory_gib: _Count = 0
    interconnect: _Text = ""
    cpu: _Text = ""
    cpu_cores: _Count = 0
    memory_gib: _Count = 0
    engine: _Text = ""
    region: _Text = ""
    tee: _Text = ""
    remarks: _Text = ""

    def make_spec(self) -> HardwareSpec:
        """The specification. Raises `ConfigError`."""
        return HardwareSpec(**self.model_dump())


class OfferFile(_Strict):
    """The whole file; also what options of the command line amount to."""

    model_variant: Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS_MAX)]
    price_per_token: _Number
    context_limit: Annotated[int, Field(ge=1, le=2**40)]
    tokens: Annotated[int, Field(ge=1, le=2**40)]
    provider: Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS_MAX)] | None = None
    sla_guarantee: _Number = "0"
    first_token_s: _Number | None = None
    region: bool = False
    tee: bool = False
    renew_hours: Annotated[int, Field(ge=0, le=24)] = 0
    lasts_hours: Annotated[int, Field(ge=1, le=24)] = 24
    post_only: bool = False
    hardware_spec: HardwareTable | None = None

    def make_terms(self) -> OfferTerms:
        """What is offered, without who offers it and how long. Raises `InvalidTerms`."""
        return OfferTerms(
            model_variant=self.model_variant,
            price_per_token=self.price_per_token,
            context_limit=self.context_limit,
            tokens=self.tokens,
            sla_guarantee=self.sla_guarantee,
            first_token_ms=_read_ms(self.first_token_s),
            flags=tuple(name for name in ("region", "tee") if getattr(self, name)),
            renew_hours=self.renew_hours,
        )

    def convert(self) -> ConvertedOffer:
        """What the order book makes of it. Raises `ConfigError` where it cannot be exact."""
        try:
            return convert_offer(self.make_terms())
        except InvalidTerms as error:
            raise ConfigError(error.message, hint=error.hint) from None


def read_offer_file(path: Path) -> OfferFile:
    """Read an offer. Raises `ConfigError` naming the file, the key and the reason."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}",
            hint="`meshnode market offer --example` prints one to begin with",
        ) from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"{path} is larger than {FILE_BYTES_MAX} bytes", hint="one offer a file")
    return parse_offer(data, origin=str(path))


def parse_offer(data: bytes, *, origin: str) -> OfferFile:
    """The offer that the text of a file states. Raises `ConfigError`."""
    try:
        values = tomllib.loads(data.decode(), parse_float=Decimal)
    except RecursionError:
        raise ConfigError(f"{origin} is nested too deeply", hint="correct it there") from None
    except (ValueError, ArithmeticError) as error:
        raise ConfigError(f"{origin} is not TOML: {error}", hint="correct that line") from None
    return check_offer(values, origin=origin)


def check_offer(values: dict[str, Any], *, origin: str) -> OfferFile:
    """The offer that some values state. Raises `ConfigError`."""
    try:
        return OfferFile.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the offer"
        reason = {
            "extra_forbidden": "there is no such field",
            "missing": "it is missing",
        }.get(first["type"], first["msg"].removeprefix("Value error, "))
        raise ConfigError(
            f"{key} (from {origin}) cannot be used: {reason}",
            hint="`meshnode market offer --example` shows every field",
        ) from None


def _read_ms(text: str | None) -> int | None:
    """Whole milliseconds of a number of seconds. Raises `InvalidTerms`."""
    if text is None:
        return None
    try:
        return parse_scaled(text, _MS_PLACES, "first_token_s")
    except InvalidNumber as error:
        raise InvalidTerms(error.message, hint=error.hint) from None
