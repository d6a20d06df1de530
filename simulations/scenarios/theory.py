"""Published formulas by name, drawn beside what was measured. Nothing else may rest on them.

Oracles of the tests compute their own: a formula that is wrong here must not confirm itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from simulations.results import Number, Value
from simulations.scenarios.errors import BadScenario, suggest

_ITERATIONS: Final = 200


@dataclass(frozen=True, slots=True)
class Formula:
    """One published result."""

    name: str
    label: str
    """For a legend."""
    source: str
    """Who published it."""
    needs: tuple[str, ...]
    """Parameters it reads."""
    compute: Callable[[Mapping[str, float], float], float]

    def evaluate(self, parameters: Mapping[str, Value], x: Number) -> float:
        """The value at `x`.

        Of a curve over a parameter, `x` is put in that parameter's place first; of a series, `x` is
        the time in ms. Raises `BadScenario` where a parameter it reads is absent or no number.
        """
        known: dict[str, float] = {}
        for name in self.needs:
            value = parameters.get(name)
            if isinstance(value, str) or value is None:
                raise BadScenario(f"theory {self.name!r} needs the parameter {name!r} as a number")
            known[name] = float(value)
        return self.compute(known, float(x))


def get_formula(name: str) -> Formula:
    """The formula of a name. Raises `BadScenario`."""
    if name not in FORMULAS:
        raise BadScenario(f"there is no theory {name!r}{suggest(name, FORMULAS)}")
    return FORMULAS[name]


def _final_size(known: Mapping[str, float], _x: float) -> float:
    begun = min(1.0, known["origins"] / known["nodes"])
    share = 1.0
    for _ in range(_ITERATIONS):  # from above it falls to the largest root
        share = 1.0 - (1.0 - begun) * math.exp(-known["fanout"] * share)
    return share


def _finality_leader(known: Mapping[str, float], _x: float) -> float:
    return 3 * known["one_way_ms"]


def _finality_mean_delays(known: Mapping[str, float], _x: float) -> float:
    members = known["members"]
    leaders = min(known["leaders_per_round"], members)
    return 0.5 + (3 * leaders + 4 * (members - leaders)) / members


def _flood_copies(known: Mapping[str, float], _x: float) -> float:
    return known["degree"] - 1 + 1 / known["nodes"]


def _logistic(known: Mapping[str, float], x: float) -> float:
    others = known["nodes"] - 1
    return 1 / (1 + others * math.exp(-known["rate_per_s"] * x / 1_000))


def _mm1_time(known: Mapping[str, float], _x: float) -> float:
    return 1 / (1 - known["load"]) if known["load"] < 1 else math.inf


# --- economies ------------------------------------------------------------------------------------


def _zi_c_least(_known: Mapping[str, float], _x: float) -> float:
    return 0.971


def _zi_c_most(_known: Mapping[str, float], _x: float) -> float:
    return 0.999


def _all_gains(_known: Mapping[str, float], _x: float) -> float:
    return 1.0


def _filled_share(known: Mapping[str, float], _x: float) -> float:
    return min(1.0, 1 / known["load"])


def _clearing_price(known: Mapping[str, float], _x: float) -> float:
    low, high = known["value_low"], known["value_high"]
    return max(known["cost"], high - (high - low) / known["load"])


def _score(fees_ruv: float, stake_ruv: float) -> float:
    """Half of it for 50 ruv of burned fees, as far as the stake bears it: half for 100 ruv."""
    return 10_000 * min(fees_ruv / (fees_ruv + 50), stake_ruv / (stake_ruv + 100))


def _bought_score(known: Mapping[str, float], _x: float) -> float:
    return _score(0.0025 * known["volume_ruv"], known["stake_ruv"])


def _split_score(known: Mapping[str, float], _x: float) -> float:
    parts = known["providers"]
    return _score(0.0025 * known["volume_ruv"] / parts, known["stake_ruv"] / parts)


def _cheating_profit(known: Mapping[str, float], _x: float) -> float:
    """Honest deals bring price less fee less cost; cheated ones all but the fee, until one is seen."""
    price, cheats = known["deal_ruv"], known["cheats_percent"] / 100
    seen = known["checked_percent"] / 100 * known["power_percent"] / 100
    earned, stake = 0.995 * price, known["stake_ruv"] + 0.2 * price
    honest = earned - price * known["cost_percent"] / 100
    return (1 - cheats) * honest + cheats * ((1 - seen) * earned - seen * stake)


FORMULAS: Final[dict[str, Formula]] = {
    formula.name: formula
    for formula in (
        Formula(
            "all_gains",
            "all gains that can be had",
            "welfare theorem: one price, honest limits",
            (),
            _all_gains,
        ),
        Formula(
            "bought_score",
            "burned / (burned + 50 ruv)",
            "rules",
            ("volume_ruv", "stake_ruv"),
            _bought_score,
        ),
        Formula(
            "cheating_profit",
            "expected profit",
            "counting",
            (
                "deal_ruv",
                "cheats_percent",
                "checked_percent",
                "power_percent",
                "stake_ruv",
                "cost_percent",
            ),
            _cheating_profit,
        ),
        Formula(
            "clearing_price",
            "price at which those who still bid find room",
            "supply and demand",
            ("load", "value_low", "value_high", "cost"),
            _clearing_price,
        ),
        Formula(
            "filled_share",
            "1 / load",
            "counting: nobody gets what is not there",
            ("load",),
            _filled_share,
        ),
        Formula(
            "final_size",
            "s = 1 - (1 - s0) exp(-F s)",
            "Kermack and McKendrick 1927",
            ("fanout", "nodes", "origins"),
            _final_size,
        ),
        Formula(
            "finality_leader",
            "3 D",
            "Babel et al. 2025 (Mysticeti): three message delays",
            ("one_way_ms",),
            _finality_leader,
        ),
        Formula(
            "finality_mean_delays",
            "1/2 + (3 L + 4 (n - L)) / n",
            "counting: leaders take 3 delays, others 4, and half a round passes before each",
            ("members", "leaders_per_round"),
            _finality_mean_delays,
        ),
        Formula(
            "flood_copies",
            "D - 1 + 1/N",
            "counting: the origin sends D copies, every other node D - 1",
            ("degree", "nodes"),
            _flood_copies,
        ),
        Formula(
            "logistic_si",
            "1 / (1 + (N-1) exp(-rate t))",
            "Verhulst 1838; Bailey 1957 for epidemics",
            ("nodes", "rate_per_s"),
            _logistic,
        ),
        Formula(
            "mm1_time_in_system",
            "1 / (1 - load)",
            "Erlang 1909; M/M/1, in units of the mean service time",
            ("load",),
            _mm1_time,
        ),
        Formula(
            "split_score",
            "fees and stake of one part",
            "rules",
            ("volume_ruv", "stake_ruv", "providers"),
            _split_score,
        ),
        Formula(
            "zi_c_least",
            "97.1 %, least of five markets",
            "Gode and Sunder 1993",
            (),
            _zi_c_least,
        ),
        Formula(
            "zi_c_most",
            "99.9 %, most of five markets",
            "Gode and Sunder 1993",
            (),
            _zi_c_most,
        ),
    )
}
