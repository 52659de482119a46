"""Raw, native and moved on one backbone: written texts, perplexities and tasks side by side."""

from __future__ import annotations

import json
import runpy
from functools import partial

import pytest
import torch

import transplant
from tests.workflows.export.hosted_things import Shelf
from transplant.errors import CorpusError, InputError, NotFoundError
from transplant.evaluation.perplexity_config import PerplexityConfig
from transplant.evidence.beside import load_beside
from transplant.evidence.generate import GenerateConfig
from transplant.evidence.harness.config import EvalConfig
from transplant.evidence.harness.tasks import find_tasks, refuse_unknown

TEXTS = [
    "The ba cor dens a fi under the gral 12. The hu jo kels a mi before the nor 7.",
    "The ti ru pas of a den and the fi cors. The kel mi nors a jo with the hu 99.",
    "The gral fi bas a cor or the mi. The den ru pas a ti because of the kel 4.",
]
TASK = {
    "task": "own_pairs", "dataset_path": "json", "output_type": "multiple_choice",
    "test_split": "train", "doc_to_text": "{{stem}}", "doc_to_choice": "{{ends}}",
    "doc_to_target": "{{right}}", "metric_list": [{"metric": "acc"}],
}  # fmt: skip
WINDOW = PerplexityConfig(window=100, eval_tokens=10_000, whole=True)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, tiny_tokenizer):
    """`tales` as if trained on a Llama, and `tales-from-x` as if moved to it."""
    made = Shelf(tmp_path_factory.mktemp("shelf"), tiny_tokenizer)
    llama = made.backbone("llama")
    made.native, made.raw = made.module(llama, "tales", taps=(0, -1)), llama.name
    made.law = made.linear(llama, "law")
    interface, module = (
        made.work.library.fetch(kind, "tales", llama.name, 16).tensors
        for kind in ("interface", "module")
    )
    made.work.library.store_hosted(
        "tales-from-x", module, {name: 1.5 * one for name, one in interface.items()},
        backbone=llama, domain="tales", d_abi=16, taps=(0, llama.n_layers), made={}, results={},
        parents={"donor_backbone": "f" * 64},
    )  # fmt: skip
    made.moved = f"tales-from-x@{llama.name}"
    return made


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": one}) + "\n" for one in TEXTS))
    return str(file)


@pytest.fixture
def task(tmp_path):
    """A task of a user's: one file of questions and the YAML beside it."""
    data = tmp_path / "questions.jsonl"
    rows = [{"stem": one[:30], "ends": [one[30:60], " 5 of kel"], "right": 0} for one in TEXTS]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = tmp_path / "own.yaml"
    file.write_text(json.dumps({**TASK, "dataset_kwargs": {"data_files": str(data)}}))
    return file


def test_a_moved_module_stands_beside_the_native_of_its_domain(shelf):
    names = {role: one.name for role, one in load_beside(shelf.work, shelf.moved).items()}
    assert names == {"raw": shelf.raw, "native": shelf.native, "moved": shelf.moved}
    assert [*load_beside(shelf.work, shelf.moved, "none")] == ["raw", "moved"]
    assert [*load_beside(shelf.work, shelf.native)] == ["raw", "native"]
    assert [*load_beside(shelf.work, shelf.raw)] == ["raw"]
    assert [*load_beside(shelf.work, shelf.law)] == ["raw", "native", "moved"]
    named = load_beside(shelf.work, shelf.moved, "tales")
    assert len({id(one.backbone) for one in named.values()}) == 1  # one backbone is held
    with pytest.raises(InputError, match="native"):
        load_beside(shelf.work, shelf.moved, "tales@elsewhere")
    with pytest.raises(NotFoundError):
        load_beside(shelf.work, shelf.moved, "taels")


def test_texts_are_those_of_generate_and_listeners_are_given_all_of_them(shelf):
    class Listener:
        def __init__(self):
            self.texts = {}

        def begin(self, role, *_):
            self.role = role
            self.texts[role] = ""

        def add(self, piece):
            self.texts[self.role] += piece

        def end(self):
            pass

    along = Listener()
    report = shelf.work.generate(
        shelf.moved, ["The ba"], config=GenerateConfig(max_new_tokens=9), listener=along
    )
    (found,) = report["texts"]
    for name in (shelf.raw, shelf.native, shelf.moved):
        model = transplant.load(name, library=shelf.work.library)
        ids = model.tokenizer("The ba", return_tensors="pt").input_ids
        written = model.generate(ids, max_new_tokens=9, do_sample=False)[0, ids.shape[1] :]
        (role,) = (role for role, one in report["systems"].items() if one == name)
        assert found[role]["text"] == model.tokenizer.decode(written, skip_special_tokens=True)
        assert found[role]["tokens"] == len(written)
        assert along.texts[role] == found[role]["text"]
    assert len({one["text"] for one in found.values() if isinstance(one, dict)}) > 1  # control


