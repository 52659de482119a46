"""--plot and --log-to of each verb that has them: a picture of what it found, its losses."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from commands.verb_table import PLOTTED, TRAINING
from registry import Registry
from tests.commands.conftest import TINY, Abi
from tests.conftest import write_document
from tests.test_trackers import scalars
from tests.tiny_registry import put_corpus
from transplant.pictures.losses import draw_losses
from transplant.pictures.reports import FORMATS, PICTURES, write_picture

pytest.importorskip("matplotlib")
BEGINS = {".png": b"\x89png", ".svg": b"<svg", ".html": b"<!doctype html>"}
DATA = ("--data", "CORPUS")
MOVE = ("--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--excerpts", "20", *DATA)
JUDGED = (*MOVE, "--eval-tokens", "800")
UPDATE = ("--module", "tales@tiny-gpt2", "--steps", "3", "--batch", "2", "--window", "32",
          "--repair-tokens", "1000", "--eval-tokens", "600")  # fmt: skip
SHORT = ("--steps", "6", "--batch", "2", "--window", "64", "--tokens", "3000")
RUNS: dict[str, tuple[str, ...]] = {
    "train": ("--backbone", "tiny-gpt2", "--domain", "other", *DATA, *TINY),
    "train-core": ("--size", "2M", "--tokens", "320", "--vocab", "320", "--window", "32",
                   "--batch", "2", "--eval-tokens", "64", *DATA),
    "transfer": (*JUDGED, "--native", "train"),
    "calibrate": (*MOVE, "--name", "calibrated", "--objective", "lm", "--tokens",
                  "1000", "--steps", "3"),
    "nib": ("--anchor", "tiny-gpt2", "--candidate", "tales@tiny-gpt2", "--chunk-length", "40",
            "--skip", "4", *DATA),
    "ablate": ("ceiling", *JUDGED),
    "invariance": ("--update-data", "OTHER", *UPDATE),
    "succession": ("--update-data", "OTHER", "--general", "OTHER", "--rounds", "2", *UPDATE),
    "advise": ("--from", "tiny-gpt2", "--to", "tiny-llama", "--excerpts", "10", "--impact-tokens",
               "400", *DATA),
    "tokenize-align": ("--from", "tiny-gpt2", "--to", "tiny-t5", "--name", "spelled", *DATA),
    "basis adapt": ("b@tiny-llama", "--domain", "tales", *DATA, "--forget", "OTHER",
                    "--name", "adapted", "--calibration-tokens", "600", "--eval-tokens", "600",
                    *SHORT),
    "show": ("tales@tiny-gpt2",),
    "bridge-train": ("--from", "parts:ffn.1", "--to", "tiny-gpt2", "--layer", "1", "--name", "br",
                     "--activations", "ACTIVATIONS", "--excerpts", "10", "--steps", "3", *DATA),
    "fuse": ("tales@tiny-gpt2", "twin@tiny-gpt2", "--eval-tokens", "400", *SHORT),
}  # fmt: skip
"""Of each verb the shortest run that draws or trains; capitals stand for files of `ready`."""


@pytest.fixture(scope="module")
def ready(trained_abi, tmp_path_factory):
    """A registry of its own, with what the verbs ask for."""
    root = tmp_path_factory.mktemp("plots") / "registry"
    shutil.copytree(trained_abi.root, root)
    store = Registry.open(root)
    for entry in store.entries():  # what other tests have stored there
        kept = entry.kind == "backbone" or entry.hosted.startswith("tales@tiny-gpt2")
        if not (entry.shipped or kept):
            store.remove(entry)
    abi = Abi(root, trained_abi.corpus)
    put_corpus(root.parent / "other", tuple(write_document(seed) for seed in range(1000, 1060)))
    assert abi.train("tiny-gpt2", "--name", "twin", "--seed", "1").code == 0
    for words in (
        ("extract", "--backbone", "tiny-gpt2", "--components", "ffn", "--name", "parts"),
        ("basis", "fit", "--backbone", "tiny-llama", "--data", abi.corpus, "--name", "b",
         "--tokens", "1k", "--window", "64", "--max-rank", "4"),
        ("basis", "allocate", "b@tiny-llama", "--budget", "300", "--tokens", "1k", "--score",
         "energy"),
        ("capture", "--backbone", "tiny-gpt2", "--data", abi.corpus, "--window", "64", "--taps",
         "block.1.mlp.in,block.1.mlp", "--out", str(root.parent / "acts.h5")),
    ):  # fmt: skip
        ran = abi(*words, "--json")
        assert ran.code == 0, ran.err
    return abi


def run(abi: Abi, verb: str, *more: str):
    made = abi.root.parent
    stands = {
        "CORPUS": abi.corpus,
        "OTHER": str(made / "other"),
        "ACTIVATIONS": str(made / "acts.h5"),
    }
    words = (stands.get(word, word) for word in RUNS[verb])
    return abi(*verb.split(), *words, *more, "--json")


def test_every_verb_that_draws_or_trains_is_run_here():
    assert {*RUNS, "train-reference"} == PLOTTED | TRAINING  # its own tests train it


@pytest.mark.filterwarnings("ignore")  # tensorboard's own
@pytest.mark.parametrize("verb", RUNS)
def test_a_result_is_drawn_and_its_losses_are_sent(verb, ready, tmp_path):
    picture, runs = tmp_path / "it.png", tmp_path / "runs"
    asked = ("--plot", str(picture)) if verb in PLOTTED else ()
    asked += ("--log-to", f"tensorboard:{runs}") if verb in TRAINING else ()
    ran = run(ready, verb, *asked)
    assert ran.code in (0, 3), (ran.out, ran.err)
    name = verb.replace("-", "_").replace(" ", "_")
    if verb in PLOTTED:
        assert ran.json["plot"] == str(picture)
        assert picture.read_bytes().lower().startswith(BEGINS[".png"])
    if verb in PLOTTED and PICTURES[name] is not draw_losses:
        again = Path(write_picture(tmp_path / "again.png", name, ran.json))
        assert again.read_bytes() == picture.read_bytes()
    if verb in TRAINING:
        (folder,) = runs.iterdir()
        assert folder.name == f"abi {name}"
        sent = scalars(folder)
        assert any(sent.values())
        for title, values in sent.items():
            steps = [step for step, _ in values]
            assert steps == sorted({*steps}), title
            assert all(math.isfinite(loss) for _, loss in values), title


@pytest.mark.parametrize("form", FORMATS)
def test_the_losses_of_an_artifact_are_drawn_in_each_form(form, ready, tmp_path):
    first, other = (tmp_path / f"{name}{form}" for name in ("tales", "twin"))
    for file in (first, other):
        assert ready("show", f"{file.stem}@tiny-gpt2", "--plot", str(file)).code == 0
        assert file.read_bytes().lower().startswith(BEGINS[form])
    assert first.read_bytes() != other.read_bytes()  # another seed, other losses


@pytest.mark.parametrize(
    ("asked", "what", "said"),
    [
        (("--plot", "it.pdf"), "it.pdf", ".png, .svg, .html"),
        (("--log-to", "wandb"), "wandb is not installed", "pip install wandb"),
        (("--log-to", "mlflow:runs"), "mlflow is not installed", "pip install mlflow"),
        (("--log-to", "comet"), "--log-to", "tensorboard:DIR"),
        (("--log-to", "tensorboard"), "--log-to", "tensorboard:DIR"),
    ],
)
def test_what_cannot_be_drawn_or_sent_is_refused_before_the_work(
    asked, what, said, ready, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "transplant.trackers.find_spec", lambda name: None if name in ("wandb", "mlflow") else name
    )
    ran = run(ready, "train", "--name", "refused", *asked)
    assert ran.code == 1
    assert what in ran.json["what"]
    assert said in " ".join(str(ran.json[key]) for key in ("expected", "hint"))
    assert "training" not in ran.err
    assert {row["name"] for row in ready.rows("--kind", "module")}.isdisjoint({"refused"})
    assert [*tmp_path.iterdir()] == []
