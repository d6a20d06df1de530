"""What `meshnode ask` takes and shows where several answer, or build on what is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from market.decimals import format_ruv
from meshnode.cli.formats import UNKNOWN, format_duration, format_id, format_name
from meshnode.cli.output import clean_line

if TYPE_CHECKING:
    from meshnode.views import Answer, Contribution, Progress


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TogetherOptions:
    """What the question builds on, and how many answer it."""

    context: Annotated[
        tuple[str, ...],
        Parameter(
            help="Result or note whose text the question builds on, by id; may be repeated.",
            negative="",
            show_default=False,
            consume_multiple=False,
        ),
    ] = ()
    ensemble: Annotated[
        int | None,
        Parameter(
            help="So many peers answer at once (2 to 6), and one answer is made of theirs.",
            show_default=False,
            validator=validators.Number(gte=2, lte=6),
        ),
    ] = None
    debate: Annotated[
        int | None,
        Parameter(
            help="So many rounds (1 to 3) they see each other's answers and revise their own.",
            show_default=False,
            validator=validators.Number(gte=1, lte=3),
        ),
    ] = None
    judge: Annotated[
        Literal["judge", "vote"] | None,
        Parameter(
            help="Who decides: 'judge', one more query that sees all answers, or 'vote', what most "
            "of them say [default: judge].",
            show_default=False,
        ),
    ] = None


def make_together_options(options: TogetherOptions) -> dict[str, Any]:
    """What `ask` is told of it; nothing where nothing was asked for."""
    asked = {
        "context": options.context or None,
        "ensemble": options.ensemble,
        "debate": options.debate,
        "judge": options.judge,
    }
    return {name: value for name, value in asked.items() if value is not None}


def describe_progress(item: Progress) -> str:
    """What one of several does."""
    return clean_line(f".. {item.detail}")


def describe_together(answer: Answer) -> list[str]:
    """What the answer was made of, and what that took; nothing for the answer of one."""
    together = answer.together
    if together is None:
        return []
    lines = [clean_line(f"-- {_describe(part)}") for part in together.contributions]
    if together.votes is not None:
        lines.append(f"-- vote: {together.votes} of {together.voters} answers agree")
    usage = answer.usage
    total = f"{_count(usage.prompt_tokens)} tokens read, {_count(usage.completion_tokens)} written"
    if together.cost_uruv:
        total += f", {format_ruv(together.cost_uruv)} ruv"
    return [*lines, f"-- together: {total}"]


def _describe(part: Contribution) -> str:
    what = f"{part.stage} {part.round}" if part.stage == "revision" else part.stage
    name = format_name(part.name, part.author)
    if part.problem:
        return f"{what} by {name}: failed, {part.problem}"
    cost = f", {format_ruv(part.cost_uruv)} ruv" if part.cost_uruv else ""
    return (
        f"{what} by {name}: {part.model}, {_count(part.usage.completion_tokens)} tokens, "
        f"{format_duration(part.total_ms)}, vertex {format_id(part.vertex, 12)}{cost}"
    )


def _count(tokens: int | None) -> str:
    return UNKNOWN if tokens is None else str(tokens)
