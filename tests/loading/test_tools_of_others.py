"""Hosted models in other tools: `Trainer`, pipelines, lm-eval, nnsight, PEFT, accelerate."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import Trainer, TrainingArguments, pipeline

import transplant
from tests.loading.hosted_kinds import logits_of
from tests.workflows.export.hosted_things import IDS
from transplant.loading.pipelines import known_to_pipelines
from transplant.modules.routed import RoutedModel


@pytest.mark.filterwarnings("ignore")
def test_trainer_trains_what_is_added_saves_it_and_goes_on(model, tmp_path):
    def trainer(model, **options):
        told = TrainingArguments(
            output_dir=str(tmp_path), report_to=[], learning_rate=0.01, use_cpu=True, save_steps=1,
            disable_tqdm=True, **options,
        )  # fmt: skip
        rows = [{"input_ids": IDS[0], "labels": IDS[0], "title": "none of its arguments"}] * 8
        return Trainer(
            model=model, args=told, train_dataset=rows, eval_dataset=rows,
            processing_class=model.tokenizer,
        )  # fmt: skip

    start, before = copy.deepcopy(model), {n: p.clone() for n, p in model.named_parameters()}
    trainer(model, max_steps=1).train()
    moved = {name for name, one in model.named_parameters() if not torch.equal(one, before[name])}
    assert moved
    assert not any(name.startswith("language_model.") for name in moved)
    for again in (transplant.load(tmp_path / "checkpoint-1"), copy.deepcopy(start)):
        if again.name == start.name:
            trainer(again, max_steps=1).train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
        assert torch.equal(logits_of(again), logits_of(model.eval()))
    loss = trainer(model, max_steps=1).evaluate()["eval_loss"]
    assert loss == pytest.approx(float(model(IDS, labels=IDS).loss), rel=1e-4)
    assert loss < float(start(IDS, labels=IDS).loss)  # control: the step did something


@pytest.mark.filterwarnings("ignore")
def test_a_pipeline_takes_it_without_a_word(loaded, capsys, caplog):
    for model in (loaded(), RoutedModel(loaded(), loaded("raw"), 100.0)):
        said = pipeline(
            "text-generation", model=known_to_pipelines(model), tokenizer=model.tokenizer
        )("The ba", max_new_tokens=6, do_sample=False)[0]["generated_text"]
        ids = model.tokenizer("The ba", return_tensors="pt").input_ids
        written = model.generate(ids, max_new_tokens=6, do_sample=False)[0]
        assert said == model.tokenizer.decode(written, skip_special_tokens=True)
    assert "not supported" not in caplog.text + capsys.readouterr().err


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")
def test_lm_eval_takes_it_as_it_is(loaded):
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    asked = ("The ba", " cor dens")
    scores = []
    for kind in ("module", "raw"):
        model = loaded(kind)
        theirs = HFLM(pretrained=model, tokenizer=model.tokenizer)
        scores.append(theirs.loglikelihood([Instance("loglikelihood", {}, asked, 0)])[0][0])
        ids, prompt = (
            torch.tensor(model.tokenizer(text, add_special_tokens=False).input_ids)
            for text in ("".join(asked), asked[0])
        )
        rows = model(input_ids=ids[None]).logits[0].log_softmax(-1)
        by_hand = sum(float(rows[n, ids[n + 1]]) for n in range(len(prompt) - 1, len(ids) - 1))
        assert scores[-1] == pytest.approx(by_hand, abs=1e-4)
    assert scores[0] != pytest.approx(scores[1], abs=1e-2)  # control


@pytest.mark.filterwarnings("ignore")
def test_nnsight_reads_and_changes_what_is_inside(model):
    nnsight = pytest.importorskip("nnsight", reason="nnsight is not installed")
    seen = nnsight.LanguageModel(model, tokenizer=model.tokenizer)
    with torch.no_grad(), seen.trace(IDS):
        kept = seen.output.logits.save()
    assert torch.equal(kept, logits_of(model))
    with torch.no_grad(), seen.trace(IDS):
        seen.language_model.transformer.h[0].mlp.output[:] = 0
        changed = seen.output.logits.save()
    block = model.language_model.transformer.h[0].mlp
    hook = block.register_forward_hook(lambda *call: torch.zeros_like(call[2]))
    torch.testing.assert_close(changed, logits_of(model))
    hook.remove()
    assert not torch.equal(changed, kept)  # control


@pytest.mark.filterwarnings("ignore")
def test_peft_adapts_it_and_gives_it_back(model):
    peft = pytest.importorskip("peft", reason="peft is not installed")
    before = logits_of(model)
    adapted = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.5))
    for name, one in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(one)
    assert not torch.equal(logits_of(adapted.eval()), before)
    with adapted.disable_adapter():
        assert torch.equal(logits_of(adapted), before)
    adapted.train()
    assert model.language_model.training  # something in it trains
    adapted(input_ids=IDS, labels=IDS).loss.backward()
    trained = {name for name, one in adapted.named_parameters() if one.grad is not None}
    assert trained
    assert all("lora_" in name for name in trained)
    assert adapted.eval().generate(input_ids=IDS, max_new_tokens=3).shape[1] == IDS.shape[1] + 3


@pytest.mark.filterwarnings("ignore")
def test_accelerate_prepares_it(model):
    accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")
    before = logits_of(model)
    assert torch.equal(logits_of(accelerate.Accelerator(cpu=True).prepare(model)), before)
