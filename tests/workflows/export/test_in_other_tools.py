"""An exported folder in tools that know nothing of this library but its import."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, pipeline
from transformers.utils import logging

from tests.workflows.export.hosted_things import IDS, Shelf


@pytest.fixture(scope="module")
def exported(tmp_path_factory, tiny_tokenizer):
    """A folder, and the model that it was made of."""
    logging.disable_progress_bar()
    shelf = Shelf(tmp_path_factory.mktemp("shelf"), tiny_tokenizer)
    name = shelf.module(shelf.backbone("llama"), "tales", taps=(0, -1))
    shelf.work.export(name, shelf.root / "out")
    return shelf.root / "out", shelf.work.load(name)


@torch.no_grad()
@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("llama", {"taps": (0, 1, 2), "rank": 8}), ("gpt2", {"taps": (0, 1, 2), "bases": True}),
        ("gpt2", {"constant": False}),
    ],
)  # fmt: skip
def test_a_linear_map_of_any_layers_is_a_model_that_is_saved_and_loaded(
    tmp_path, tiny_tokenizer, family, options
):
    logging.disable_progress_bar()
    shelf = Shelf(tmp_path, tiny_tokenizer)
    name = shelf.linear(shelf.backbone(family), "law", **options)
    shelf.work.export(name, tmp_path / "out")
    expected = shelf.work.load(name)(IDS).logits
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(found(IDS).logits, expected, rtol=0, atol=1e-5)
    assert (found.backbone(IDS).logits - expected).abs().max() > 1e-2  # control
    found.linear.proj_out.bias.add_(0.1)
    found.save_pretrained(tmp_path / "again")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "again")
    assert torch.equal(again(IDS).logits, found(IDS).logits)


@pytest.mark.filterwarnings("ignore")
def test_a_pipeline_writes_from_the_folder_as_the_hosted_model_does(exported):
    folder, hosted = exported
    said = pipeline("text-generation", model=str(folder))(
        "The ba", max_new_tokens=6, do_sample=False
    )
    ids = hosted.tokenizer("The ba", return_tensors="pt").input_ids
    written = hosted.generate(ids, max_new_tokens=6, do_sample=False)[0]
    assert said[0]["generated_text"] == hosted.tokenizer.decode(written, skip_special_tokens=True)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")
def test_lm_eval_scores_the_folder_as_the_hosted_model_does(exported):
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    folder, hosted = exported
    model = HFLM(pretrained=str(folder), batch_size=1, device="cpu", dtype="float32")
    asked = ("The ba", " cor dens")
    found = model.loglikelihood([Instance("loglikelihood", {}, asked, 0)])[0][0]
    ids, prompt = (
        torch.tensor(hosted.tokenizer(text, add_special_tokens=False).input_ids)
        for text in ("".join(asked), asked[0])
    )
    scores = hosted(input_ids=ids[None]).logits[0].log_softmax(-1)
    rows = range(len(prompt) - 1, len(ids) - 1)
    assert found == pytest.approx(sum(float(scores[n, ids[n + 1]]) for n in rows), abs=1e-3)
    raw = hosted.backbone.model(input_ids=ids[None]).logits[0].log_softmax(-1)
    assert found != pytest.approx(sum(float(raw[n, ids[n + 1]]) for n in rows), abs=1e-2)  # control
