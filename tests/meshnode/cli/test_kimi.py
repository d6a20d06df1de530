"""`meshnode kimi`: an own account, from its first key to its books, against a stand-in provider."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from meshnode.cli import kimi_chat
from meshnode.kimi.account import describe_key_trouble
from meshnode.kimi_settings import KimiTable, complete_settings
from meshnode.usage_store import UsageStore
from tests.support.cli import run_command
from tests.support.kimi_provider import KEY, OPENROUTER_KEY
from tests.support.kimi_scene import give_stdin, refuse_secrets

pytestmark = pytest.mark.usefixtures("no_keys")


# --- query -----------------------------------------------------------------------------------


def test_query_works_with_a_key_in_the_environment_alone(capsys, monkeypatch, home):
    monkeypatch.setenv("OPENROUTER_API_KEY", "not a key")
    outcome = run_command(capsys, "kimi", "query", "Hello?")
    assert "not configured: using openrouter with env:OPENROUTER_API_KEY" in outcome.err
    monkeypatch.delenv("OPENROUTER_API_KEY")
    outcome = run_command(capsys, "kimi", "query", "Hello?")
    assert (outcome.code, "no account is configured" in outcome.err) == (2, True)


def test_query_streams_and_says_what_it_cost(capsys, home, configured):
    outcome = run_command(capsys, "kimi", "query", "Hello?")
    assert (outcome.code, outcome.out) == (0, "You said: Hello?\n")
    assert "kimi-k2.6 (moonshot), 100 tokens in, 20 of them cached, 50 out" in outcome.err
    assert "0.00028 USD" in outcome.err
    assert configured.asked[0]["model"] == "kimi-k2.6"
    assert configured.asked[0]["max_completion_tokens"] == 4_096
    with UsageStore(home) as store:
        (record,) = store.read_requests()
    assert (record.model, record.cost_udollar, record.request_id) == ("kimi-k2.6", 280, "req-1")
    refuse_secrets(home, outcome)


def test_query_as_json_is_one_document(capsys, configured):
    outcome = run_command(
        capsys,
        *("kimi", "query", "Hello?", "--json", "--system", "Be brief.", "--max-tokens", "7"),
        *("--model", "kimi-k2.7-code", "--temperature", "0.1"),
    )
    document = outcome.document
    assert document["schema"] == "meshnode.kimi-answer/1"
    assert (document["text"], document["model"]) == ("You said: Hello?", "kimi-k2.7-code")
    assert document["cost_usd"] == "0.00028"
    assert configured.asked[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert configured.asked[0]["max_completion_tokens"] == 7
    assert document["notes"], "a fixed temperature is left out, and that is said"


def test_query_reads_stdin(capsys, configured, monkeypatch):
    give_stdin(monkeypatch, "from a pipe")
    assert "You said: from a pipe" in run_command(capsys, "kimi", "query", "-").out


def test_query_that_may_cost_too_much_is_not_sent(capsys, configured):
    outcome = run_command(capsys, "kimi", "query", "Hello?", "--max-cost", "0.001")
    assert outcome.code == 4
    assert "may cost 0.016" in outcome.err
    assert configured.asked == []
    outcome = run_command(capsys, "kimi", "query", "Hi", "--max-cost", "0.1", "--model", "other")
    assert (outcome.code, "knows what other costs" in outcome.err) == (4, True)
    assert run_command(capsys, "kimi", "query", "Hello?", "--max-cost", "0.1").code == 0


def test_daily_cap_refuses_before_anything_is_sent(capsys, configured):
    run_command(capsys, "kimi", "configure", "--daily-cap", "0.0166")
    assert run_command(capsys, "kimi", "query", "Hello?").code == 0
    outcome = run_command(capsys, "kimi", "query", "Hello?")
    assert outcome.code == 4
    assert "the cap of 0.0166 USD a day" in outcome.err
    assert "UTC" in outcome.err
    assert len(configured.asked) == 1
    assert run_command(capsys, "kimi", "query", "Hello?", "--max-tokens", "100").code == 0


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((401, {"type": "incorrect_api_key_error", "message": KEY}), "make a key at"),
        ((404, {"type": "resource_not_found_error", "message": "x"}), "kimi models"),
        ((429, {"type": "exceeded_current_quota_error", "message": "x"}), "top up"),
        ((400, {"type": "invalid_request_error", "message": "bad"}), "bad"),
    ],
)
def test_refusal_of_the_provider_has_one_next_step(capsys, home, configured, refusal, words):
    configured.refusals.append(refusal)
    outcome = run_command(capsys, "kimi", "query", "Hello?")
    assert outcome.code == 1
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1
    refuse_secrets(home, outcome)


def test_query_that_takes_too_long_ends_in_time(capsys, configured):
    configured.stalls = True
    run_command(capsys, "kimi", "configure", "--timeout", "1")
    outcome = run_command(capsys, "kimi", "query", "Hello?")
    assert (outcome.code, "--timeout" in outcome.err) == (5, True)


# --- status and models -----------------------------------------------------------------------


def test_status_calls_the_provider(capsys, home, configured):
    outcome = run_command(capsys, "kimi", "status")
    assert outcome.code == 0
    assert "reached  in" in outcome.out
    assert "3 models" in outcome.out
    assert "49.58 USD available" in outcome.out
    assert "limit 200, remaining 199" in outcome.out
    document = run_command(capsys, "kimi", "status", "--json").document
    assert document["schema"] == "meshnode.kimi-status/1"
    assert document["account"]["available_micro"] == 49_580_000
    assert document["key"] == "env:MOONSHOT_API_KEY"
    refuse_secrets(home, outcome)


def test_status_says_what_is_wrong_with_one_next_step(capsys, home, configured, monkeypatch):
    configured.balance = -1
    run_command(capsys, "kimi", "configure", "--model", "kimi-old")
    outcome = run_command(capsys, "kimi", "status")
    assert outcome.code == 1
    assert outcome.out.count("problem  ") == outcome.out.count("next     ") == 2
    assert "nothing left" in outcome.out
    assert "kimi-old is not offered" in outcome.out
    monkeypatch.setenv("MOONSHOT_API_KEY", f"{KEY}x")
    outcome = run_command(capsys, "kimi", "status")
    assert outcome.code == 1
    assert "401" in outcome.out
    assert "reached  no" in outcome.out
    refuse_secrets(home, outcome)


def test_key_that_is_refused_is_told_with_the_other_platform(capsys, home, configured, monkeypatch):
    monkeypatch.setenv("MOONSHOT_API_KEY", f"{KEY}x")
    outcome = run_command(capsys, "kimi", "query", "Hello?")
    assert (outcome.code, "make a key at https://platform.kimi.ai" in outcome.err) == (1, True)
    refuse_secrets(home, outcome)
    official = complete_settings(KimiTable(region="china"), {})
    assert official is not None
    assert "--region international" in describe_key_trouble(official)
    local = KimiTable(provider="local", base_url="http://127.0.0.1:9/v1")
    own = complete_settings(local, {})
    assert own is not None
    assert "engine's key" in describe_key_trouble(own)


def test_balance_that_cannot_be_read_is_a_problem(capsys, configured):
    configured.balance = "lots"
    outcome = run_command(capsys, "kimi", "status")
    assert (outcome.code, "balance" in outcome.out.partition("problem")[2]) == (1, True)


def test_status_of_an_engine_that_is_not_there(capsys):
    run_command(
        capsys, "kimi", "configure", "--provider", "local", "--base-url", "http://127.0.0.1:9/v1"
    )
    outcome = run_command(capsys, "kimi", "status")
    assert outcome.code == 1
    assert "start the engine" in outcome.out


def test_status_of_openrouter_shows_the_keys_limit(capsys, provider, monkeypatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", OPENROUTER_KEY)
    run_command(
        capsys,
        *("kimi", "configure", "--provider", "openrouter", "--base-url", provider.base_url),
    )
    outcome = run_command(capsys, "kimi", "status")
    assert (outcome.code, "7.5 USD available, 10 USD limit" in outcome.out) == (0, True)


def test_models_show_context_and_price(capsys, configured):
    outcome = run_command(capsys, "kimi", "models")
    assert outcome.code == 0
    assert max(map(len, outcome.out.splitlines())) <= 80
    row = next(line for line in outcome.out.splitlines() if line.startswith("kimi-k2.6"))
    assert row.split() == ["kimi-k2.6", "262144", "0.95", "0.16", "4.00"]
    assert "'auto' stands for kimi-k2.6" in outcome.err
    document = run_command(capsys, "kimi", "models", "--json").document
    prices = [model["prompt_udollar_per_mtok"] for model in document["models"]]
    assert prices == [950_000, None, 950_000]
    configured.models = []
    assert run_command(capsys, "kimi", "models").code == 0
    outcome = run_command(capsys, "kimi", "query", "Hello?")
    assert (outcome.code, "lists no model" in outcome.err) == (4, True)


# --- chat ------------------------------------------------------------------------------------


def test_chat_remembers_and_obeys(capsys, configured, monkeypatch, tmp_path):
    target = tmp_path / "talk.json"
    lines = [
        *("My name is Ada.", "", "Who am I?", f"/save {target}", f"/save {target}", "/save"),
        *("/model kimi-k2.7-code", "/model", "/reset", "/help", "/what", "And now?", "/exit", "no"),
    ]
    give_stdin(monkeypatch, "\n".join(lines))
    outcome = run_command(capsys, "kimi", "chat", "--system", "Be brief.", "--max-cost", "1")
    assert outcome.code == 0
    assert [len(body["messages"]) for body in configured.asked] == [2, 4, 2]
    assert [body["model"] for body in configured.asked][1:] == ["kimi-k2.6", "kimi-k2.7-code"]
    saved = json.loads(target.read_text())
    assert [message["role"] for message in saved["messages"]] == [
        *("system", "user", "assistant", "user", "assistant")
    ]
    for words in ("is there already", "needs a file's name", "there is no /what", "-- forgotten"):
        assert words in outcome.err
    assert "-- 3 answers, 0.00084 USD" in outcome.err


def test_chat_leaves_out_what_no_longer_fits_and_says_so(capsys, configured, monkeypatch):
    configured.models[1] = {"id": "kimi-k2.6", "context_length": 1_200}
    give_stdin(monkeypatch, "\n".join(["x " * 500, "y " * 500, "last", "z" * 9_000]))
    outcome = run_command(capsys, "kimi", "chat", "--max-tokens", "100")
    assert outcome.code == 0
    assert "1 exchange left out" in outcome.err
    assert "allow a shorter answer" in outcome.err
    assert len(configured.asked) == 3


def test_chat_makes_room_when_the_provider_asks_for_it(capsys, configured, monkeypatch):
    overflow = {"type": "invalid_request_error", "message": "exceeded model token limit: 9"}
    configured.refusals_later = {3: (400, overflow)}
    give_stdin(monkeypatch, "one\ntwo\nthree\n/reset\nfour")
    outcome = run_command(capsys, "kimi", "chat")
    assert outcome.code == 0
    assert [len(body["messages"]) for body in configured.asked] == [1, 3, 5, 3, 1]
    assert "1 exchange left out" in outcome.err


def test_chat_in_which_nothing_was_answered_has_failed(capsys, configured, monkeypatch):
    configured.refusals.append((400, {"type": "invalid_request_error", "message": "no"}))
    give_stdin(monkeypatch, "one")
    outcome = run_command(capsys, "kimi", "chat")
    assert (outcome.code, "-- 0 answers" in outcome.err) == (1, True)


def test_chat_in_a_terminal_prompts_and_ends(capsys, configured, monkeypatch):
    answers = iter(["Hello?"])

    def read(_):
        for line in answers:
            return line
        raise EOFError

    monkeypatch.setattr("meshnode.cli.kimi_chat.is_interactive", lambda: True)
    monkeypatch.setattr("builtins.input", read)
    outcome = run_command(capsys, "kimi", "chat")
    assert outcome.code == 0
    assert "kimi-k2.6 (moonshot); /help" in outcome.err
    assert "You said: Hello?" in outcome.out


# --- usage -----------------------------------------------------------------------------------


def test_usage_sums_by_day_model_and_provider(capsys, home, configured):
    assert "nothing was asked" in run_command(capsys, "kimi", "usage").out
    for model in ("kimi-k2.6", "kimi-k2.7-code", "moonshot-v1-8k"):
        run_command(capsys, "kimi", "query", "Hello?", "--model", model)
    outcome = run_command(capsys, "kimi", "usage", "--by", "model")
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert [line.split()[0] for line in outcome.out.splitlines()[2:]] == ["moonshot"] * 3 + ["all"]
    assert "1 of 3 requests have no known cost" in outcome.err
    document = run_command(capsys, "kimi", "usage", "--json").document
    assert document["total"]["requests"] == 3
    assert document["rows"][0]["cost_udollar"] == 280 + 280
    by_provider = run_command(capsys, "kimi", "usage", "--by", "provider", "--json").document
    assert by_provider["rows"][0]["provider"] == "moonshot"
    table = run_command(capsys, "kimi", "usage", "--export", "csv").out.splitlines()
    assert table[0].startswith("time_ms,engine,model,")
    assert len(table) == 4
    assert run_command(capsys, "kimi", "usage", "--days", "0").code == 2


def test_exported_text_is_no_formula(capsys, home):
    from tests.support.metered import make_record

    home.mkdir(mode=0o700)
    with UsageStore(home) as store:
        store.record(make_record(model="=1+1", time_ms=2**41))
    outcome = run_command(capsys, "kimi", "usage", "--export", "csv", "--days", "9999")
    assert "'=1+1" in outcome.out


class HangingAccount:
    """An account whose answer never comes."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.stopped = False

    async def hang(self) -> None:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.stopped = True
            raise


@pytest.mark.parametrize("interactive", [True, False])
async def test_interrupted_answer_stops_and_a_terminal_goes_on(capsys, monkeypatch, interactive):
    account = HangingAccount()
    talk = SimpleNamespace(say=lambda _: account.hang())
    monkeypatch.setattr(kimi_chat, "is_interactive", lambda: interactive)
    saying = asyncio.create_task(kimi_chat._say(talk, "Hello?"))  # type: ignore[arg-type]
    await account.asked.wait()
    saying.cancel()
    if interactive:
        await saying
        assert "-- stopped" in capsys.readouterr().err
    else:
        with pytest.raises(asyncio.CancelledError):
            await saying
    assert account.stopped
