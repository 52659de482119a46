"""The seal: what no tensor's hash covers is covered too, and old manifests are read as before."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from registry import Manifest, Registry
from registry.seal import FILES, SEAL, sealed
from tests.registry.stored import WEIGHTS
from transplant.errors import ArtifactError, CorruptError

FIELDS = {
    "taps": (1, 3),
    "made": {"token_counts": {"a": 17}, "gain": 0.75},
    "results": {"ppl": [12.5, None]},
    "parents": {"module_here": "0" * 64},
}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"a": 17', '"a": 27'),
        ('"gain": 0.75', '"gain": 0.65'),
        ("    1,\n    3\n", "    1,\n    2\n"),
        ("12.5", "12.4"),
        ('"module_here": "0', '"module_here": "1'),
        ('"ref-gpt2"', '"ref-gpt3"'),
        ('"d_model": 8', '"d_model": 9'),
        ('"license": null', '"license": "MIT"'),
    ],
)
def test_a_change_of_any_field_is_refused_with_what_to_do(
    store: Registry, make: Callable[..., Manifest], old: str, new: str
) -> None:
    entry = store.write(make(**FIELDS), WEIGHTS)
    file = entry.path / "manifest.json"
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    [problem] = store.problems()
    assert isinstance(problem, CorruptError)
    assert f"take the line {SEAL} out" in str(problem)
    lines = [line for line in file.read_text().splitlines() if SEAL not in line]
    file.write_text("\n".join(lines))  # the control, and what the message says
    assert store.entries()[0].manifest != entry.manifest
    assert store.problems() == []


def test_no_flipped_byte_of_a_manifest_changes_what_is_read(
    store: Registry, make: Callable[..., Manifest]
) -> None:
    entry = store.write(make(**FIELDS), WEIGHTS)
    file = entry.path / "manifest.json"
    data, draw = file.read_bytes(), random.Random(0)
    refused = 0
    for place in range(len(data)):
        file.write_bytes(
            data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]
        )
        try:
            assert store.find("module", "python", "ref-gpt2").manifest == entry.manifest
        except ArtifactError:
            refused += 1
    assert refused > 0.7 * len(data)


def test_the_layout_is_no_part_of_the_seal_and_a_manifest_without_one_is_read(
    store: Registry, make: Callable[..., Manifest]
) -> None:
    entry = store.write(make(**FIELDS), WEIGHTS)
    file = entry.path / "manifest.json"
    text = file.read_text()
    assert json.loads(text).keys() - json.loads(entry.manifest.to_json()).keys() == {SEAL}
    for other in (json.dumps(json.loads(text)), entry.manifest.to_json()):
        file.write_text(other)
        assert store.entries() == [entry]
    assert sealed(entry.manifest.to_json()) == sealed(text) == text


def backbone_folder(folder: Path) -> Path:
    folder.mkdir()
    save_file({"w": torch.ones(2)}, folder / "model.safetensors")
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text(json.dumps({"of": name}))
    return folder


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_changed_or_missing_file_of_a_backbone_is_refused(
    store: Registry, make: Callable[..., Manifest], tmp_path: Path, name: str
) -> None:
    made = make(name="ref-gpt2", kind="backbone", d_abi=None)
    entry = store.write_backbone(made, backbone_folder(tmp_path / "made"))
    assert store.backbone_path("ref-gpt2") == entry.path
    store.verify(entry)
    file = entry.path / name
    whole = file.read_bytes()
    for damage in (lambda: file.write_bytes(whole.replace(b"o", b"p")), file.unlink):
        damage()
        for read in (lambda: store.backbone_path("ref-gpt2"), lambda: store.verify(entry)):
            with pytest.raises(CorruptError, match=rf"{name} is not as it was written"):
                read()
        assert store.holds_backbone("ref-gpt2")
    manifest = entry.path / "manifest.json"
    old = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({k: old[k] for k in old.keys() - {SEAL, FILES}}))
    assert store.backbone_path("ref-gpt2") == entry.path  # the control, and an older manifest


def test_a_damaged_one_among_those_to_choose_from_is_not_passed_over(
    store: Registry, make: Callable[..., Manifest]
) -> None:
    good, bad = (store.write(make(name=name), WEIGHTS) for name in ("good", "bad"))
    store.write(make(name="bad", kind="interface"), WEIGHTS)
    assert store.choices("module") == store.entries("module") == [bad, good]
    (bad.path / "manifest.json").write_text("{")
    assert store.entries("module") == store.choices("module", "ref-gpt2", "good") == [good]
    assert len(store.choices("interface", name="bad")) == 1
    for backbone, name in ((None, None), ("ref-gpt2", "bad")):
        with pytest.raises(CorruptError):
            store.choices("module", backbone, name)
    assert store.choices("module", "ref-llama") == []
