"""One run: people talk, copies fold it under faults, and all must agree; then all must end."""

from __future__ import annotations

from typing import Final

import msgspec

from simulations.economy.exchange import START_MS
from simulations.errors import CheckFailed
from simulations.folding.checks import Checker
from simulations.folding.copies import Copy
from simulations.folding.life import Life
from simulations.folding.spec import FAULTS, Spec
from simulations.streams import Streams

FAULT_SHARE: Final = 0.08
"""Of copies and commits that each kind of fault meets."""
TROUBLE_SHARE: Final = 0.1
GARBAGE_SHARE: Final = 0.5
INSISTING_COMMITS: Final = 10
"""At the end of a run, for what chance has left out."""
END_COMMITS_MAX: Final = 2_000


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run; equal for equal specs."""

    seed: int
    kinds: tuple[str, ...]
    """Faults and troubles that did happen."""
    check: str = ""
    """The promise that was broken; empty if none was."""
    message: str = ""
    digest: str
    """Of the market in the end."""
    events: int
    """Commands that were said."""
    commits: int
    trades: int
    virtual_ms: int
    reached: tuple[str, ...]
    """What happened to accounts, each kind once."""

    @property
    def is_clean(self) -> bool:
        """Whether every promise held."""
        return not self.check


def simulate(spec: Spec) -> Result:
    """Simulate one run of the code as it is, whatever bug the spec names."""
    return _Run(spec).carry_out()


class _Run:
    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        streams = Streams(spec.seed)
        self._life = Life(spec.seed, streams.get("life"))
        self._exchange = self._life.exchange
        self._chance = streams.get("faults")
        self._copies = [Copy(self._exchange, self._chance) for _ in range(spec.copies)]
        self._checker = Checker(self._exchange)
        self._folded = 0
        self._insists = False
        """Whether what the spec wants to happen, and has not, has to happen now."""
        self._happened: dict[str, None] = {}
        self._reached: dict[str, None] = {}

    def carry_out(self) -> Result:
        """Go through all phases, and say how it ended."""
        check = message = ""
        try:
            self._go()
        except CheckFailed as error:
            check, message = error.check, error.message
        except Exception as error:  # noqa: BLE001 - a market that raises is what is looked for
            check, message = f"raised-{type(error).__name__}", str(error)
        exchange = self._exchange
        return Result(
            seed=self._spec.seed,
            kinds=tuple(sorted(self._happened)),
            check=check,
            message=message,
            digest=exchange.state.root().hex()[:32],
            events=exchange.commands,
            commits=exchange.commits,
            trades=len(exchange.trades),
            virtual_ms=exchange.time_ms - START_MS,
            reached=tuple(sorted(self._reached)),
        )

    def _go(self) -> None:
        self._follow()
        for commit in range(self._spec.commits):
            self._insists = self._spec.commits - commit <= INSISTING_COMMITS
            self._life.talk(self._spec.talk)
            self._trouble()
            self._pass_time()
            self._follow()
        self._let_end()
        for copy in self._copies:
            copy.catch_up()
            copy.replay()
        self._compare()
        self._checker.check_end()

    def _let_end(self) -> None:
        """Nobody says anything any more; commits come just when something is due."""
        for _ in range(END_COMMITS_MAX):
            due_ms = self._exchange.state.next_deadline()
            if due_ms is None:
                return
            self._exchange.commit(max(1, due_ms - self._exchange.time_ms))
            self._follow()
        raise CheckFailed("end", f"something is due after {END_COMMITS_MAX} commits more")

    # --- after every commit ---------------------------------------------------------------------

    def _follow(self) -> None:
        """Let copies fold what is new, each with its faults, and look at everything."""
        exchange = self._exchange
        self._reached.update(dict.fromkeys(event.kind for event in exchange.state.events))
        fresh = exchange.log[self._folded :]
        self._folded = len(exchange.log)
        for copy in self._copies:
            for commit, vertices in fresh:
                copy.fold((commit, vertices, dict(exchange.weights)))
        for copy in self._copies:
            self._hurt(copy)
        self._checker.check()
        self._compare()

    def _compare(self) -> None:
        state = self._exchange.state
        root = state.root()
        for place, copy in enumerate(self._copies):
            if copy.is_level and copy.state.root() != root:
                commit = self._exchange.commits
                raise CheckFailed("P12 root", f"copy {place} has another root at commit {commit}")
            if copy.is_level and copy.has_folded and copy.state.events != state.events:
                raise CheckFailed("P12 events", f"copy {place} saw other events")

    def _hurt(self, copy: Copy) -> None:
        for kind in FAULTS:
            if self._meets(kind, FAULT_SHARE):
                self._do(kind, copy)

    def _do(self, kind: str, copy: Copy) -> None:
        match kind:
            case "lag":
                copy.lag()
            case "replay":
                copy.replay()
            case "snapshot":
                copy.put_away()
            case "torn":
                copy.refuse_torn()
            case _:
                level = [each for each in self._copies if each.is_level and each is not copy]
                if not level:
                    return
                copy.join(self._chance.choice(level))
        self._happened[kind] = None

    def _trouble(self) -> None:
        if self._meets("committee", TROUBLE_SHARE):
            self._life.change_committee()
            self._happened["committee"] = None
        if self._meets("garbage", GARBAGE_SHARE):
            self._life.mumble()
            self._happened["garbage"] = None

    def _pass_time(self) -> None:
        is_long = self._meets("silence", TROUBLE_SHARE)
        self._life.pass_time(is_long=is_long)
        if is_long:
            self._happened["silence"] = None

    def _meets(self, kind: str, share: float) -> bool:
        """Whether something happens now; drawn even where it cannot."""
        is_drawn = self._chance.random() < share
        is_owed = self._insists and kind not in self._happened
        return kind in self._spec.kinds and (is_drawn or is_owed)
