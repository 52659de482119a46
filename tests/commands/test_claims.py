"""A verb takes its name before it works: a shipped, malformed or held one is refused at once."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from commands.output import Output
from commands.session import open_session
from commands.verb_table import VERBS, find_verb
from registry import Registry
from tests.commands.test_bad_input import assert_refused
from transplant.workflows import vocabulary
from transplant.workflows.cores import folders

STORING = {
    "train": ("train", "--backbone", "tiny-gpt2", "--domain", "tales", "--data", "{corpus}"),
    "transfer": ("transfer", "--module", "tales@tiny-gpt2", "--to", "tiny-llama"),
    "calibrate": ("calibrate", "--module", "tales@tiny-gpt2", "--to", "tiny-llama"),
    "bridge-align": ("bridge-align", "--module", "tales@tiny-gpt2", "--to", "tiny-llama"),
    "gate": ("gate", "--module", "tales@tiny-gpt2"),
    "extract": ("extract", "--backbone", "tiny-gpt2"),
    "tokenize-align": ("tokenize-align", "--from", "tiny-gpt2", "--to", "tiny-llama"),
    "embed-init": ("embed-init", "--from", "tiny-llama", "--to", "tiny-gpt2"),
    "train-core": ("train-core", "--size", "2M"),
    "inject": ("inject", "--from", "llama:ffn.0", "--to", "tiny-gpt2", "--layer", "0"),
    "bridge-train": (
        "bridge-train", "--from", "llama:ffn.0", "--to", "tiny-gpt2", "--layer", "0",
        "--activations", "none.h5",
    ),
    "fuse": ("fuse", "tales@tiny-gpt2", "other@tiny-gpt2"),
    "adapters": ("adapters", "--import", "nowhere", "--to", "tiny-gpt2"),
    "add": ("add", "nowhere"),
    "basis adapt": ("basis", "adapt", "b@tiny-llama", "--domain", "tales"),
    "basis fit": ("basis", "fit", "--backbone", "tiny-gpt2", "--data", "{corpus}"),
}  # fmt: skip
"""A call of each verb that stores under a name; `gate` takes the module's."""
ELSEWHERE = {"paste", "train-reference", "demo", "export", "merge"}
"""They store as well: into cores or a folder of their own, which their tests hold."""


READING = {"eval", "generate"}
"""Their `name` is that of what is read."""


def test_the_table_has_every_verb_that_stores() -> None:
    """A verb stores if it has a `name` or a `replace`."""
    found = set()
    for verb in (name for names in VERBS.values() for name in names):
        functions = [
            n for n in ast.walk(ast.parse(_source(verb))) if isinstance(n, ast.FunctionDef)
        ]
        words = {arg.arg for f in functions for arg in f.args.args + f.args.kwonlyargs}
        if words & {"replace"} or (
            words & {"name"} and verb not in READING and verb not in VERBS["Registry"]
        ):
            found.add(verb)
    assert found <= STORING.keys() | ELSEWHERE, found


def _source(verb: str) -> str:
    return Path(find_verb(verb).__code__.co_filename).read_text()


@pytest.mark.parametrize("verb", sorted(STORING.keys() - {"gate"}))
def test_a_name_that_cannot_be_one_is_refused_before_anything_is_loaded(
    verb, trained_abi, corpus
) -> None:
    words = [word.format(corpus=corpus) for word in STORING[verb]]
    ran = trained_abi(*words, "--name", "../up", "--json")
    assert_refused(ran, "letters", "../up")
    assert "loading" not in ran.err


@pytest.mark.parametrize("verb", ["train", "transfer", "calibrate"])
def test_a_shipped_name_is_refused_before_anything_is_loaded(verb, trained_abi, corpus) -> None:
    words = [word.format(corpus=corpus) for word in STORING[verb]]
    for tiny, shipped in (("tiny-", "ref-"), ("tales@", "python-shipped@")):
        words = [word.replace(tiny, shipped) for word in words]
    shipped = "python-shipped" if verb == "train" else "python-shipped-from-ref-gpt2"
    ran = trained_abi(*words, "--name", shipped, "--replace", "--json")
    assert_refused(ran, "ships with abi")
    assert "loading" not in ran.err


def test_the_second_writer_of_a_name_is_refused(trained_abi) -> None:
    code = (
        "import sys; from pathlib import Path; from registry import Registry\n"
        "Registry(Path(sys.argv[1])).claim(('module', 'interface'), 'held', 'tiny-gpt2', 16)\n"
        "print('taken', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(trained_abi.root)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout is not None
    other.stdout.readline()
    ran = trained_abi.train("tiny-gpt2", "--name", "held")
    assert_refused(ran, "another run", str(other.pid))
    assert "loading" not in ran.err
    other.communicate("")
    assert "held" not in {e.manifest.name for e in Registry.open(trained_abi.root).entries()}


def test_a_disk_without_room_for_a_copy_is_refused_before_anything_is_loaded(
    trained_abi, monkeypatch
) -> None:
    monkeypatch.setattr(folders, "weights_bytes", lambda *_: 1 << 60)
    monkeypatch.setattr(vocabulary, "weights_bytes", lambda *_: 1 << 60)
    for verb in (["embed-init", "--from", "tiny-llama", "--to", "tiny-gpt2"],
                 ["adapters", "--import", "x", "--to", "tiny-gpt2", "--merge"],):  # fmt: skip
        ran = trained_abi(*verb, "--json")
        assert_refused(ran, "too full")
        assert "loading" not in ran.err


def test_the_weights_of_a_backbone_are_counted_on_the_disk(trained_abi) -> None:
    work = open_session("test", Output(quiet=True), trained_abi.root)
    file = trained_abi.root / "tiny-gpt2" / "model.safetensors"
    assert folders.weights_bytes(work, "tiny-gpt2") == file.stat().st_size
    assert folders.weights_bytes(work, "org/of-the-hub") == 0
