"""Places that results go to: whatever verb writes there, it looks at them before anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from commands.steps import _options
from commands.verb_table import VERBS
from tests.commands.test_bad_input import assert_refused
from transplant.text import documents
from transplant.workflows import paste
from transplant.workflows.work import Work

MODEL, MODULE = "tiny-gpt2", "tales@tiny-gpt2"
NEW = "new"
"""In the table below: the place must not be there yet."""
WRITTEN: dict[tuple[str, str], tuple[str, ...]] = {
    ("transfer", "out"): ("--module", MODULE, "--to", "tiny-llama", "--curve", "1k", "--out"),
    ("paste", "out"): ("--from", "48M", "--to", "150M", "--init-missing", "1", NEW, "--out"),
    ("train-reference", "out"): ("ref-gpt2", "--out"),
    ("export", "out"): (MODULE, NEW),
    ("basis allocate", "out"): ("b@tiny-llama", "--budget", "600", "--out"),
    ("basis adapt", "peft"): ("b@tiny-llama", "--domain", "tales", "--name", "p", NEW, "--peft"),
    ("basis adapt", "out"): ("b@tiny-llama", "--compress", "0.5", NEW, "--out"),
    ("basis compare", "out"): ("--backbone", MODEL, "--domain", "tales", "--out"),
    ("advise", "out"): ("--from", MODEL, "--to", "tiny-llama", "--out"),
    ("capture", "out"): ("--backbone", MODEL, "--data", "prose", NEW, "--out"),
    ("trace", "out"): ("--model", MODULE, "--out"),
    ("analyze", "out"): ("--bank", "b", "--activations", "a.h5", "--out"),
    ("ablate", "out"): ("controls", "--module", MODULE, "--to", "tiny-llama", "--out"),
    ("cfgen", "out"): ("--task", "agreement", "--out"),
    ("uq", "out"): ("--model", MODULE, "--out"),
    ("route-sim", "out"): ("--metrics", "m.json", "--sweep", "--out"),
    ("validate", "junit"): ("--model", MODULE, "--baseline", MODEL, "--junit"),
    ("report", "out"): (MODULE, "--out"),
    ("demo", "out"): ("--out",),
}
READ = {
    ("train", "from-activations"), ("calibrate", "from-activations"), ("verify", "record"),
    ("calibrate", "domain-activations"), ("adapters", "import"), ("merge", "recipe"),
    ("advise", "trace"), ("advise", "catalog"), ("advise", "route"), ("capture", "inspect"),
    ("capture", "verify"), ("bridge-train", "activations"), ("analyze", "activations"),
    ("analyze", "against"), ("cfeval", "pairs"), ("route-sim", "metrics"), ("validate", "gates"),
    ("eval", "task-path"), ("studio", "runs"), ("run", "recipe"),
}  # fmt: skip
OF_ALL = ("plot", "offload-folder")
FILES = {"analyze", "ablate", "capture", "cfgen", "report", "validate"}
"""The verbs whose place is a file."""


def test_every_path_that_a_verb_takes_is_known_as_written_or_read():
    found = {
        (verb, option.spelled[0])
        for names in VERBS.values()
        for verb in names
        for option in _options(verb)
        if "Path" in str(option.type) and option.spelled[0] not in OF_ALL
    }
    assert found == WRITTEN.keys() | READ


@pytest.fixture
def idle(monkeypatch):
    """Fails whatever loads a model, reads text or makes a core."""

    def work(*_args: Any, **_options: Any) -> None:
        raise AssertionError("the work began before its place was looked at")

    for owner, name in ((Work, "load"), (documents, "read_corpus"), (paste, "make_untrained")):
        monkeypatch.setattr(owner, name, work)


@pytest.fixture(scope="module")
def abi(trained_abi, corpus):
    """A registry with the module `tales` of tiny-gpt2, and a basis of tiny-llama with ranks."""
    from tests.commands.basis_runs import fit_named

    if not any(row["name"] == "b" for row in trained_abi.rows()):
        fit_named(trained_abi, corpus, "b")
    words = ("--budget", "600", "--score", "energy", "--step", "2", "--json")
    assert trained_abi("basis", "allocate", "b@tiny-llama", *words).code == 0
    return trained_abi


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(("verb", "option"), WRITTEN)
def test_a_place_below_a_file_is_refused_before_the_work(abi, tmp_path, verb, option):
    (tmp_path / "file").write_text("")
    name = "inside.html" if verb in FILES else "inside"
    ran = _run(abi, verb, option, tmp_path / "file" / name)
    assert_refused(ran, "cannot write", "a folder above it")


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(
    ("verb", "option"), [key for key, words in WRITTEN.items() if NEW in words]
)
def test_a_place_that_is_taken_is_refused_before_the_work(abi, tmp_path, verb, option):
    taken = tmp_path / "taken"
    taken.write_text("") if verb in FILES else taken.mkdir()
    assert_refused(_run(abi, verb, option, taken), "exists already")


@pytest.mark.usefixtures("idle")
def test_a_capture_is_not_gone_on_with_in_any_other_file(abi, tmp_path):
    other = tmp_path / "other.h5"
    other.write_text("no capture")
    words = ("capture", "--backbone", MODEL, "--data", "prose", "--resume", "--json", "--out")
    assert_refused(abi(*words, str(other)), str(other))
    assert other.read_text() == "no capture"


def _run(abi, verb: str, option: str, place: Path):
    words = [word for word in WRITTEN[verb, option] if word != NEW]
    return abi(*verb.split(), *words, str(place), "--json")
