"""The card of an export names every donor, and a licence only where all have that one."""

from __future__ import annotations

import json

import huggingface_hub
import pytest
import torch
from huggingface_hub import ModelCard

import transplant
from registry.store import Registry
from tests.tiny import tiny_model
from tests.tiny_registry import put_backbones
from tests.workflows.export.hosted_things import Shelf
from transplant.surgery.lora.start import new_lora
from transplant.surgery.lora.update import LoraUpdate, Pair
from transplant.workflows.licences import license_on_hub

NAMES = ("tiny-llama", "tiny-gpt2", "tiny-t5")
"""The target first, then two donors."""


@pytest.fixture(scope="module")
def taught(tmp_path_factory, tiny_texts):
    """A registry whose backbones get a licence, and the student of two donors in it."""
    root = tmp_path_factory.mktemp("registry")
    put_backbones(root, tiny_texts)
    work = transplant.Workspace(library=Registry.open(root))
    target, *donors = (work.backbone(name) for name in NAMES)
    start = new_lora(target, 2, 4.0).pairs
    pairs = {n: Pair(p.a.detach(), torch.full_like(p.b, 0.1), None, 2.0) for n, p in start.items()}
    update = LoraUpdate(pairs, {})
    parents = {
        f"donor_backbone_{number}": donor.weights_sha256 for number, donor in enumerate(donors)
    }
    made = {"scales": update.scales(), "student": "lora"}
    work.library.store(
        "adapter", "law", update.as_tensors(), backbone=target, domain="law", made=made,
        parents=parents,
    )  # fmt: skip
    return work


def card_of(work, out, licences, name="law@tiny-llama"):
    for backbone, licence in zip(NAMES, licences, strict=True):
        file = work.library.backbone_path(backbone) / "manifest.json"
        said = json.loads(file.read_text()) | {"license": licence}
        said.pop("manifest_sha256", None)  # the seal of what stood there
        file.write_text(json.dumps(said))
    report = work.export(name, out, form="lora")
    return report, ModelCard.load(out / "README.md")


def test_every_donor_is_named_with_its_licence(taught, tmp_path):
    report, card = card_of(taught, tmp_path / "out", ("mit", "apache-2.0", "MIT"))
    assert report["licenses"] == dict(zip(NAMES, ("mit", "apache-2.0", "MIT"), strict=True))
    assert "tuned copies of tiny-gpt2 and tiny-t5" in card.text
    for name, licence in report["licenses"].items():
        assert f"- {name}: {licence}" in card.text
    assert (card.data.license, card.data.license_name) == ("other", "apache-2.0-and-mit")


@pytest.mark.parametrize(
    ("licences", "said"),
    [
        (("mit", "MIT", "mit"), ("mit", None)),
        (("mit", "mit", None), ("other", "mit-and-unknown")),
        ((None, None, None), ("unknown", None)),
    ],
)
def test_a_licence_is_the_targets_only_where_all_agree(taught, tmp_path, licences, said):
    _, card = card_of(taught, tmp_path / "out", licences)
    assert (card.data.license, getattr(card.data, "license_name", None)) == said


@pytest.mark.parametrize("way", ["hub", "folder", "unnamed"])
def test_a_donor_that_no_library_holds_is_named_with_its_licence(
    taught, tmp_path, tiny_tokenizer, monkeypatch, way
):
    """By the name that the move was given for it, and the card that is found there."""
    folder = tmp_path / "their-base"
    tiny_model("gpt2", tiny_tokenizer).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: gemma\n---\n")
    base = {"hub": "org/their-base", "folder": str(folder), "unnamed": None}[way]
    asked = []

    def download(hub_id, file, **_):
        asked.append((hub_id, file))
        return str(folder / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    target, name = taught.backbone("tiny-llama"), f"from-{way}"
    update = LoraUpdate({n: Pair(p.a.detach(), p.b.detach() + 0.1, None, 2.0)
                         for n, p in new_lora(target, 2, 4.0).pairs.items()}, {})  # fmt: skip
    made = {"scales": update.scales(), "student": "lora", "donor": {"base": base}}
    taught.library.store(
        "adapter", name, update.as_tensors(), backbone=target, domain="law", made=made,
        parents={"donor_backbone": "e" * 64},
    )  # fmt: skip
    report, card = card_of(taught, tmp_path / "out", ("mit", None, None), f"{name}@tiny-llama")
    expected = {"donor eeeeeeeeeeee": "unknown"} if base is None else {base: "gemma"}
    assert report["licenses"] == {"tiny-llama": "mit", **expected}
    assert str(tmp_path) not in card.text
    shown = (
        "donor eeeeeeeeeeee: unknown" if base is None else f"{'org/' * (way == 'hub')}their-base"
    )
    assert f"- {shown}" in card.text
    assert asked == ([("org/their-base", "README.md")] if way == "hub" else [])


def test_a_card_that_the_hub_does_not_give_is_no_licence(monkeypatch):
    def download(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert license_on_hub("org/model", None) is None


@pytest.mark.parametrize("copy", [False, True])
def test_the_licence_of_a_folder_that_was_added_is_that_of_its_card(tmp_path, tiny_tokenizer, copy):
    shelf = Shelf(tmp_path, tiny_tokenizer)
    folder = tmp_path / "theirs"
    tiny_model("llama", tiny_tokenizer).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: llama3\n---\n")
    shelf.work.add(folder, "short", copy=copy)
    name = shelf.adapter(shelf.work.backbone("short"), "law")
    assert shelf.work.export(name, tmp_path / "out")["licenses"]["short"] == "llama3"
