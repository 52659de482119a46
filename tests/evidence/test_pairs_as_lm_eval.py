"""Accuracy on minimal pairs, against the BLiMP task of lm-eval: an independent computation."""

from __future__ import annotations

import json
from importlib import resources

import pytest
import yaml
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import simple_evaluate
from lm_eval.models.huggingface import HFLM

from registry.store import Registry
from tests.tiny import tiny_model
from transplant import Workspace
from transplant.counterfactuals.grammars import draw_pairs

PAIRS = 150


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> str:
    """Lines of JSON as BLiMP has them."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    path.write_text(
        "".join(
            json.dumps({"sentence_good": one.pair.good, "sentence_bad": one.pair.bad}) + "\n"
            for one in draw_pairs("agreement", PAIRS, seed=0)
        )
    )
    return str(path)


def of_lm_eval(folder: str, pairs: str, cache: str) -> float:
    """Accuracy of a folder's model on the task as it is installed, but for its data."""
    task = resources.files("lm_eval.tasks") / "blimp" / "_template_yaml"
    config = yaml.safe_load(task.read_text("utf-8"))
    local = {"data_files": {"train": pairs}, "cache_dir": cache}
    config |= {"task": "pairs", "dataset_path": "json", "dataset_kwargs": local}
    model = HFLM(pretrained=folder, device="cpu", dtype="float32", batch_size=8)
    found = simple_evaluate(model, tasks=[ConfigurableTask(config=config)], bootstrap_iters=0)
    assert found is not None
    return found["results"]["pairs"]["acc,none"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_accuracy_is_that_of_lm_eval(family, pairs, tiny_tokenizer, tmp_path):
    tiny_model(family, tiny_tokenizer).save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    work = Workspace(library=Registry.open(tmp_path / "registry"))
    name = str(tmp_path / "model")
    found = work.cfeval(name, pairs, space=True)
    assert (found["pairs"], found["ties"]) == (PAIRS, 0)
    expected = of_lm_eval(name, pairs, str(tmp_path / "cache"))
    assert found["accuracy"] == pytest.approx(expected, abs=1e-3)
    assert 0.2 < expected < 0.8
    alone = work.cfeval(name, pairs)
    assert (alone["space"], found["space"]) == (False, True)
    assert alone["accuracy"] != found["accuracy"]  # control: the space makes other tokens
