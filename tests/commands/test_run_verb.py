"""`abi run`: steps run once, are kept by hash, and run again where something has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import transplant
from commands.fence import EXIT_INTERRUPTED
from tests.commands.conftest import Abi
from tests.tiny_registry import put_backbones, put_corpus

CHAIN = """
seed: 1
steps:
  - name: donor
    train:
      backbone: tiny-gpt2
      domain: tales
      domain-data: {corpus}
      steps: 20
      window: 64
      batch: 2
      tokens: 6000
      d-abi: 16
      eval-tokens: 2000
  - transfer:
      module: ${{donor.name}}
      to: tiny-llama
      pair-data: {corpus}
      domain-data: {corpus}
      excerpts: 20
      native: none
      eval-tokens: 2000
  - name: judged
    nib: {{anchor: "${{transfer.name}}", candidate: tiny-llama, eval-data: {held}, chunks: 2,
          chunk-length: 32, skip: 4}}
    may_fail: true
  - export: {{name: "${{transfer.name}}", out: {out}}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_texts, corpus):
    """A registry, a recipe of four steps, and what its first run reported."""
    root = tmp_path_factory.mktemp("recipes")
    put_backbones(root / "registry", tiny_texts)
    held = put_corpus(root / "held", tiny_texts)
    text = CHAIN.format(corpus=corpus, held=held, out=root / "exported")
    (root / "recipe.yaml").write_text(text)
    abi = Abi(root / "registry", corpus)
    ran = abi("run", str(root / "recipe.yaml"), "--json")
    assert ran.code == 0, ran.err
    return abi, root, ran


def states(ran) -> dict[str, str]:
    return {step["name"]: step["state"] for step in ran.json["steps"]}


def run_it(abi, root, *words: str, **changes: str):
    """Runs the recipe, with some of its words changed for this run and those that follow."""
    recipe = root / "recipe.yaml"
    text = recipe.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    recipe.write_text(text)
    return abi("run", str(recipe), "--json", *words)


def test_the_first_run_runs_every_step_and_one_object_has_each_report(place):
    _, root, first = place
    assert {*states(first).values()} == {"ran"}
    donor, moved, judged, exported = first.json["steps"]
    assert donor["report"]["name"] == "tales@tiny-gpt2"
    assert moved["report"]["donor"] == "tales@tiny-gpt2"
    assert {it["kind"] for it in donor["made"]} == {"module", "interface"}
    assert (judged["pass"], judged["may_fail"], first.json["pass"]) == (False, True, True)
    assert any(file.startswith(str(root / "exported")) for file in exported["files"])


def test_a_finished_recipe_is_kept_whole(place):
    abi, root, first = place
    again = run_it(abi, root)
    assert {*states(again).values()} == {"kept"}
    assert [s["report"] for s in again.json["steps"]] == [s["report"] for s in first.json["steps"]]
    assert "donor (train) is kept: module tales@tiny-gpt2" in again.err
    dry = run_it(abi, root, "--dry-run")
    assert {*states(dry).values()} == {"kept"}
    other = run_it(abi, root, "--dry-run", "--seed", "9")  # the recipe names its own
    assert {*states(other).values()} == {"kept"}


def test_a_changed_step_runs_again_with_all_that_follow(place):
    abi, root, first = place
    changed = run_it(abi, root, **{"excerpts: 20": "excerpts: 21"})
    assert changed.code == 0, changed.err
    assert states(changed) == {
        "donor": "kept", "transfer": "ran", "judged": "ran", "export": "ran",
    }  # fmt: skip
    before, after = (ran.json["steps"][1]["made"] for ran in (first, changed))
    assert before[0] == after[0]  # a move leaves the module as it is
    assert before[1]["sha256"] != after[1]["sha256"]


