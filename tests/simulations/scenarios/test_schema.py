"""What scenarios may say, and the tasks they come to."""

from __future__ import annotations

import pytest

from simulations.results import Task
from simulations.scenarios.catalogue import parse
from simulations.scenarios.errors import BadScenario
from simulations.scenarios.schema import TASKS_MAX, Scenario, read_value

HEAD = """
name = "mine"
title = "Mine"
question = "Does it?"
measure = "push"
"""
TABLES = """
[parameters]
nodes = 50
[grid]
fanout = [1, 2]
origins = [1, 3]
"""
CURVE = """
[[plots]]
kind = "curve"
x = "fanout"
y = "coverage"
title = "t"
x_label = "x"
y_label = "y"
"""
MINE = parse(HEAD + TABLES + CURVE, "mine.toml")


def points(tasks: list[Task]) -> list[tuple]:
    return [(t.parameters["fanout"], t.parameters["origins"], t.seed) for t in tasks]


def test_tasks_cover_the_grid_with_every_seed():
    tasks = MINE.tasks([7, 8], {}, grid=True)
    assert points(tasks) == [(f, o, s) for f in (1, 2) for o in (1, 3) for s in (7, 8)]
    assert len({task.key for task in tasks}) == 8


def test_tasks_are_one_point_without_the_grid():
    (task,) = MINE.tasks([7], {}, grid=False)
    assert (task.scenario, task.measure, task.seed) == ("mine", "push", 7)
    assert task.parameters == {
        "network": "ideal",
        "latency": "",
        "latency_sha256": "",
        "nodes": 50,
        "fanout": 3,
        "origins": 10,
    }


def test_override_takes_the_place_of_a_grid_axis():
    assert points(MINE.tasks([0], {"fanout": 9}, grid=True)) == [(9, 1, 0), (9, 3, 0)]
    assert MINE.tasks([0], {"nodes": "60"}, grid=True)[0].parameters["nodes"] == 60


@pytest.mark.parametrize("grid", [False, True])
def test_override_may_be_an_axis_of_its_own(grid: bool):
    tasks = MINE.tasks([0], {"nodes": "[40, 41]", "fanout": 2, "origins": 1}, grid=grid)
    assert [task.parameters["nodes"] for task in tasks] == [40, 41]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("true", True),
        ("cloud", "cloud"),
        ('"7"', "7"),
        ("[1, 2]", [1, 2]),
        ("[]", "[]"),
        ("2024-01-01", "2024-01-01"),
        ("a\nb = 1", "a\nb = 1"),
    ],
)
def test_text_of_a_command_line_is_read_as_what_it_means(text: str, value: object):
    assert read_value(text) == value


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"fanuot": 2}, "fanuot: measure 'push' has no such parameter; did you mean 'fanout'?"),
        ({"fanout": 0}, "mine: fanout: input should be greater than or equal to 1"),
        ({"fanout": "many"}, "mine: fanout: input should be a valid integer"),
        ({"nodes": 3}, "mine: fanout and origins have to be below nodes (3)"),
        ({"network": "wan"}, "mine: network: input should be 'ideal', 'lan', 'cloud', "),
    ],
)
def test_bad_override_is_named(overrides: dict, message: str):
    with pytest.raises(BadScenario) as caught:
        MINE.tasks([0], overrides, grid=False)
    assert caught.value.message.startswith(message)


def test_too_many_runs_are_refused_before_they_are_listed():
    with pytest.raises(BadScenario, match="4,000,000 runs are more than 1,000,000"):
        MINE.tasks(range(TASKS_MAX), {}, grid=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "= 1", "mine.toml: Invalid statement"),
        (HEAD.replace("title", "titel"), "mine.toml: titel: there is no such key; did you mean"),
        (HEAD.replace('"Mine"', "3"), "mine.toml: title: input should be a valid string"),
        (HEAD.replace("push", "pusch"), "mine.toml: measure: there is no measure 'pusch'; did you"),
        (HEAD + "seeds = 0", "mine.toml: seeds: input should be greater than or equal to 1"),
        (
            HEAD + "[parameters]\nzzz = 1",
            "mine.toml: parameters.zzz: measure 'push' has no such parameter; known are fanout, ",
        ),
        (HEAD + "[grid]\nfan = [1]", "mine.toml: grid.fan: measure 'push' has no such parameter"),
        (HEAD + "[grid]\nfanout = []", "mine.toml: grid.fanout: list should have at least 1 item"),
        (HEAD + "[grid]\nfanout = [0]", "mine.toml: mine: fanout: input should be greater than"),
        (
            HEAD + CURVE.replace('"fanout"', '"fan"'),
            "mine.toml: plots.0.x: measure 'push' has no parameter 'fan'",
        ),
        (
            HEAD + CURVE + 'group_by = "fan"',
            "mine.toml: plots.0.group_by: measure 'push' has no parameter 'fan'",
        ),
        (
            HEAD + CURVE + "where = { fan = 1 }",
            "mine.toml: plots.0.where.fan: measure 'push' has no parameter 'fan'",
        ),
        (HEAD + CURVE + "log = true", "mine.toml: plots.0.log: there is no such key; did you mean"),
        (
            HEAD + CURVE.replace('x = "fanout"', ""),
            "mine.toml: plots.0: a curve needs x, the parameter it is drawn over",
        ),
        (
            HEAD + CURVE + 'theory = "final_sise"',
            "mine.toml: plots.0: there is no theory 'final_sise'; did you mean 'final_size'?",
        ),
        (
            HEAD + CURVE + 'theory = ["final_size", "reach"]',
            "mine.toml: plots.0: there is no theory 'reach'",
        ),
    ],
)
def test_bad_scenario_is_named_by_file_and_key(text: str, message: str):
    with pytest.raises(BadScenario) as caught:
        parse(text, "mine.toml")
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message


def test_scenario_needs_no_grid_and_no_plots():
    assert isinstance(parse(HEAD, "mine.toml"), Scenario)


def test_plot_names_one_formula_or_several_or_none():
    plots = [
        parse(HEAD + CURVE + line, "mine.toml").plots[0]
        for line in ("", 'theory = "final_size"', 'theory = ["final_size", "all_gains"]')
    ]
    assert [list(plot.theories) for plot in plots] == [
        [],
        ["final_size"],
        ["final_size", "all_gains"],
    ]
