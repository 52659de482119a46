"""What `transplant.load` gives is a model of `transformers`, for all that takes one."""

from __future__ import annotations

import copy

import huggingface_hub
import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, PreTrainedModel, Trainer, TrainingArguments, pipeline
from transformers.utils import hub, logging

import transplant
from tests.workflows.export.hosted_things import IDS, Shelf
from transplant.errors import BackboneError, InputError, ShapeError
from transplant.loading.pipelines import known_to_pipelines
from transplant.modules.hosted import HostedModel
from transplant.modules.hosted_linear import LinearModel
from transplant.modules.routed import RoutedModel

KINDS = ("raw", "module", "linear", "adapter", "core")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, tiny_tokenizer):
    logging.disable_progress_bar()
    return Shelf(tmp_path_factory.mktemp("shelf"), tiny_tokenizer)


@pytest.fixture(scope="module")
def loaded(shelf):
    """Loads something of a kind; each call a new one."""
    gpt2 = shelf.backbone("gpt2", tie_word_embeddings=True)
    names = {
        "raw": gpt2.name, "module": shelf.module(gpt2, "tales", taps=(0, -1)),
        "linear": shelf.linear(gpt2, "law", taps=(0, 1, 2)), "adapter": shelf.adapter(gpt2, "lora"),
        "core": f"tales@{shelf.backbone('layercake').name}",
        "t5": shelf.module(shelf.backbone("t5"), "tales"),
    }  # fmt: skip

    def load(kind="module", **options):
        return transplant.load(names[kind], library=shelf.work.library, **options)

    return load


@pytest.fixture
def model(loaded):
    return loaded()


@torch.no_grad()
def logits_of(model):
    return model(IDS).logits


@pytest.mark.parametrize("kind", KINDS)
def test_it_has_what_such_a_model_has(loaded, kind):
    model = loaded(kind)
    inner = model.backbone.model
    assert isinstance(model, PreTrainedModel)
    assert model.config is inner.config
    assert (model.device.type, model.dtype, model.training) == ("cpu", torch.float32, False)
    assert model.generation_config is inner.generation_config
    assert model.can_generate()
    assert model.get_input_embeddings() is inner.get_input_embeddings()
    assert model.get_output_embeddings() is inner.get_output_embeddings()
    model.tie_weights()
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tied == inner.config.tie_word_embeddings
    output = model(input_ids=IDS, labels=IDS)
    by_hand = functional.cross_entropy(output.logits[0, :-1], IDS[0, 1:])
    torch.testing.assert_close(output.loss, by_hand)
    assert output.hidden_states is None
    assert len(model(IDS, output_hidden_states=True).hidden_states) > 1  # control
    if kind != "raw":
        assert (output.logits - inner(IDS).logits).abs().max() > 1e-2  # control: it is at work


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_computes_the_same_and_is_apart(loaded, kind):
    model = loaded(kind)
    before, twin = logits_of(model), copy.deepcopy(model)
    assert torch.equal(logits_of(twin), before)
    with torch.no_grad():
        twin.get_output_embeddings().weight.add_(0.5)
    assert torch.equal(logits_of(model), before)
    assert not torch.equal(logits_of(twin), before)
    assert not model.backbone.reader()._forward_hooks
    assert not model.backbone.reader()._forward_pre_hooks


@pytest.mark.parametrize("kind", ["raw", "module", "linear", "core"])
def test_what_is_saved_is_loaded_in_every_way(loaded, kind, tmp_path):
    model = loaded(kind)
    model.save_pretrained(tmp_path / "kept")
    found = {path.suffix for path in (tmp_path / "kept").rglob("*.*")}
    assert found <= {".json", ".safetensors", ".jinja"}  # nothing is pickled
    again = transplant.load(str(tmp_path / "kept"))
    assert torch.equal(logits_of(again), logits_of(model)) or kind == "core"
    auto = AutoModelForCausalLM.from_pretrained(tmp_path / "kept")
    torch.testing.assert_close(logits_of(auto), logits_of(model), rtol=0, atol=1e-5)
    if kind in ("module", "linear"):
        assert type(again) is type(model)
        assert torch.equal(
            logits_of(type(model).from_pretrained(tmp_path / "kept")), logits_of(again)
        )
        own = (
            next(again.correction.parameters()) if kind == "module" else again.linear.proj_out.bias
        )
        with torch.no_grad():  # what is saved once more is what is in memory
            own.add_(0.5)
        again.save_pretrained(tmp_path / "more")
        assert torch.equal(logits_of(transplant.load(tmp_path / "more")), logits_of(again))
        assert not torch.equal(logits_of(again), logits_of(model))


@pytest.mark.filterwarnings("ignore")
def test_a_lora_is_saved_as_peft_has_it(loaded, tmp_path):
    from peft import PeftModel

    model = loaded("adapter")
    model.save_pretrained(tmp_path / "lora")
    raw = AutoModelForCausalLM.from_pretrained(model.config.name_or_path)
    theirs = PeftModel.from_pretrained(raw, tmp_path / "lora")
    torch.testing.assert_close(logits_of(theirs), logits_of(model), rtol=0, atol=1e-5)
    assert torch.equal(logits_of(type(model).from_pretrained(tmp_path / "lora")), logits_of(model))


def test_a_backbone_that_was_trained_is_saved_with_it(model, tmp_path):
    model.language_model.requires_grad_(True)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1.5)
    model.save_pretrained(tmp_path / "kept")
    assert all(parameter.requires_grad for parameter in model.language_model.parameters())
    assert torch.equal(logits_of(transplant.load(tmp_path / "kept")), logits_of(model))
    assert (tmp_path / "kept" / "backbone" / "model.safetensors").is_file()