def test_what_a_step_made_must_be_there_as_it_was(place):
    abi, root, _ = place
    page = root / "exported" / "README.md"
    page.write_text(page.read_text() + "\nby hand\n")
    assert states(run_it(abi, root, "--dry-run"))["export"] == "would run"
    refused = run_it(abi, root)
    assert refused.code == 1
    assert "step 'export'" in refused.json["what"]
    assert "by hand" in page.read_text()  # what a user has changed is not removed
    page.unlink()
    for file in sorted((root / "exported").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    (root / "exported").rmdir()
    assert states(run_it(abi, root))["export"] == "ran"
    weights = next((root / "registry").glob("tiny-llama/d16/module/*/*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    mended = run_it(abi, root)
    assert mended.code == 0, mended.err
    assert states(mended)["donor"] == "kept"
    assert states(mended)["transfer"] == "ran"


def test_an_input_that_has_changed_runs_its_step_again(place):
    abi, root, _ = place
    (root / "held" / "0.txt").write_text("Another text stands in its place now.")
    assert states(run_it(abi, root, "--dry-run")) == {
        "donor": "kept", "transfer": "kept", "judged": "would run", "export": "would run",
    }  # fmt: skip


def test_a_step_that_does_not_pass_ends_the_recipe_unless_it_may_fail(place):
    abi, root, _ = place
    ended = run_it(abi, root, **{"may_fail: true": "may_fail: false"})
    assert ended.code == 3
    assert states(ended)["export"] == "not run"
    assert ended.json["pass"] is False
    assert run_it(abi, root, **{"may_fail: false": "may_fail: true"}).code == 0


def test_names_that_are_taken_are_refused_before_anything_runs(place, corpus):
    abi, root, _ = place
    other = root / "other.yaml"
    other.write_text(
        "steps:\n"
        f"  - train: {{backbone: tiny-gpt2, domain: tales, domain-data: {corpus}, d-abi: 16}}\n"
    )
    taken = abi("run", str(other), "--json")
    assert (taken.code, taken.json["error"]) == (1, "ExistsError")
    assert f"{other}:2: tales@tiny-gpt2 is already in the registry" in taken.json["what"]
    other.write_text(
        "steps:\n"
        "  - name: a\n    train: {backbone: tiny-gpt2, domain: new}\n"
        "  - name: b\n    train: {backbone: tiny-gpt2, domain: new}\n"
    )
    assert "'b' would make new@tiny-gpt2" in abi("run", str(other)).err
    other.write_text(
        "steps:\n"
        "  - transfer: {module: new@tiny-gpt2, to: tiny-llama}\n"
        "  - train: {backbone: tiny-gpt2, domain: new}\n"
    )
    assert "new@tiny-gpt2 is made by 'train', which comes after it" in abi("run", str(other)).err


def test_an_interrupted_run_goes_on_where_it_was(abi, corpus, tmp_path, monkeypatch):
    import transplant.training.loop as loop
    import transplant.workflows.train.module as module

    recipe = tmp_path / "recipe.yaml"
    train = "{{backbone: {0}, domain: tales, domain-data: {1}, steps: 20, window: 64, batch: 2, "
    train += "tokens: 6000, d-abi: 16, eval-tokens: 2000}}"
    recipe.write_text(
        "steps:\n"
        f"  - train: {train.format('tiny-gpt2', corpus)}\n"
        f"  - train: {train.format('tiny-llama', corpus)}\n"
    )
    whole, calls = loop.train_module, []

    def stop_the_second(*args, **options):
        calls.append(options["resume"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(*args, **options)

    monkeypatch.setattr(loop, "train_module", stop_the_second)
    stopped = abi("run", str(recipe), "--json")
    assert stopped.code == EXIT_INTERRUPTED
    assert "the same recipe goes on from there" in stopped.err
    assert hosted_in(abi) == ["tales@tiny-gpt2/d16"]
    store = module._store

    def stop_behind_it(*args, **options):
        store(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as once:
        once.setattr(module, "_store", stop_behind_it)
        assert abi("run", str(recipe), "--json").code == EXIT_INTERRUPTED
    assert len(hosted_in(abi)) == 2  # stored, and not on record as finished
    went_on = abi("run", str(recipe), "--json")
    assert went_on.code == 0, went_on.err
    assert states(went_on) == {"train": "kept", "train-2": "ran"}
    assert len(hosted_in(abi)) == 2


def hosted_in(abi) -> list[str]:
    return [row["hosted"] for row in abi.rows("modules") if not row["shipped"]]


def test_the_recipe_of_an_artifact_makes_it_again_bit_for_bit(place, tmp_path, tiny_texts, corpus):
    abi, root, _ = place
    name = "tales-from-tiny-gpt2@tiny-llama"
    shown = abi("show", name, "--recipe")
    assert shown.code == 0, shown.err
    recipe = tmp_path / "again.yaml"
    recipe.write_text(shown.out)
    put_backbones(tmp_path / "registry", tiny_texts)
    again = Abi(tmp_path / "registry", corpus)
    ran = again("run", str(recipe), "--json")
    assert ran.code == 0, ran.err
    assert [step["verb"] for step in ran.json["steps"]] == ["train", "transfer"]
    for kind in ("module", "interface"):
        one, other = (
            of("show", name, "--kind", kind, "--json").json["sha256"] for of in (abi, again)
        )
        assert one == other
    as_json = abi("show", name, "--recipe", "--json").json
    assert as_json["yaml"].strip() == shown.out.strip()
    assert abi("show", "tiny-llama", "--recipe").code == 1  # control: no verb has made it


SCRIPT = """
import sys
import commands, registry
import transplant
mine = commands, registry
from transplant.installed.registry.store import Registry
work = transplant.Workspace(library=Registry.open())
print([step["state"] for step in work.run(sys.argv[1], dry_run=True)["steps"]])
print(work.recipe_of("tales@tiny-gpt2").count("train:"))
print((sys.modules["commands"], sys.modules["registry"]) == mine, mine[0].own)
"""


def test_python_runs_a_recipe_beside_modules_of_the_same_names(place, tmp_path):
    _, root, _ = place
    (tmp_path / "commands.py").write_text("own = 1")
    (tmp_path / "registry.py").write_text("own = 2")
    (tmp_path / "script.py").write_text(SCRIPT)
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(root / "recipe.yaml")],
        env={**os.environ, "ABI_REGISTRY": str(root / "registry"),
             "PYTHONPATH": str(Path(transplant.__file__).parents[1])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    states, recipes, names = ran.stdout.splitlines()
    assert len(json.loads(states.replace("'", '"'))) == 4
    assert (recipes, names) == ("1", "True 1")


def test_the_record_stands_in_the_registry(place):
    _, root, _ = place
    (record,) = (root / "registry" / ".recipes").glob("*.json")
    assert json.loads(record.read_text())["recipe"] == str((root / "recipe.yaml").resolve())
    assert not [*Path(root).glob(".*")]
    record.write_text("{")
    damaged = run_it(Abi(root / "registry", ""), root)
    assert (damaged.code, damaged.json["error"]) == (1, "CorruptError")
