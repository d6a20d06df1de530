"""`meshnode kimi`: an own account, from its first key to its books, against a stand-in provider."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import tomllib
from types import SimpleNamespace

import keyring
import pytest
from keyring.backends import fail

from meshnode.cli import kimi_chat, kimi_keys
from meshnode.sealed_keys import write_sealed_key
from meshnode.sealing import COST_FLOOR
from meshnode.usage_store import UsageStore
from tests.support.cli import run_command
from tests.support.keyrings import MemoryKeyring
from tests.support.kimi_provider import KEY, OPENROUTER_KEY, kimi_provider


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No keys and no key ring but those a test sets."""
    for name in ("MOONSHOT_API_KEY", "KIMI_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(keyring, "get_keyring", fail.Keyring)


@pytest.fixture
def provider():
    with kimi_provider() as provider:
        yield provider


@pytest.fixture
def configured(provider, monkeypatch, capsys):
    """An account with the key in the environment."""
    monkeypatch.setenv("MOONSHOT_API_KEY", KEY)
    outcome = run_command(
        capsys, "kimi", "configure", "--provider", "moonshot", "--base-url", provider.base_url
    )
    assert outcome.code == 0, outcome.err
    return provider


def give_stdin(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def read_table(home):
    return tomllib.loads((home / "config.toml").read_text())["kimi"]


def refuse_secrets(home, outcome):
    written = "".join(
        path.read_text(errors="replace") for path in home.rglob("*") if path.is_file()
    )
    assert "canary" not in written + outcome.out + outcome.err


# --- configure -------------------------------------------------------------------------------


def test_configure_without_anything_writes_a_reference(capsys, home):
    outcome = run_command(capsys, "kimi", "configure")
    assert outcome.code == 0
    assert read_table(home) == {"provider": "moonshot", "api_key": "env:MOONSHOT_API_KEY"}
    assert "MOONSHOT_API_KEY is not set here" in outcome.out


def test_configure_keeps_what_is_not_named(capsys, home):
    run_command(
        capsys,
        *("kimi", "configure", "--provider", "moonshot", "--region", "china", "--max-tokens", "9"),
        *("--temperature", "0.6", "--daily-cap", "1.5", "--timeout", "30", "--model", "kimi-k3"),
    )
    outcome = run_command(capsys, "kimi", "configure", "--first-token-timeout", "5", "--json")
    assert outcome.document["schema"] == "meshnode.kimi-settings/1"
    table = read_table(home)
    assert (table["region"], table["daily_cap_usd"], table["temperature"]) == ("china", "1.50", 0.6)
    run_command(capsys, "kimi", "configure", "--daily-cap", "none", "--temperature", "model")
    assert not {"daily_cap_usd", "temperature"} & set(read_table(home))
    outcome = run_command(capsys, "kimi", "configure", "--provider", "openrouter")
    table = read_table(home)
    assert table == {
        "provider": "openrouter",
        "max_tokens": 9,
        "timeout_s": 30,
        "first_token_timeout_s": 5,
        "api_key": "env:OPENROUTER_API_KEY",
    }
    assert "https://openrouter.ai/api/v1" in outcome.out


def test_configure_returns_to_the_platform_when_a_region_is_named(capsys, home):
    run_command(capsys, "kimi", "configure", "--base-url", "https://gateway.example/v1")
    run_command(capsys, "kimi", "configure", "--region", "china")
    assert "base_url" not in read_table(home)


def test_key_goes_into_the_key_ring(capsys, home, monkeypatch):
    ring = MemoryKeyring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: ring)
    give_stdin(monkeypatch, f"{KEY}\n")
    outcome = run_command(capsys, "kimi", "configure", "--api-key-stdin")
    assert outcome.code == 0
    assert read_table(home)["api_key"] == "keyring:meshnode/moonshot"
    assert ring.entries == {("meshnode", "moonshot"): KEY}
    refuse_secrets(home, outcome)


def test_key_is_encrypted_where_there_is_no_key_ring(capsys, home, provider, monkeypatch):
    monkeypatch.setenv("MESHNODE_PASSPHRASE", "correct horse")
    monkeypatch.setattr(kimi_keys, "write_sealed_key", _write_cheaply)
    give_stdin(monkeypatch, f"{KEY}\n")
    outcome = run_command(
        capsys, "kimi", "configure", "--api-key-stdin", "--base-url", provider.base_url
    )
    assert outcome.code == 0
    assert read_table(home)["api_key"] == "file:moonshot"
    refuse_secrets(home, outcome)
    assert run_command(capsys, "kimi", "status").code == 0
    assert provider.authorizations[-1] == f"Bearer {KEY}"
    monkeypatch.setenv("MESHNODE_PASSPHRASE", "wrong")
    outcome = run_command(capsys, "kimi", "status")
    assert (outcome.code, "passphrase is wrong" in outcome.err) == (4, True)


def _write_cheaply(*arguments, **options):
    write_sealed_key(*arguments, **options, cost=COST_FLOOR)


def test_key_has_no_place_without_key_ring_and_passphrase(capsys, home, monkeypatch):
    give_stdin(monkeypatch, f"{KEY}\n")
    outcome = run_command(capsys, "kimi", "configure", "--api-key-stdin")
    assert outcome.code == 4
    assert "--api-key-env" in outcome.err
    assert not (home / "config.toml").exists()
    refuse_secrets(home, outcome)
    give_stdin(monkeypatch, f"{KEY}\n")
    outcome = run_command(capsys, "kimi", "configure", "--api-key-stdin", "--store", "keyring")
    assert (outcome.code, "no key ring" in outcome.err) == (2, True)


def test_key_on_the_command_line_is_taken_with_a_warning(capsys, home, monkeypatch):
    monkeypatch.setattr(keyring, "get_keyring", MemoryKeyring)
    outcome = run_command(capsys, "kimi", "configure", "--api-key", KEY)
    assert outcome.code == 0
    assert "history" in outcome.err
    refuse_secrets(home, outcome)


def test_key_is_asked_for_where_a_person_is(capsys, home, monkeypatch):
    ring = MemoryKeyring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: ring)
    monkeypatch.setattr("meshnode.cli.kimi_configure.is_interactive", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: KEY)
    assert run_command(capsys, "kimi", "configure").code == 0
    assert ring.entries
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: "")
    assert run_command(capsys, "kimi", "configure", "--provider", "openrouter").code == 0
    assert read_table(home)["api_key"] == "env:OPENROUTER_API_KEY"