def test_draws_are_seeded_and_leave_the_global_generator_alone(shelf):
    config = GenerateConfig(max_new_tokens=9, temperature=1.5)
    before = torch.random.get_rng_state()
    first, again = (
        shelf.work.generate(shelf.raw, ["The ba"], config=config)["texts"] for _ in range(2)
    )
    assert first[0]["raw"]["text"] == again[0]["raw"]["text"]
    assert torch.equal(torch.random.get_rng_state(), before)
    greedy = shelf.work.generate(shelf.raw, ["The ba"], config=GenerateConfig(max_new_tokens=9))
    assert greedy["texts"][0]["raw"]["text"] != first[0]["raw"]["text"]  # control


def test_a_prompt_that_cannot_be_is_refused(shelf):
    for prompts in ([], [""], ["The ba", ""]):
        with pytest.raises(InputError, match="prompt"):
            shelf.work.generate(shelf.raw, prompts)
    with pytest.raises(InputError, match="positions"):
        shelf.work.generate(shelf.raw, ["The ba cor " * 100])
    with pytest.raises(InputError, match="template"):
        shelf.work.generate(shelf.raw, ["The ba"], config=GenerateConfig(chat=True))
    with pytest.raises(InputError, match="temperature"):
        GenerateConfig(temperature=-1)


def test_perplexities_of_many_are_those_of_each_alone(shelf, text):
    names = [shelf.raw, shelf.native, shelf.moved, shelf.law]
    together = shelf.work.perplexity(names, text, config=WINDOW)
    assert [row["model"] for row in together["models"]] == names
    for row in together["models"]:
        alone = shelf.work.perplexity([row["model"]], text, config=WINDOW)["models"][0]
        assert alone["nats_per_token"]["mean"] == pytest.approx(row["nats_per_token"]["mean"])
    assert len({round(row["ppl"]["mean"], 3) for row in together["models"]}) == 4
    first, second = together["models"][:2]
    more = second["bits_per_byte"]["mean"] - first["bits_per_byte"]["mean"]
    assert second["more_bits_per_byte"]["mean"] == pytest.approx(more)
    with pytest.raises(InputError, match="once"):
        shelf.work.perplexity([shelf.raw, shelf.raw], text)


@pytest.mark.filterwarnings("ignore")
def test_lm_eval_gives_the_log_likelihoods_of_perplexity(shelf, text):
    """The issue's bound: 1e-4 a document."""
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from lm_eval.api.instance import Instance

    from transplant.evidence.harness.model import AbiLM

    report = shelf.work.perplexity([shelf.moved, shelf.raw], text, config=WINDOW)
    for row in report["models"]:
        model = transplant.load(row["model"], library=shelf.work.library)
        encoded = [model.tokenizer(one, return_offsets_mapping=True) for one in TEXTS]
        ends = [one["offset_mapping"][0][1] for one in encoded]  # the first token is given
        asked = [(one[:end], one[end:]) for one, end in zip(TEXTS, ends, strict=True)]
        requests = [Instance("loglikelihood", {}, pair, 0) for pair in asked]
        found = [-score for score, _ in AbiLM(model).loglikelihood(requests, disable_tqdm=True)]
        assert found == pytest.approx([one["nats"] for one in row["per_document"]], abs=1e-4)
    by_moved, by_raw = ([one["nats"] for one in row["per_document"]] for row in report["models"])
    assert by_moved != pytest.approx(by_raw, abs=1e-2)  # control


@pytest.mark.filterwarnings("ignore")
def test_a_task_of_a_user_is_asked_of_all_three(shelf, task):
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    report = shelf.work.eval(shelf.moved, [], task_path=task, config=EvalConfig(batch=2))
    assert {*report["tasks"]} == {"own_pairs"}
    found = report["tasks"]["own_pairs"]
    assert found["questions"] == 3
    scores = found["metrics"]["acc,none"]
    assert scores["higher_is_better"] is True
    for name, role in ((shelf.raw, "raw"), (shelf.native, "native"), (shelf.moved, "moved")):
        model = transplant.load(name, library=shelf.work.library)
        right = sum(nats(model, one[:30], one[30:60]) < nats(model, one[:30], " 5 of kel")
                    for one in TEXTS)  # fmt: skip
        assert scores[role]["value"] == pytest.approx(right / 3)
        share = right / 3
        assert scores[role]["stderr"] == pytest.approx((share * (1 - share) / 2) ** 0.5)
    limited = shelf.work.eval(
        shelf.raw, ["own_pairs"], task_path=task.parent, config=EvalConfig(limit=2)
    )
    assert limited["tasks"]["own_pairs"]["questions"] == 2  # a folder, by name