def test_other_weights_than_the_saved_ones_are_refused(loaded, tmp_path):
    base = saved(loaded("raw"), tmp_path / "base")
    model = transplant.load(str(base))
    hosted = HostedModel("m", model.backbone, loaded().correction)
    hosted.save_pretrained(tmp_path / "kept")
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1.5)
    saved(model, base)
    with pytest.raises(BackboneError, match="not those that"):
        transplant.load(tmp_path / "kept")


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


@pytest.mark.parametrize("kind", KINDS)
def test_a_cast_is_that_of_loading_and_goes_back(loaded, kind):
    model, halved = loaded(kind), loaded(kind, dtype="bfloat16")
    before = logits_of(model)
    model.to(torch.bfloat16)
    assert model.dtype == model.backbone.dtype == torch.bfloat16
    assert torch.equal(logits_of(model), logits_of(halved))
    assert not torch.equal(logits_of(model).float(), before)  # control
    if kind == "module":
        assert {one.dtype for one in model.correction.parameters()} == {torch.float32}
        assert {one.dtype for one in model.double().parameters()} == {torch.float64}


def test_a_frozen_backbone_stays_in_evaluation_mode(model):
    dropouts = [one for one in model.modules() if isinstance(one, torch.nn.Dropout)]
    for one in dropouts:
        one.p = 0.5
    before = logits_of(model)
    model.train()
    assert (model.training, model.correction.training) == (True, True)
    assert dropouts
    assert not any(one.training for one in dropouts)
    assert torch.equal(logits_of(model), before)
    model(IDS, labels=IDS).loss.backward()
    assert all(one.grad is None for one in model.language_model.parameters())
    assert any(one.grad is not None for one in model.correction.parameters())
    model.language_model.requires_grad_(True)
    model.train()
    assert any(one.training for one in dropouts)  # control


@pytest.mark.filterwarnings("ignore")
def test_checkpointing_is_switched_and_gives_the_same_gradients(model):
    model.language_model.requires_grad_(True)
    model.train()
    for one in model.modules():
        if isinstance(one, torch.nn.Dropout):
            one.p = 0.0
    model(IDS, labels=IDS).loss.backward()
    weight = model.get_input_embeddings().weight
    before, weight.grad = weight.grad, None
    model.gradient_checkpointing_enable()
    assert model.is_gradient_checkpointing
    model(IDS, labels=IDS, use_cache=False).loss.backward()
    torch.testing.assert_close(weight.grad, before)
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing


def test_an_encoder_decoder_has_a_loss_and_generates(loaded, tmp_path):
    model = loaded("t5")
    loss = model(IDS, labels=IDS[:, :5]).loss
    assert loss.requires_grad
    assert not torch.equal(loss, model.backbone.model(IDS, labels=IDS[:, :5]).loss)  # control
    model.save_pretrained(tmp_path / "kept")
    assert torch.equal(logits_of(transplant.load(tmp_path / "kept")), logits_of(model))


def test_a_route_is_one_too_and_is_no_folder(loaded, tmp_path):
    route = RoutedModel(loaded(), loaded("raw"), 0.0)  # nothing is sure
    assert isinstance(route, PreTrainedModel)
    assert (route.config.model_type, route.device.type) == ("gpt2", "cpu")
    assert torch.equal(logits_of(route), logits_of(route.baseline))
    loss = route(IDS, labels=IDS).loss
    torch.testing.assert_close(loss, route.baseline(IDS, labels=IDS).loss)
    assert torch.equal(logits_of(copy.deepcopy(route)), logits_of(route))
    assert route.to(torch.bfloat16).baseline.dtype == torch.bfloat16
    with pytest.raises(InputError, match="no folder"):
        route.save_pretrained(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("kind", ["module", "linear"])
def test_what_is_sent_to_the_hub_names_no_folder_of_this_machine(
    loaded, kind, shelf, monkeypatch, tmp_path
):
    sent = {}

    class StandIn:
        def create_repo(self, name, **_):
            return huggingface_hub.RepoUrl(f"https://huggingface.co/{name}")

        def create_commit(self, *, operations, **_):
            for one in operations:
                path = tmp_path / one.path_in_repo
                path.parent.mkdir(parents=True, exist_ok=True)
                with one.as_file() as file:
                    path.write_bytes(file.read())
                sent[one.path_in_repo] = path.read_bytes()

    class Card:
        def save(self, path):
            open(path, "w").close()

    monkeypatch.setattr(hub, "hf_api", StandIn)
    monkeypatch.setattr(hub, "create_and_tag_model_card", lambda *_, **__: Card())
    model = loaded(kind)
    model.push_to_hub("me/tales")
    assert {"config.json", "model.safetensors", "backbone/model.safetensors"} <= {*sent}
    assert not any(str(shelf.root).encode() in one for one in sent.values())
    assert torch.equal(logits_of(transplant.load(tmp_path)), logits_of(model))
    model.save_pretrained(tmp_path / "kept")  # control: here it refers to where the backbone is
    assert str(shelf.root) in (tmp_path / "kept" / "config.json").read_text()


def test_what_no_folder_can_hold_is_refused_before_anything_is_sent(loaded, shelf, tmp_path):
    gpt2 = loaded("raw").backbone
    whole = shelf.adapter(gpt2, "whole", whole=["transformer.ln_f.weight"])
    model = transplant.load(whole, library=shelf.work.library)
    with pytest.raises(InputError, match="trained whole"):
        model.push_to_hub("me/tales")
    with pytest.raises(InputError, match="trained whole"):
        model.save_pretrained(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    with pytest.raises(ShapeError, match="no linear map"):
        LinearModel.from_pretrained(saved(loaded(), tmp_path / "module"))


def saved(model, folder):
    model.save_pretrained(folder)
    return folder