def test_passphrase_is_asked_for_twice_when_it_is_new(capsys, home, monkeypatch):
    questions = []

    def ask(question, **_):
        questions.append(question)
        return "correct horse"

    monkeypatch.setattr(kimi_keys, "write_sealed_key", _write_cheaply)
    monkeypatch.setattr("meshnode.cli.setup.is_interactive", lambda: True)
    monkeypatch.setattr("getpass.getpass", ask)
    give_stdin(monkeypatch, f"{KEY}\n")
    assert run_command(capsys, "kimi", "configure", "--api-key-stdin").code == 0
    assert [question.split()[0] for question in questions] == ["Choose", "Again:"]
    give_stdin(monkeypatch, f"{KEY}\n")
    assert run_command(capsys, "kimi", "configure", "--api-key-stdin").code == 0
    assert questions[2].startswith("Passphrase of")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--api-key", "sk-kimi-canary0123456789"), "Kimi Code"),
        (("--api-key", OPENROUTER_KEY), "key of OpenRouter"),
        (("--provider", "openrouter", "--api-key", KEY), "begins with sk-or-"),
        (("--api-key", KEY, "--api-key-env", "X"), "more than one way"),
        (("--api-key", " "), "no key was given"),
        (("--api-key-env", KEY), "must be a reference"),
        (("--provider", "local"), "needs the address"),
        (("--base-url", "https://api.kimi.com/coding/v1"), "coding agents only"),
        (("--base-url", "http://8.8.8.8/v1", "--api-key", KEY), "unencrypted"),
        (("--daily-cap", "much"), "no decimal number"),
        (("--temperature", "3"), "between 0 and 2"),
        (("--temperature", "hot"), "between 0 and 2"),
        ((KEY,), "Unused Tokens"),
    ],
)
def test_configure_refuses_what_cannot_work(capsys, home, arguments, words):
    outcome = run_command(capsys, "kimi", "configure", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert not (home / "config.toml").exists()
    refuse_secrets(home, outcome)


def test_references_are_looked_at_when_they_are_given(capsys, home, tmp_path, monkeypatch):
    outcome = run_command(capsys, "kimi", "configure", "--api-key-env", "MY_KEY")
    assert "not there yet" in outcome.out
    monkeypatch.setenv("MY_KEY", OPENROUTER_KEY)
    outcome = run_command(capsys, "kimi", "configure", "--api-key-env", "MY_KEY")
    assert (outcome.code, "key of OpenRouter" in outcome.err) == (2, True)
    (tmp_path / "key").write_text(KEY)
    outcome = run_command(capsys, "kimi", "configure", "--api-key-file", str(tmp_path / "key"))
    assert "found" in outcome.out
    assert read_table(home)["api_key"] == f"file:{tmp_path / 'key'}"


def test_engine_of_ones_own_needs_no_key(capsys, home):
    with kimi_provider(keys=()) as provider:
        outcome = run_command(
            capsys, "kimi", "configure", "--provider", "local", "--base-url", provider.base_url
        )
        assert "key      none" in outcome.out
        assert "api_key" not in read_table(home)
        outcome = run_command(capsys, "kimi", "query", "Hello?")
        assert (outcome.code, outcome.out) == (0, "You said: Hello?\n")
        assert "own engine" in outcome.err
        assert provider.authorizations[-1] == ""


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
