"""An exported folder is the model that was loaded, for whoever knows `transformers` alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments, pipeline
from transformers.utils import logging

import transplant
from registry.store import Registry
from tests.tiny import tiny_model
from tests.tiny_registry import put_corpus
from transplant.errors import ExistsError, InputError, StorageError
from transplant.exported.backbone_abi_hosted import fingerprint
from transplant.exported.modeling_abi_hosted import AbiHostedForCausalLM
from transplant.workflows.export import place

IDS = torch.arange(24)[None]
GATE = {"weight": torch.linspace(-1, 1, 16), "bias": torch.tensor(0.0), "memory": torch.tensor(0.5)}
ALONE = """
import sys, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], trust_remote_code=True)
assert "transplant" not in sys.modules and type(model).__module__.startswith("transformers_modules")
torch.save(model(torch.arange(24)[None]).logits, sys.argv[2])
model.save_pretrained(sys.argv[3])
"""


@pytest.fixture(autouse=True)
def _no_bars():
    logging.disable_progress_bar()


@pytest.fixture(scope="module")
def work(tmp_path_factory, tiny_texts, tiny_tokenizer):
    """A workspace with `tales` on a tiny Llama in a folder, its interface drawn to matter."""
    root = tmp_path_factory.mktemp("work")
    tiny_model("llama", tiny_tokenizer, tie_word_embeddings=True).save_pretrained(root / "base")
    tiny_tokenizer.save_pretrained(root / "base")
    made = transplant.Workspace(library=Registry(root / "registry", root / "none"))
    config = transplant.TrainConfig(steps=2, window=64, batch=2, train_tokens=2_000, d_abi=16)
    corpus = put_corpus(root / "text", tiny_texts)
    made.train(str(root / "base"), "tales", data=corpus, config=config, eval_tokens=500)
    return made


@pytest.fixture(scope="module")
def name(work):
    return next(entry.hosted for entry in work.library.entries("module"))


@pytest.fixture(scope="module")
def gated(work, name):
    """The same with a gate that is open somewhere and shut elsewhere."""
    found = work.load(name)
    with torch.no_grad():
        found.correction.interface.proj_out.weight.normal_(std=0.3)
    from transplant.modules.gate import Gate
    from transplant.modules.hosted import HostedModel

    return HostedModel(name, found.backbone, found.correction, Gate.from_tensors(GATE))


@pytest.fixture
def folder(work, name, tmp_path):
    work.export(name, tmp_path / "out")
    return tmp_path / "out"


@torch.no_grad()
def test_the_folder_is_what_was_loaded(work, name, folder):
    expected, found = work.load(name), AutoModelForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(found(IDS).logits, expected(IDS).logits, rtol=0, atol=1e-5)
    raw = expected.backbone.model(IDS).logits
    assert (found(IDS).logits - raw).abs().max() > 1e-3  # control: the module does something
    written = found.generate(IDS[:, :6], max_new_tokens=12, do_sample=False)
    assert torch.equal(written, expected.generate(IDS[:, :6], max_new_tokens=12, do_sample=False))
    slow = found.generate(IDS[:, :6], max_new_tokens=12, do_sample=False, use_cache=False)
    assert torch.equal(written, slow)
    assert found.get_input_embeddings() is found.backbone.model.embed_tokens
    assert (found.config.vocab_size, found.dtype) == (len(expected.tokenizer), torch.float32)
    assert not any("backbone" in key for key in load_file(folder / "model.safetensors"))
    assert not any(module._forward_hooks for module in found.modules())


def test_other_weights_are_refused_by_the_librarys_fingerprint(work, name, folder, tmp_path):
    backbone = work.load(name).backbone
    assert fingerprint(backbone.model) == backbone.weights_sha256
    other = tmp_path / "other"
    backbone.model.save_pretrained(other)
    AutoModelForCausalLM.from_pretrained(folder, backbone=str(other))
    tensors = load_file(other / "model.safetensors")
    tensors["model.norm.weight"] += 1
    save_file(tensors, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="not those that this model was made for"):
        AutoModelForCausalLM.from_pretrained(folder, backbone=str(other))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")
def test_with_backbone_and_code_it_needs_neither_this_library_nor_the_old_folder(
    work, name, tmp_path
):
    out, again = tmp_path / "alone", tmp_path / "again"
    work.export(name, out, with_backbone=True, code=True)
    assert str(work.library.root.parent) not in (out / "config.json").read_text()
    command = [sys.executable, "-c", ALONE, str(out), str(tmp_path / "l"), str(again)]
    where = {"HF_MODULES_CACHE": str(tmp_path / "m"), "PATH": "", "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(command, cwd=tmp_path, env=where, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    expected = work.load(name)(IDS).logits
    torch.testing.assert_close(torch.load(tmp_path / "l"), expected, rtol=0, atol=1e-5)
    assert (again / "modeling_abi_hosted.py").is_file()
    found = AutoModelForCausalLM.from_pretrained(again)  # ours, where this library is imported
    assert isinstance(found, AbiHostedForCausalLM)
    torch.testing.assert_close(found(IDS).logits, expected, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_pipeline_and_a_trainer_take_it(folder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    said = pipeline("text-generation", model=model, tokenizer=tokenizer)("The", max_new_tokens=4)
    assert said[0]["generated_text"].startswith("The")
    loss = model(IDS, labels=IDS).loss
    by_hand = torch.nn.functional.cross_entropy(model(IDS).logits[0, :-1], IDS[0, 1:])
    torch.testing.assert_close(loss, by_hand)
    rows = [{"input_ids": IDS[0], "labels": IDS[0]}] * 2
    options = TrainingArguments(
        output_dir=str(tmp_path / "runs"), max_steps=1, report_to=[], learning_rate=0.1,
        use_cpu=True, disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    trainer = Trainer(model=model, args=options, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert moved
    assert not any(n.startswith("backbone.") for n in moved)
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert torch.equal(reloaded(IDS).logits, model.eval()(IDS).logits)


def test_a_backbone_that_was_trained_is_saved_with_it(folder, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.backbone.requires_grad_(True)
    with torch.no_grad():
        model.backbone.model.norm.weight.add_(0.5)
    model.save_pretrained(tmp_path / "saved")
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert torch.equal(reloaded(IDS).logits, model(IDS).logits)


@torch.no_grad()
def test_a_gate_works_there_too_with_a_cache_and_with_padding(gated, work, name, monkeypatch):
    from transplant.workflows.export import as_transformers
    from transplant.workflows.export.source import read_source

    monkeypatch.setattr(type(work), "load", lambda *_: gated)
    model = as_transformers.build(read_source(work, name), code=False)
    torch.testing.assert_close(model(IDS).logits, gated(IDS).logits, rtol=0, atol=1e-5)
    off = (model(IDS).logits - gated.backbone.model(IDS).logits).abs().amax(-1)[0]
    assert 0 < int((off < 1e-6).sum()) < len(off)  # control: shut somewhere, open elsewhere
    mask = torch.ones_like(IDS)
    mask[:, :3] = 0
    options = {"attention_mask": mask[:, :8], "max_new_tokens": 10, "do_sample": False}
    written = model.generate(IDS[:, :8], **options)
    assert torch.equal(written, gated.generate(IDS[:, :8], **options))


def test_the_card_is_read_by_the_hub_and_tells_no_token_counts(work, name, tmp_path, folder):
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "unknown"
    assert "No control was run" in card.text
    record = json.loads((folder / "abi.json").read_text())
    assert "token_counts" not in record["made"]
    everything = (folder / "abi.json").read_text() + card.text
    assert str(tmp_path.parent) not in everything
    work.export(name, tmp_path / "counted", with_token_counts=True)
    assert json.loads((tmp_path / "counted" / "abi.json").read_text())["made"]["token_counts"]


def test_what_cannot_be_written_is_refused_before_the_work(
    work, name, folder, tmp_path, monkeypatch
):
    with pytest.raises(ExistsError, match="exists already"):
        work.export("nothing@nowhere", folder)  # before the name is looked up
    with pytest.raises(InputError, match="is a backbone"):
        work.export(name.partition("@")[2].rpartition("/d")[0], tmp_path / "a")
    with pytest.raises(InputError, match="form"):
        work.export(name, tmp_path / "a", form="onnx")
    left = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: left)
    with pytest.raises(StorageError, match="too full: expected 1,048,576 bytes free"):
        place.check_place(tmp_path / "deep" / "a")
    with pytest.raises(StorageError, match="too full: expected 5,000,000 bytes free"):
        place.check_place(tmp_path / "deep" / "a", 5_000_000)
    assert not (tmp_path / "a").exists()


def test_a_failure_leaves_nothing(tmp_path):
    def fail():
        with place.new_folder(tmp_path / "deep" / "out") as inside:
            (inside / "half").write_text("half")
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with place.new_folder(tmp_path / "deep" / "out") as inside:  # control
        (inside / "part").mkdir()
        (inside / "part" / "file").write_text("whole")
    assert (tmp_path / "deep" / "out" / "part" / "file").read_text() == "whole"
