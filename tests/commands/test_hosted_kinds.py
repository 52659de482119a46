"""cfeval, validate and uq on an adapter, a linear map and a fusion, as each works when loaded."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

import transplant
from registry.store import Registry
from tests.commands.conftest import Abi
from tests.surgery.lora.folders import write_folder
from tests.tiny_registry import put_corpus
from transplant.evidence.validate import plan as plans
from transplant.modules.linear import LinearCorrection, reading_of

RAW, KINDS = "tiny-gpt2", ("law", "bent", "fused")
SMALL = plans.Suite(eval_tokens=600, pairs=6, nib_seeds=(7777,))


@pytest.fixture(scope="module")
def hosted(trained_abi, tmp_path_factory) -> Abi:
    """A registry that hosts an adapter, a linear map and a fusion on tiny-gpt2."""
    folder = tmp_path_factory.mktemp("kinds")
    shutil.copytree(trained_abi.root, folder / "registry")
    abi = Abi(folder / "registry", trained_abi.corpus)
    lora = str(write_folder(folder / "law"))
    numbers = tuple(" ".join(str((7 * n + k) ** 2 % 997) for k in range(150)) for n in range(40))
    other = put_corpus(folder / "numbers", numbers)
    _put_linear(abi)
    for words in (
        ("adapters", "--import", lora, "--to", RAW, "--name", "law"),
        ("train", "--backbone", RAW, "--domain", "numbers", "--data", other, "--steps", "10",
         "--window", "32", "--batch", "2", "--tokens", "4000", "--d-abi", "16"),
        ("fuse", f"tales@{RAW}", f"numbers@{RAW}", "--steps", "4", "--window", "32", "--tokens",
         "2000", "--eval-tokens", "400", "--no-controls"),
    ):  # fmt: skip
        ran = abi(*words, "--json")
        assert ran.code == 0, ran.err
    return abi


def _put_linear(abi: Abi) -> None:
    """Stores a map of random numbers."""
    library, draw = Registry.open(abi.root), torch.Generator().manual_seed(1)
    backbone = transplant.Workspace(library=library).backbone(RAW)
    taps = (backbone.n_layers,)
    made = LinearCorrection(reading_of(backbone.d_model, taps), None)
    with torch.no_grad():
        made.proj_out.weight.normal_(0, 0.2, generator=draw)
        made.proj_out.bias.normal_(0, 0.2, generator=draw)
    library.store(
        "linear", "bent", made.stored(), backbone=backbone, domain="tales", taps=taps,
        made={"corpus": abi.corpus}, results={}, parents={},
    )  # fmt: skip


@pytest.fixture(scope="module")
def costs(hosted) -> dict[str, float]:
    """Nats per token of each on the same windows, by `abi perplexity`."""
    names = [RAW, *(f"{kind}@{RAW}" for kind in KINDS)]
    ran = hosted(
        "perplexity", *names, "--data", hosted.corpus, "--eval-tokens", "600", "--window", "64",
        "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = {row["model"]: row["nats_per_token"]["mean"] for row in ran.json["models"]}
    assert len({round(cost, 3) for cost in found.values()}) == 4  # control: four models
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_uncertainty_is_of_the_hosted_thing_at_work(hosted, costs, tmp_path, kind):
    name = f"{kind}@{RAW}"
    ran = hosted(
        "uq", "--model", name, "--baseline", RAW, "--data", hosted.corpus, "--eval-tokens", "600",
        "--window", "64", "--members", "2", "--out", str(tmp_path), "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.json["nats"]["mean"] == pytest.approx(costs[name], abs=1e-3)
    assert ran.json["baseline_nats"] == pytest.approx(costs[RAW], abs=1e-3)
    assert ran.json["mutual_information"]["mean"] > 0  # its members differ


@torch.no_grad()
def loop(abi: Abi, name: str, rows: list[dict[str, str]]) -> float:
    """The share of pairs that are right, each by itself, through `model(input_ids=...)`."""
    model = transplant.load(name, library=Registry.open(abi.root))
    end = model.tokenizer.eos_token_id

    def cost(text: str) -> float:
        ids = torch.tensor([[end, *model.tokenizer(text, add_special_tokens=False).input_ids]])
        logits = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        return -logits.gather(1, ids[0, 1:, None]).double().sum().item()

    return sum(cost(row["good"]) < cost(row["bad"]) for row in rows) / len(rows)


def test_pairs_are_judged_by_the_hosted_thing_at_work(hosted, tiny_texts, tmp_path):
    sentences = [s.strip() for text in tiny_texts[:8] for s in text.split(".") if len(s) > 40]
    rows = []
    for good in sentences[:80]:
        words = good.split()
        words[1], words[2] = words[2], words[1]
        rows.append({"good": good, "bad": " ".join(words)})
    rows = [row for row in rows if row["good"] != row["bad"]]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    raw = loop(hosted, RAW, rows)
    won = 0
    for kind in KINDS:
        name = f"{kind}@{RAW}"
        ran = hosted("cfeval", "--model", name, "--baseline", RAW, "--pairs", str(file), "--json")
        assert ran.code == 0, ran.err
        assert ran.json["accuracy"] == pytest.approx(loop(hosted, name, rows))
        assert ran.json["baseline_accuracy"] == pytest.approx(raw)
        differ = ran.json["mcnemar"]
        won += differ["only_model"] + differ["only_baseline"]
    assert won > 0  # control: they do not all answer as the raw backbone does


@pytest.mark.parametrize("kind", KINDS)
def test_a_validation_measures_the_hosted_thing_at_work(hosted, monkeypatch, kind):
    monkeypatch.setitem(plans.SUITES, "quick", SMALL)
    name = f"{kind}@{RAW}"
    words = (
        "validate", "--baseline", RAW, "--data", f"own={hosted.corpus}",
        "--general", f"general={hosted.corpus}",
    )  # fmt: skip
    ran = hosted(*words, "--model", name, "--json")
    assert ran.code == 0, ran.err
    found = {key: number["value"] for key, number in ran.json["metrics"].items()}
    alone = hosted("perplexity", name, RAW, "--data", hosted.corpus, "--eval-tokens", "600",
                   "--window", "512", "--json").json["models"]  # fmt: skip
    own, raw = (row["ppl"]["mean"] for row in alone)
    assert found["perplexity.own"] == pytest.approx(own, rel=1e-3)
    assert ran.json["texts"]["own"]["baseline_perplexity"] == pytest.approx(raw, rel=1e-3)
    itself = hosted(*words, "--model", RAW, "--json").json["metrics"]  # control
    assert abs(itself["drift.js.own"]["value"]) < found["drift.js.own"] / 10
    assert abs(itself["gain.own"]["value"]) < abs(found["gain.own"]) / 10
