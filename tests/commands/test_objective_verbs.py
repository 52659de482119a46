"""Calibration by every objective, through the command line."""

from __future__ import annotations

import pytest
import torch

import transplant
from registry.store import Registry
from transplant.calibration.objectives.spec import DOMAIN, ORACLE, PAIRED, SPECS
from transplant.workflows.move import objective

MOVE = ("--module", "tales@tiny-gpt2", "--excerpts", "40", "--json", "--replace")
QUICK = ("--steps", "4")


@pytest.fixture(scope="module")
def oracle(trained_abi):
    """A module on the target, and a second one on the donor's backbone."""
    assert trained_abi.train("tiny-llama", "--replace").code == 0
    assert trained_abi.train("tiny-gpt2", "--name", "other", "--seed", "1").code == 0
    return "tales@tiny-llama"


def options_for(name, oracle):
    spec = SPECS[name]
    words = ("--anchor", oracle) if ORACLE in spec.needs else ()
    words += QUICK if spec.learn is not None else ()
    return words + (("--tokens", "1500") if spec.reads_domain else ())


@pytest.mark.parametrize("name", SPECS)
def test_every_objective_moves_a_module_and_leaves_its_bytes(name, trained_abi, oracle):
    ran = trained_abi(
        "calibrate", *MOVE, "--to", "tiny-llama", "--data", trained_abi.corpus,
        "--objective", name, "--name", f"by-{name.replace('+', '-')}", *options_for(name, oracle),
    )  # fmt: skip
    assert ran.code == 0, ran.out + ran.err
    report = ran.json
    assert report["module_sha256"]["donor"] == report["module_sha256"]["target"]
    assert report["needs"] == list(SPECS[name].needs)
    if SPECS[name].learn is not None:
        assert report["learned"]["steps_taken"] == 4
        assert report["learned"]["history"][0][0] == 0
    shown = trained_abi("show", report["name"], "--json", "--verify").json
    assert shown["verified"]
    made = shown["made"]["objective"]
    assert made["name"] == name
    if name.endswith("donor-kd"):
        assert made["donor_mix"].keys() == {"donor_word", "gain"}


@pytest.mark.usefixtures("oracle")
def test_two_modules_on_one_backbone_by_steps_and_in_closed_form(trained_abi):
    common = ("calibrate", "--module", "other@tiny-gpt2", "--to", "tiny-gpt2", "--json")
    common += ("--anchor", "tales@tiny-gpt2", "--tokens", "4000", "--replace")
    errors = {}
    library = Registry.open(trained_abi.root)
    anchor = transplant.load("tales@tiny-gpt2", library=library)
    ids = anchor.tokenizer("The ba cor den", return_tensors="pt").input_ids
    states = {"own": "other@tiny-gpt2"}
    for name, more in (("corr-closed", ()), ("corr-mse", (*QUICK, "--schedule", "phases"))):
        ran = trained_abi(*common, "--objective", name, "--name", f"to-{name}", *more)
        assert ran.code == 0, ran.out + ran.err
        assert "bridge" not in ran.json  # nothing was paired: the backbone is the same
        assert "pair" not in ran.json["seconds"]
        states[name] = ran.json["name"]
    for name, hosted in states.items():
        logits = transplant.load(hosted, library=library)(input_ids=ids).logits
        errors[name] = (logits - anchor(input_ids=ids).logits).square().mean().item()
    assert errors["corr-closed"] < errors["own"]
    judged = trained_abi(
        "nib", "--anchor", "tales@tiny-gpt2", "--candidate", states["corr-closed"], "--json",
        "--chunk-length", "40", "--chunks", "3", "--skip", "4", "--extended",
    )  # fmt: skip
    assert judged.code in (0, 3)
    assert torch.isfinite(torch.tensor(judged.json["top5"]))


def test_a_budget_is_of_beginnings_or_of_any_place(trained_abi, monkeypatch):
    read, windows_of = {}, objective.windows_of

    def told(*given, **named):
        found = windows_of(*given, **named)
        read[choice].append([window.ids for window in found])
        return found

    monkeypatch.setattr(objective, "windows_of", told)
    for choice in ("first", "any"):
        read[choice] = []
        ran = trained_abi(
            "calibrate", *MOVE, "--to", "tiny-llama", "--data", trained_abi.corpus, "--objective",
            "lm", "--tokens", "600", "--steps", "1", "--window-choice", choice, "--name", "placed",
        )  # fmt: skip
        assert ran.code == 0, ran.out + ran.err
        made = trained_abi("show", ran.json["name"], "--json").json["made"]["objective"]
        assert made["window_choice"] == choice
    # What is paired, what is learned from, and what learning stops by.
    assert len(read["first"]) == len(read["any"]) == 3
    for beginnings, places in zip(read["first"], read["any"], strict=True):
        assert beginnings != places
        assert abs(sum(map(len, beginnings)) - sum(map(len, places))) < 64


def refused(abi, *words):
    ran = abi("calibrate", *MOVE, "--to", "tiny-llama", "--data", abi.corpus, *words)
    assert ran.code == 1
    return ran.json


def test_what_an_objective_lacks_or_does_not_use_is_said_before_the_work(trained_abi, oracle):
    for name in (name for name, spec in SPECS.items() if ORACLE in spec.needs):
        found = refused(trained_abi, "--objective", name)
        assert "an oracle" in found["what"]
        assert "--anchor" in found["expected"]
    assert "--anchor" in refused(trained_abi, "--objective", "lm", "--anchor", oracle)["what"]
    assert "--tokens" in refused(trained_abi, "--objective", "donor-kd", "--tokens", "9")["what"]
    assert "--steps" in refused(trained_abi, "--objective", "closed-form", *QUICK)["what"]
    for name, choice in (("donor-kd", "any"), ("lm", "last")):
        found = refused(trained_abi, "--objective", name, "--window-choice", choice)
        assert "--window-choice" in found["what"]
    assert "unknown --objective" in refused(trained_abi, "--objective", "magic")["what"]
    assert "--train" in refused(trained_abi, "--objective", "lm", "--train", "module")["what"]
    elsewhere = refused(trained_abi, "--objective", "kl", "--anchor", "tales@tiny-gpt2")
    assert "not at work on the target" in elsewhere["what"]
    raw = refused(trained_abi, "--objective", "kl", "--anchor", "tiny-llama")
    assert "raw" in raw["found"]


def test_help_says_what_each_objective_needs(trained_abi):
    shown = " ".join(trained_abi("calibrate", "--help").out.replace("│", " ").split())
    for need in (PAIRED, DOMAIN, ORACLE):
        assert need in shown
