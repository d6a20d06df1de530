"""`meshnode kimi chat`: a conversation with the provider, in a terminal or through a pipe."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from meshnode.cli.blocking import interruptible
from meshnode.cli.exits import FAILED, OK
from meshnode.cli.formats import format_count
from meshnode.cli.kimi_query import (
    MaxCostOption,
    MaxTokensOption,
    ModelOption,
    TemperatureOption,
    describe_reply,
    stream_answer,
)
from meshnode.cli.kimi_setup import load_key, load_settings, open_books_home
from meshnode.cli.options import HomeOption
from meshnode.cli.output import clean_line, is_interactive, note, print_error
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import CommandRejected, MeshError
from meshnode.kimi.account import KimiAccount, open_account
from meshnode.kimi.conversation import Conversation
from meshnode.kimi_settings import format_usd, read_usd
from meshnode.private_files import write_private

LINE_BYTES_MAX: Final = 1_000_000
HELP: Final = """\
/reset         forget what was said
/model NAME    ask another model from now on; without a name, say which it is
/save FILE     write the conversation to a new file, as JSON
/help          this
/exit          end, as does Ctrl-D; Ctrl-C stops an answer"""


@dataclass(slots=True, kw_only=True)
class Chat:
    """A conversation under way."""

    account: KimiAccount
    conversation: Conversation
    model: str = ""
    max_tokens: int | None = None
    temperature: float | None = None
    max_cost_udollar: int | None = None
    spent_udollar: int = 0
    answers: int = 0
    failures: int = 0
    unpriced: int = field(default=0)

    async def say(self, question: str) -> None:
        """Ask one question and show its answer, with as much before it as fits the model."""
        account, reply = self.account, None
        while reply is None:
            try:
                reply = await stream_answer(account, self._make_request(question))
            except EngineError as error:
                overflow = error.fault is EngineFault.CONTEXT_OVERFLOW
                if not (overflow and self.conversation.forget_oldest()):
                    raise
                _tell_forgotten(1)
        self.conversation.remember(question, reply.text)
        self.answers += 1
        self.spent_udollar += reply.cost_udollar or 0
        self.unpriced += reply.cost_udollar is None
        note(describe_reply(reply, account))

    def _make_request(self, question: str) -> dict[str, Any]:
        account = self.account
        request = account.make_request(
            [], model=self.model, max_tokens=self.max_tokens, temperature=self.temperature
        )
        request["messages"], forgotten = self.conversation.ask(
            question,
            context_tokens=account.get_context_tokens(request["model"]),
            answer_tokens=request["max_tokens"],
        )
        if forgotten:
            _tell_forgotten(forgotten)
        if self.max_cost_udollar is not None:
            account.check_cost(request, self.max_cost_udollar)
        return request

    def obey(self, line: str) -> bool:
        """Carry out a line that begins with a slash; False for the one that ends the chat."""
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        match word:
            case "/exit" | "/quit":
                return False
            case "/reset":
                self.conversation.reset()
                note("-- forgotten")
            case "/model":
                self.model = rest or self.model
                name = self.account.resolve_model(self.model or self.account.settings.model)
                note(f"-- model {clean_line(name)}")
            case "/save":
                self._save(rest)
            case "/help":
                note(HELP)
            case _:
                raise CommandRejected(f"there is no {clean_line(word, 20)}", hint="try /help")
        return True

    def _save(self, name: str) -> None:
        if not name:
            raise CommandRejected("/save needs a file's name", hint="for example /save talk.json")
        path = Path(name).expanduser().absolute()
        if path.exists():
            raise CommandRejected(f"{path} is there already", hint="choose another name")
        document = {
            "schema": "meshnode.conversation/1",
            "messages": self.conversation.messages,
        }
        write_private(path, json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n")
        note(f"-- written to {path}")

    def describe(self) -> str:
        """How many answers there were and what they cost."""
        unknown = f", {self.unpriced} of unknown cost" if self.unpriced else ""
        if self.account.settings.provider == "local":
            return f"-- {format_count(self.answers, 'answer')}"
        spent = format_usd(self.spent_udollar)
        return f"-- {format_count(self.answers, 'answer')}, {spent} USD{unknown}"


async def chat(
    *,
    model: ModelOption = "",
    system: Annotated[str | None, Parameter(help="System prompt.")] = None,
    max_tokens: MaxTokensOption = None,
    temperature: TemperatureOption = None,
    max_cost: MaxCostOption = None,
    home: HomeOption = None,
) -> int:
    """Talk with the provider, line by line; /help lists what else can be typed.

    The conversation is sent with each question. The oldest exchanges are left out when it grows
    too long for the model, and that is said.
    """
    limit = None if max_cost is None else read_usd(max_cost, "--max-cost")
    folder = open_books_home(home)
    settings = load_settings(home)
    async with open_account(folder, settings, load_key(folder, settings)) as account:
        talk = Chat(
            account=account,
            conversation=Conversation(system or ""),
            model=model,
            max_tokens=max_tokens,
            temperature=temperature,
            max_cost_udollar=limit,
        )
        if is_interactive():
            name = account.resolve_model(model or settings.model)
            note(f"{clean_line(name)} ({settings.provider}); /help lists commands, Ctrl-D ends")
        await _talk(talk)
        note(talk.describe())
    return FAILED if talk.failures and not talk.answers else OK


def _tell_forgotten(exchanges: int) -> None:
    note(f"-- {format_count(exchanges, 'exchange')} left out, to fit the model's context")


async def _talk(talk: Chat) -> None:
    while (line := _read_line()) is not None:
        text = line.strip()
        if not text:
            continue
        try:
            if text.startswith("/"):
                if not talk.obey(text):
                    return
            else:
                await _say(talk, text)
        except MeshError as error:
            talk.failures += 1
            print_error(error.message, error.hint)


async def _say(talk: Chat, question: str) -> None:
    """Ask; Ctrl-C ends the answer, and the chat goes on where a person is there to go on."""
    asking = asyncio.create_task(talk.say(question), name="chat")
    try:
        await asyncio.shield(asking)
    except asyncio.CancelledError:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        current = asyncio.current_task()
        if not is_interactive() or current is None:
            raise
        current.uncancel()
        note("-- stopped")


def _read_line() -> str | None:
    """The next line; None at the end of the input."""
    if is_interactive():
        return _prompt()
    with interruptible():
        line = sys.stdin.readline(LINE_BYTES_MAX)
    return line or None


def _prompt() -> str | None:
    import readline  # noqa: F401 - gives `input` a line editor

    try:
        with interruptible():
            return input("> ")
    except EOFError:
        note("")
        return None
