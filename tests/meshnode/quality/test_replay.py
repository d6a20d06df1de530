"""The walk through an answer, with a model from a script."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.quality.replay import RESTARTS_MAX, Comparison, Replay, Step


def walk(answer: str, ended: bool, model) -> Comparison:
    """Let a function from the text so far to a step be the model."""
    replay = Replay(answer, ended=ended)
    while not replay.is_done:
        text = replay.begin().encode()
        while True:
            step = model(text)
            if not replay.take(step):
                break
            text += step.text
    return replay.result


def speak(words: list[str]):
    """A model that always says the same, whatever its beginning was."""
    whole = "".join(words).encode()

    def model(text: bytes) -> Step:
        length = 0
        for word in words:
            if length >= len(text):
                return Step(word.encode())
            length += len(word.encode())
        assert len(text) <= len(whole)
        return Step(b"")

    return model


def test_own_answer_matches_wholly_with_its_end():
    words = ["It", " is", " a", " house", "."]
    assert walk("".join(words), True, speak(words)) == Comparison(6, 6, 6)
    assert walk("".join(words), False, speak(words)) == Comparison(5, 5, 5)


@given(st.lists(st.text(min_size=1, max_size=4), max_size=12), st.booleans())
def test_own_answer_matches_wholly_whatever_it_says(words, ended):
    count = len(words) + ended
    assert walk("".join(words), ended, speak(words)) == Comparison(count, count, count)


@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=4), max_size=8), st.booleans())
def test_walk_through_anything_ends(answer, words, ended):
    result = walk(answer, ended, lambda _: Step((words or [""])[0].encode()))
    assert 0 <= result.first <= result.matched <= result.compared <= len(answer.encode()) + 1


def test_cut_answer_that_is_said_to_be_complete_lacks_its_end():
    assert walk("It is", True, speak(["It", " is", " a"])) == Comparison(3, 2, 2)


def test_end_at_a_tie_counts():
    replay = Replay("It", ended=True)
    assert replay.take(Step(b"It"))
    assert not replay.take(Step(b" is", ((b"", 20),)))
    assert replay.result == Comparison(2, 2, 1)
    assert replay.is_done


def test_other_token_counts_only_near_a_tie_and_the_walk_goes_on_behind_it():
    replay = Replay("a warm bread", ended=False, tie_mnat=100)
    assert replay.take(Step(b"a"))
    assert not replay.take(Step(b" fresh", ((b" ", 9_000), (b" warm", 90), (b" wa", 8_000))))
    assert replay.begin() == "a warm"
    assert not replay.take(Step(b" cake", ((b" bread", 101),)))
    assert (replay.result, replay.bytes_left, replay.is_done) == (Comparison(3, 2, 1), 0, True)


def test_what_nobody_had_in_mind_is_passed_over_piece_by_piece():
    replay = Replay("xy frobs", ended=False)
    assert not replay.take(Step(b"It"))
    assert replay.begin() == "xy"
    assert not replay.take(Step(b""))
    assert replay.begin() == "xy fro"
    assert not replay.take(Step(b"g"))
    assert replay.is_done
    assert replay.result == Comparison(3, 0, 0)


def test_long_text_without_blanks_counts_as_many_tokens():
    assert walk("x" * 400, False, lambda _: Step(b"It")).compared == RESTARTS_MAX + 1


def test_run_begins_between_characters():
    replay = Replay("\N{EURO SIGN}5", ended=False)
    first, rest = "\N{EURO SIGN}".encode()[:1], "\N{EURO SIGN}".encode()[1:]
    assert not replay.take(Step(b"$", ((first, 9_000),)))
    assert replay.begin() == "\N{EURO SIGN}"
    assert rest


def test_walk_gives_up_when_it_is_decided():
    replay = Replay("no " * 500, ended=True)
    steps = 0
    while not replay.is_done:
        replay.begin()
        replay.take(Step(b"yes"))
        steps += 1
    assert steps == RESTARTS_MAX + 1
    assert replay.result.matched == 0


def test_comparisons_add_up():
    assert Comparison(3, 2, 1) + Comparison(5, 5, 4) == Comparison(8, 7, 5)
