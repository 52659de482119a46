"""abi merge: weights of an independent average, evidence beside the parents, refusals before it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.commands.conftest import Abi
from transplant.evidence.validate import plan as plans
from transplant.merging import job as merging

SMALL = plans.Suite(eval_tokens=1_200, pairs=4, nib_seeds=(7777,))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """The suite of the tests: less of everything."""
    monkeypatch.setitem(plans.SUITES, "quick", SMALL)


@pytest.fixture(scope="module")
def scene(trained_abi, tmp_path_factory):
    """A registry of its own with `tales@tiny-gpt2`, and a folder of a like model beside it."""
    root = tmp_path_factory.mktemp("merging") / "registry"
    shutil.copytree(trained_abi.root, root)
    twin = altered(root / "tiny-gpt2", root.parent / "twin+b@2")
    return Abi(root, trained_abi.corpus), twin


def altered(source: Path, folder: Path, dtype: torch.dtype | None = None, **settings) -> Path:
    """A copy of a model's folder with other weights, or other settings."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("manifest.json", "d*"))
    draw = torch.Generator().manual_seed(3)
    tensors = {
        name: (one + 0.02 * torch.randn(one.shape, generator=draw)).to(dtype or one.dtype)
        for name, one in load_file(source / "model.safetensors").items()
    }
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    return folder


def recipe(folder: Path, *models: object, more: str = "merge_method: linear\n") -> str:
    """The path of a recipe that takes a share of each model."""
    rows = [
        f"  - {{model: '{one}', parameters: {{weight: {n}}}}}\n" for n, one in enumerate(models, 1)
    ]
    path = folder / "recipe.yaml"
    path.write_text("models:\n" + "".join(rows) + more)
    return str(path)


@pytest.fixture(scope="module")
def merged(scene, tmp_path_factory):
    abi, twin = scene
    file = recipe(tmp_path_factory.mktemp("recipe"), "tiny-gpt2", twin)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(plans.SUITES, "full", SMALL)
        ran = abi(
            "merge", "--global", file, "--name", "both", "--general", f"general={abi.corpus}",
            "--data", f"tales={abi.corpus}", "--suite", "full", "--json",
        )  # fmt: skip
    assert ran.code == 0, ran.err
    return ran.json


def test_weights_are_the_average_that_the_recipe_asks_for(scene, merged):
    abi, twin = scene
    one, other, found = (
        load_file(folder / "model.safetensors")
        for folder in (abi.root / "tiny-gpt2", twin, abi.root / "both")
    )
    assert found.keys() == one.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, (one[name] + 2 * other[name]) / 3)
    assert not torch.equal(found["transformer.wte.weight"], other["transformer.wte.weight"])
    assert merged["weights_sha256"] not in {one["weights_sha256"] for one in merged["parents"]}
    shown = abi("show", "both", "--json").json
    assert shown["made"]["merge"]["method"] == "linear"
    assert len(shown["parents"]) == 2
    assert not list((abi.root / ".runs").glob("*.merging"))


def test_the_merged_model_is_measured_beside_each_parent(scene, merged):
    abi, twin = scene
    assert set(merged["texts"]) == {"tales", "general"}
    for text in merged["texts"].values():
        number = text["perplexity"]
        low, high = number["interval"]
        assert low < number["value"] < high
        assert set(text["parents"]) == {"tiny-gpt2", str(twin)}
        assert text["parents"]["tiny-gpt2"]["nib"] is None  # no chunk of 512 tokens
    alone = abi(
        "validate", "--model", "both", "--baseline", "tiny-gpt2", "--data", f"tales={abi.corpus}",
        "--general", f"general={abi.corpus}", "--json",
    ).json["metrics"]  # fmt: skip
    beside = merged["texts"]["tales"]["parents"]["tiny-gpt2"]
    assert beside["gain"]["value"] == pytest.approx(alone["gain.tales"]["value"], abs=1e-6)
    assert beside["perplexity"]["value"] == pytest.approx(alone["perplexity.tales"]["value"])


@torch.no_grad()
def test_what_the_parents_host_is_weighed_on_the_merged_model(scene, merged):
    import transplant
    from registry.store import Registry
    from transplant.evaluation.likelihood import score_documents
    from transplant.workflows.corpus import read_as_needed, windows_of

    abi, _ = scene
    (row,) = merged["hosted"]
    assert (row["name"], row["kind"], row["domain"]) == ("tales@tiny-gpt2", "module", "tales")
    library = Registry.open(abi.root)
    hosted = transplant.load("tales@tiny-gpt2", library=library)
    backbone = transplant.load("both", library=library).backbone
    splits = read_as_needed(transplant.Workspace(library=library), abi.corpus, evaluation=1_200)
    windows = windows_of(backbone, splits.eval, 512, 1_200)
    found = score_documents(backbone, windows, {"raw": None, "hosted": hosted.correction})
    gain = found["raw"].per_token - found["hosted"].per_token
    assert row["merged_gain"]["value"] == pytest.approx(gain, abs=1e-6)
    assert row["ppl"]["merged_hosted"] == pytest.approx(found["hosted"].perplexity)
    if row["kept"] is not None:
        share = gain / row["parent_gain"]["value"]
        assert row["kept"]["value"] == pytest.approx(share, abs=1e-6)


