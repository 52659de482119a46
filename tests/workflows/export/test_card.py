"""The card of an export names every donor, and a licence only where all have that one."""

from __future__ import annotations

import json

import pytest
import torch
from huggingface_hub import ModelCard

import transplant
from registry.store import Registry
from tests.tiny_registry import put_backbones
from transplant.surgery.lora.start import new_lora
from transplant.surgery.lora.update import LoraUpdate, Pair

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


def card_of(work, out, licences):
    for name, licence in zip(NAMES, licences, strict=True):
        file = work.library.backbone_path(name) / "manifest.json"
        said = json.loads(file.read_text()) | {"license": licence}
        said.pop("manifest_sha256", None)  # the seal of what stood there
        file.write_text(json.dumps(said))
    report = work.export("law@tiny-llama", out, form="lora")
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
