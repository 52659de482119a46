"""`abi advise`: numbers, a strategy, and commands that are valid."""

from __future__ import annotations

import html
import io
import json
import shlex
from pathlib import Path

import pytest
import typer
from rich.console import Console

from commands.app import app
from commands.output import Output
from commands.render.typed import command_of
from tests.advice.cases import CASES, measured
from transplant.advice.config import Thresholds
from transplant.advice.decide import advise
from transplant.files.result_kinds import kind_of
from transplant.tables.advice import advice_sheet

FEW = ("--excerpts", "10", "--impact-tokens", "400")


def parse(command: str) -> dict:
    """Reads a command as `abi` would, and stops before it runs; a usage error is raised."""
    program, verb, *arguments = shlex.split(command)
    assert program == "abi"
    found = typer.main.get_command(app).commands[verb]  # pyright: ignore[reportAttributeAccessIssue]
    return found.make_context(verb, list(arguments)).params


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_command_that_can_be_advised_is_valid(case):
    advice = advise(measured(**case.changes), Thresholds())
    assert advice.steps
    for step in (*advice.steps, *advice.proof):
        read = [
            str(one)
            for value in parse(command_of(step)).values()
            for one in (value if isinstance(value, list | tuple) else [value])
        ]
        assert {*step.options.values(), *step.names} <= {*read}  # each of them reached the verb


def test_a_command_that_is_not_valid_is_noticed():
    assert parse("abi train --backbone b --domain d")["domain"] == "d"
    for wrong in ("abi train --backbone b", "abi train --backbone b --domain d --nowhere 1"):
        with pytest.raises(Exception, match="Missing|No such"):
            parse(wrong)


@pytest.mark.parametrize("width", [40, 80])
def test_a_command_is_never_cut(width):
    shown = io.StringIO()
    for case in CASES:
        found = measured(**case.changes)
        advice = advise(found, Thresholds())
        out = Output()
        out.stdout = Console(file=shown, width=width, highlight=False)
        out.result({}, advice_sheet(found, advice, written=command_of))
        lines = [line.split(":     ")[-1] for line in shown.getvalue().splitlines()]
        for step in (*advice.steps, *advice.proof):
            assert command_of(step) in lines


def run(abi, command: str):
    ran = abi(*shlex.split(command)[1:], "--json")
    assert ran.code == 0, (command, ran.out, ran.err)
    return ran.json


def test_between_strangers_every_step_runs_as_it_is_typed(abi, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("advise", "--from", "tiny-gpt2", "--to", "tiny-llama", "--data", abi.corpus, *FEW)
    said = abi(*words, "--json").json
    numbers = said["numbers"]
    assert said["strategy"] == "inject + bridge-train"  # backbones of random weights
    assert numbers["r2"] < said["thresholds"]["aligned"]
    assert (len(numbers["pairs"]), len(numbers["impact"])) == (9, 4)
    assert 0.0 < numbers["exact_text"] <= 1.0
    for step in said["steps"]:
        # As it is typed, but for the time that training takes.
        few = " --steps 4" if "bridge-train" in step["command"] else ""
        last = run(abi, step["command"] + few)
    assert last["name"] == "probe@tiny-llama"
    shown = abi(*words).out
    assert f"next:     {said['next']}" in shown.splitlines()
    assert max(numbers["impact"], key=numbers["impact"].get) in shown


def test_what_is_aligned_is_moved_and_then_done(trained_abi, tmp_path, monkeypatch):
    words = ("advise", "--from", "tiny-gpt2", "--to", "tiny-gpt2", "--data", trained_abi.corpus)
    said = trained_abi(*words, *FEW, "--json").json
    assert [c["name"] for c in said["numbers"]["candidates"]] == ["tales@tiny-gpt2"]
    assert said["strategy"] == "transfer"
    moved = run(trained_abi, said["next"])
    monkeypatch.chdir(tmp_path)
    route = {
        "model": "tales-from-tiny-gpt2@tiny-gpt2/d16", "baseline": "tiny-gpt2", "tau": 2.0,
        "coverage": 0.5, "budget": 0.01, "regress": {"nats": 0.0, "low": 0.0, "high": 0.002},
    }  # fmt: skip
    Path("route.json").write_text(json.dumps(route))
    Path("other.json").write_text(json.dumps({**route, "baseline": "tiny-llama"}))
    try:
        refused = trained_abi(*words, *FEW, "--route", "other.json")
        assert (refused.code, "no route from a module of the donor" in refused.err) == (1, True)
        told = trained_abi(*words, *FEW, "--route", "route.json", "--out", "advice", "--json").json
        assert told["answers"][-1] | {"rests_on": ""} == {
            "question": "no regress?", "yes": True, "number": 0.002, "threshold": 0.01,
            "rests_on": "",
        }  # fmt: skip
        assert kind_of(told) == "advice"
        assert told["files"] == ["advice/advice.json", "advice/advice.html"]
        page = Path("advice/advice.html").read_text()
        assert "0.002, threshold 0.01" in page
        assert all(step["command"] in html.unescape(page) for step in told["proof"])
        again = trained_abi(*words, *FEW, "--json").json
        assert again["strategy"] == "done"
        assert again["numbers"]["candidates"][0]["recovered_there"] == pytest.approx(
            moved["recovered"]["candidate"]
        )
        assert run(trained_abi, again["next"])["name"] == "tales-from-tiny-gpt2"
    finally:
        assert trained_abi("rm", moved["name"], "--yes").code == 0


def test_a_domain_without_a_module_is_trained_first(trained_abi):
    ran = trained_abi(
        "advise", "--from", "tiny-gpt2", "--to", "tiny-gpt2", "--domain", "law", *FEW,
        "--data", trained_abi.corpus, "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    said = ran.json
    assert said["numbers"]["candidates"] == []
    assert said["numbers"]["r2"] > 0.99
    assert said["strategy"] == "train, then transfer"
    assert said["next"].startswith("abi train --backbone tiny-gpt2 --domain law")
    assert said["numbers"]["divergence"] is None


def test_a_name_that_is_no_backbone_is_refused(trained_abi):
    assert trained_abi("advise", "--from", "tales@tiny-gpt2", "--to", "tiny-llama").code == 1
    assert trained_abi("advise", "--from", "tiny-gpt2").code == 2