def test_a_parameter_that_the_method_does_not_know_is_refused_and_nothing_left(scene, tmp_path):
    abi, twin = scene
    before = sorted(path.name for path in abi.root.iterdir())
    file = recipe(tmp_path, "tiny-gpt2", twin, more="merge_method: slerp\nbase_model: tiny-gpt2\n")
    Path(file).write_text(Path(file).read_text().replace("weight: 1", "wait: 1"))
    texts = ("--general", f"general={abi.corpus}", "--data", f"tales={abi.corpus}")
    ran = abi("merge", "--global", file, "--name", "no", *texts, "--json")
    assert ran.code == 1
    assert "the parameter 'wait' of slerp" in ran.json["what"], ran.json
    assert sorted(path.name for path in abi.root.iterdir()) == before


def bad(case: str, root: Path, folder: Path) -> tuple[list[object], str, str]:
    """The models of a recipe, what is added to it, and what is said of it."""
    source, plain = root / "tiny-gpt2", "merge_method: linear\n"
    if case == "layers":
        return ["tiny-gpt2", altered(source, folder / "x", n_head=2)], plain, "`n_head`"
    if case == "dtype":
        other = altered(source, folder / "x", torch.bfloat16)
        return ["tiny-gpt2", other], plain, "stored in BF16, F16"
    if case == "pickle":
        shutil.copytree(source, folder / "x", ignore=shutil.ignore_patterns("*.safetensors", "d*"))
        (folder / "x" / "pytorch_model.bin").touch()
        return [folder / "x"], plain, "pickled weights are never loaded"
    return {
        "family": (["tiny-gpt2", "tiny-llama"], plain, "two architectures"),
        "remote": (["tiny-gpt2", "openai/gpt2"], plain, "openai/gpt2 is not here"),
        "revision": (["openai/gpt2@main"], plain, "openai/gpt2@main is not here"),
        "lora": (["tiny-gpt2+me/lora"], plain, "is a model with a LoRA"),
        "folder": (["./nowhere"], plain, "no such folder: ./nowhere"),
        "method": (["tiny-gpt2"], "merge_methods: linear\n", "'merge_methods' in a recipe"),
    }[case]


CASES = ("layers", "dtype", "pickle", "family", "remote", "revision", "lora", "folder", "method")


@pytest.mark.parametrize("case", CASES)
def test_parents_that_do_not_fit_are_refused_before_anything_is_merged(
    case, scene, tmp_path, monkeypatch
):
    abi, _ = scene
    monkeypatch.setattr(merging, "run_recipe", lambda *_, **__: pytest.fail("it was merged"))
    models, more, said = bad(case, abi.root, tmp_path)
    file = recipe(tmp_path, *models, more=more)
    ran = abi("merge", "--global", file, "--name", "no", "--json")
    assert ran.code == 1, ran.err
    assert said in ran.json["what"]
    if case == "remote":
        assert ran.json["hint"] == "--remote openai/gpt2 if it is to come from the hub"


def test_a_name_that_is_taken_and_a_missing_form_are_refused(scene, tmp_path):
    abi, twin = scene
    file = recipe(tmp_path, twin)
    assert abi("merge", "--global", file, "--name", "tiny-gpt2", "--json").json["error"] == (
        "ExistsError"
    )
    ran = abi("merge", file, "--name", "no")
    assert ran.code == 1
    assert "abi fuse" in ran.err


def test_an_interruption_leaves_nothing(scene, tmp_path, monkeypatch):
    abi, twin = scene

    def stopped(_content, out, *_, **__):
        out.mkdir()
        (out / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(merging, "run_recipe", stopped)
    before = sorted(path for path in abi.root.rglob("*") if path.name != ".checked.json")
    words = ("merge", "--global", recipe(tmp_path, "tiny-gpt2", twin), "--name", "gone")
    ran = abi(*words, "--general", f"g={abi.corpus}", "--data", f"tales={abi.corpus}")
    assert ran.code == 130
    assert ran.err.endswith("error interrupted\n")
    after = sorted(path for path in abi.root.rglob("*") if path.name != ".checked.json")
    assert [path for path in after if path.name not in (".runs", ".lock")] == [
        path for path in before if path.name not in (".runs", ".lock")
    ]
