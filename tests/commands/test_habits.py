"""Habits of other command lines: completion, short names of options, former names, no ceiling."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from commands.app import app
from commands.former_names import former_names_in
from commands.render.table import text_of
from commands.verb_help import examples_of
from commands.verb_table import VERBS, find_verb
from tests.commands.test_no_ceiling import shown
from tests.test_documents import commands_in, parse
from transplant.files.result_kinds import kind_of
from transplant.tables.transfer import notes_of, transfer_table

ABI = Path(sys.executable).with_name("abi")
EVERY = [name for names in VERBS.values() for name in names]


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program beside the repository's own packages."""
    own = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment}
    return subprocess.run([*words], env=own, capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.name == "nt", reason="bash")
def test_completion_prints_its_script_and_completes_verbs_and_options():
    def completed(words: str, number: int) -> list[str]:
        asked = {"_ABI_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        return CliRunner().invoke(app, [], env=asked, prog_name="abi").stdout.split()

    script = run(str(ABI), _ABI_COMPLETE="source_bash")
    assert "complete -o default -F" in script.stdout, script.stderr
    assert {*completed("abi tra", 1)} == {name for name in EVERY if name.startswith("tra")}
    assert completed("abi transfer --nat", 2) == ["--native"]
    assert "--show-completion" in CliRunner().invoke(app, ["--help"]).stdout


@pytest.mark.parametrize("name", EVERY)
def test_every_verb_shows_an_example_that_is_valid(name):
    examples = examples_of(find_verb(name))
    assert examples
    for example in examples:
        (words,) = commands_in(f"    {example}")
        assert " ".join(words).startswith(name)
        parse(words)


@pytest.mark.parametrize("columns", ["50", "80", "200"])
def test_help_cuts_no_name_of_an_option_and_no_example(columns, trained_abi, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    ran = trained_abi("invariance", "--help")
    for whole in ("--train-interface / --freeze-interface", "--offload-folder <path>"):
        assert whole in ran.out
    assert "Example: abi invariance --module python@ref-gpt2 --update-data prose2" in ran.out
    assert "…" not in ran.out
    widest = max(len(line) for line in ran.out.splitlines() if "Example" not in line)
    assert widest <= min(int(columns), 100)


def test_lr_is_short_for_learning_rate(trained_abi):
    wrong = trained_abi("train", "--backbone", "b", "--domain", "d", "--lr", "fast")
    assert "'--learning-rate' / '--lr'" in wrong.err


@pytest.mark.parametrize(
    ("verb", "words", "new"),
    [
        ("train", ["--data", "x"], "--domain-data"),
        ("transfer", ["--data=x"], "--pair-data"),
        ("nib", ["--data", "x"], "--eval-data"),
        ("basis adapt", ["--data", "x"], "--domain-data"),
        ("transfer", ["--pair-data", "x"], None),
        ("capture", ["--data", "x"], None),
        (None, ["--data", "x"], None),
    ],
)
def test_a_former_name_is_noted_where_it_is_one(verb, words, new):
    notes = [*former_names_in(verb, words)]
    assert len(notes) == (new is not None)
    assert all(note.startswith(f"--data is called {new} now") for note in notes)


def test_a_former_name_means_what_the_new_one_means(trained_abi):
    """Both read the text that they name, which is not there; one note, and it is quiet under -q."""
    words = ("train", "--backbone", "tiny-gpt2", "--domain", "x", "--json")
    former, new, quiet = (
        trained_abi(*words, *more)
        for more in (("--data", "no.txt"), ("--domain-data", "no.txt"), ("--data", "no.txt", "-q"))
    )
    assert former.json == new.json == quiet.json
    assert "no.txt" in former.json["what"]
    assert [ran.err.count("--domain-data now") for ran in (former, new, quiet)] == [1, 0, 0]


def test_a_transfer_without_a_native_has_no_shares_and_is_verified(trained_abi, tmp_path):
    from registry.store import Registry

    def native():
        held = Registry.open(trained_abi.root).get("module", "tales", "tiny-llama")
        return None if held is None else held.manifest

    before = native()  # another test may have trained one; this one trains none
    move = ("transfer", "--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--native", "none")
    few = ("--pair-data", trained_abi.corpus, "--excerpts", "40", "--eval-tokens", "2000")
    ran = trained_abi(*move, *few, "--name", "alone", "--json")
    assert ran.code == 0, ran.err
    assert "training it" not in ran.err
    assert "train_native" not in ran.json["seconds"]
    assert "native" not in ran.json["ppl"]
    assert {*ran.json["recovered"].values()} == {None}
    assert ran.json["no_ceiling"].startswith("no ceiling: no native was asked for")
    assert ran.json["nib"] == {"pass": None, "why": "no native to compare with"}
    assert shown(transfer_table(ran.json)).count("no ceiling") >= len(ran.json["recovered"])
    assert native() == before
    record = tmp_path / "record.json"
    record.write_text(ran.out)
    again = trained_abi("verify", "--record", str(record), "--json")
    assert (again.code, again.json["verdict"]) == (0, "reproduced"), again.err
    assert (kind_of(ran.json), kind_of(again.json)) == ("move", "verification")


@pytest.mark.parametrize("words", [("--ceiling",), ("--curve", "0,600")])
def test_what_is_a_share_of_the_native_needs_one(words, trained_abi, tmp_path):
    move = ("transfer", "--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--native", "none")
    out = ("--out", str(tmp_path)) if "--curve" in words else ()
    ran = trained_abi(*move, *words, *out, "--pair-data", trained_abi.corpus, "--json")
    assert ran.code == 1
    assert "--native train" in ran.json["expected"]


def test_a_native_that_is_trained_says_what_it_costs():
    report = {"seconds": {"train_native": 75.0, "controls": 25.0}}
    (said,) = notes_of(report)
    assert text_of(said).plain == (
        "training the native took 75 of 100 s; --native none leaves it out"
    )
    assert not [*notes_of({"seconds": {"controls": 25.0}})]