@torch.no_grad()
def nats(model, context, rest):
    ids = torch.tensor([model.tokenizer(context + rest).input_ids])
    start = len(model.tokenizer(context).input_ids)
    rows = model(input_ids=ids).logits[0].log_softmax(-1)
    return -sum(float(rows[n - 1, ids[0, n]]) for n in range(start, ids.shape[1]))


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_asked_is_refused_before_a_model_is_loaded(
    shelf, task, tmp_path, monkeypatch
):
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    monkeypatch.setattr(type(shelf.work), "load", lambda *_: pytest.fail("a model was loaded"))
    other = tmp_path / "gone.yaml"
    other.write_text(json.dumps({**TASK, "dataset_kwargs": {"data_files": str(tmp_path / "no")}}))
    broken = tmp_path / "broken.yaml"
    broken.write_text("{")
    for file in (other, broken):
        with pytest.raises(CorpusError, match="own_pairs|broken"):
            shelf.work.eval(shelf.moved, [], task_path=file)
    manager, _ = find_tasks([], task)
    with pytest.raises(NotFoundError, match="own_pears"):
        refuse_unknown(["own_pears"], manager)
    with pytest.raises(NotFoundError, match="is not there"):
        shelf.work.eval(shelf.moved, [], task_path=tmp_path / "nowhere")
    with pytest.raises(InputError, match="tasks"):
        shelf.work.eval(shelf.moved, [])
    with pytest.raises(InputError, match="limit"):
        EvalConfig(limit=0)


@pytest.mark.filterwarnings("ignore")
def test_lm_eval_knows_the_name_once_this_library_is_imported(shelf, task, monkeypatch):
    lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("ABI_REGISTRY", str(shelf.work.library.root))
    found = lm_eval.simple_evaluate(
        model="abi", model_args=f"name={shelf.moved},dtype=float32", tasks=["own_pairs"],
        device="cpu", bootstrap_iters=2,
        task_manager=TaskManager(include_path=str(task.parent), include_defaults=False),
    )  # fmt: skip
    ours = shelf.work.eval(shelf.moved, [], task_path=task)["tasks"]["own_pairs"]["metrics"]
    assert found["results"]["own_pairs"]["acc,none"] == ours["acc,none"]["moved"]["value"]


@pytest.mark.filterwarnings("ignore")
def test_the_command_of_lm_eval_takes_a_hosted_model_as_it_takes_others(
    shelf, task, tmp_path, monkeypatch, capsys
):
    """Its command asks for a GPU by itself; here there may be none."""
    tasks = pytest.importorskip("lm_eval.tasks", reason="lm-eval is not installed")
    monkeypatch.setenv("ABI_REGISTRY", str(shelf.work.library.root))
    own_alone = partial(tasks.TaskManager, include_defaults=False)  # thousands take 20 s to read
    monkeypatch.setattr(tasks, "TaskManager", own_alone)

    def command(*args):
        words = (
            "run",
            "--model",
            "abi",
            "--tasks",
            "own_pairs",
            "--include_path",
            str(task.parent),
        )
        monkeypatch.setattr("sys.argv", ["lm-eval", *words, "--output_path", str(tmp_path), *args])
        runpy.run_module("transplant.evidence.harness", run_name="__main__")

    for spelling in ("pretrained", "name"):
        command("--model_args", f"{spelling}={shelf.moved}")
        (written,) = tmp_path.rglob("results_*.json")
        found = json.loads(written.read_text())["results"]["own_pairs"]
        written.unlink()
        ours = shelf.work.eval(shelf.moved, [], task_path=task)["tasks"]["own_pairs"]["metrics"]
        assert found["acc,none"] == ours["acc,none"]["moved"]["value"]
    capsys.readouterr()
    for args in (["dtype=float32"], [f"name={shelf.raw},pretrained={shelf.moved}"]):
        with pytest.raises(SystemExit, match="expected pretrained=NAME"):
            command("--model_args", *args)
