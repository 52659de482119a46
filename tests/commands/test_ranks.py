"""Two processes at one job make what one makes, to rounding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.commands.core_runs import MODULE, copy_of, tensors_of


@pytest.fixture
def in_two(warm_path):
    """Runs a verb in two processes and gives the one object that both print."""
    return partial(run_in_two, warm_path / "abi")


def run_in_two(program: Path, abi, *words: str, passes: bool = True) -> dict:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "--no-python", str(program), *words, "--json",
    ]  # fmt: skip
    environment = {
        **os.environ, "ABI_REGISTRY": str(abi.root), "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.getcwd(),
    }  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode == 0) == passes, done.stderr  # a launcher makes every other code a 1
    notes = [line for line in done.stderr.splitlines() if line.startswith("loading ")]
    assert len(notes) == len({*notes}), notes  # the first process alone tells what goes on
    return json.loads(done.stdout)


def weights(abi, name: str, kind: str) -> dict[str, torch.Tensor]:
    (file,) = abi.root.glob(f"*/*/{kind}/{name}/weights.safetensors")
    return load_file(file)


def close(ours: object, theirs: object) -> None:
    assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)


def test_training_in_two_processes_is_training_in_one(in_two, abi) -> None:
    words = (
        "train", "--backbone", "tiny-gpt2", "--domain", "tales", "--data", abi.corpus,
        "--steps", "6", "--d-abi", "8", "--tokens", "2000", "--window", "32",
        "--eval-tokens", "800", "--matmul-type", "float32",
    )  # fmt: skip
    alone = abi(*words, "--name", "alone", "--json").json
    both = in_two(abi, *words, "--name", "both")
    close(both["ppl"], alone["ppl"])
    for kind in ("module", "interface"):
        one, two = (weights(abi, name, kind) for name in ("alone", "both"))
        assert one.keys() == two.keys()
        for tensor in one:
            torch.testing.assert_close(one[tensor], two[tensor], rtol=1e-3, atol=1e-5)


def test_a_module_inside_a_core_in_two_processes_is_the_same(in_two, stored, tmp_path) -> None:
    """The first process alone writes; the other one knows what it has written."""
    abi = copy_of(stored, tmp_path)
    words = (
        "train", "--backbone", "2M", "--form", "full", "--domain", "tales", *MODULE,
        "--data", abi.corpus, "--eval-tokens", "64", "--matmul-type", "float32",
    )  # fmt: skip
    alone = abi(*words, "--name", "alone", "--json").json
    both = in_two(abi, *words, "--name", "both")
    close(both["ppl"], alone["ppl"])
    one, two, core = (tensors_of(abi, name) for name in ("alone", "both", "2M"))
    assert one.keys() == two.keys() > core.keys()
    for name in core:
        assert torch.equal(two[name], core[name])
    added = sorted(one.keys() - core.keys())
    ours, theirs = (torch.cat([held[name].flatten() for name in added]) for held in (one, two))
    assert (ours - theirs).norm() < 1e-4 * ours.norm()
    assert abi("show", "both", "--verify").code == 0
    assert not [*(abi.root / ".runs").glob("both*")]


def test_a_benchmark_in_two_processes_is_the_same(in_two, trained_abi) -> None:
    words = (
        "nib",
        "--anchor",
        "tiny-gpt2",
        "--candidate",
        "tales@tiny-gpt2",
        "--chunk-length",
        "30",
    )
    alone, both = trained_abi(*words, "--json").json, in_two(trained_abi, *words, passes=False)
    for name in ("top5", "top1", "js", "entropy", "positions"):
        assert both[name] == pytest.approx(alone[name], rel=1e-4, abs=1e-5), name


def test_a_verb_that_is_not_shared_runs_in_one_process(abi, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    ran = abi("list", "--json")
    assert (ran.code, ran.json["found"]) == (1, "2")
    monkeypatch.setenv("RANK", "x")
    ran = abi("nib", "--anchor", "tiny-gpt2", "--candidate", "tiny-gpt2", "--json")
    assert (ran.code, "RANK" in ran.json["what"]) == (1, True)


def test_a_move_in_two_processes_is_the_same(in_two, abi) -> None:
    assert abi.train("tiny-gpt2").code == 0
    words = (
        "transfer", "--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--data", abi.corpus,
        "--excerpts", "40", "--eval-tokens", "800",
    )  # fmt: skip
    alone = abi(*words, "--name", "alone", "--json").json
    both = in_two(abi, *words, "--name", "both")
    for name, value in alone["ppl"].items():
        assert both["ppl"][name] == pytest.approx(value, rel=1e-3), name
    assert both["module_sha256"] == alone["module_sha256"]
    one, two = (weights(abi, name, "interface") for name in ("alone", "both"))
    torch.testing.assert_close(one["proj_in.weight"], two["proj_in.weight"], rtol=1e-3, atol=1e-4)


def test_a_calibration_in_two_processes_is_the_same(in_two, abi) -> None:
    assert abi.train("tiny-gpt2").code == 0
    words = (
        "calibrate", "--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--objective", "lm",
        "--data", abi.corpus, "--excerpts", "40", "--steps", "6", "--tokens", "1500",
    )  # fmt: skip
    alone = abi(*words, "--name", "alone", "--json").json
    both = in_two(abi, *words, "--name", "both")
    close(both["gain"], alone["gain"])
    assert both["module_sha256"] == alone["module_sha256"]
    one, two = (weights(abi, name, "interface") for name in ("alone", "both"))
    assert one.keys() == two.keys()
    ours, theirs = (torch.cat([held[name].flatten() for name in one]) for held in (one, two))
    assert (ours - theirs).norm() < 1e-3 * ours.norm()
    fewer = [*words[:-3], "2", *words[-2:]]
    assert abi(*fewer, "--name", "fewer").code == 0
    other = torch.cat([tensor.flatten() for tensor in weights(abi, "fewer", "interface").values()])
    assert (ours - other).norm() > 1e-3 * ours.norm()  # the control: steps that were not taken


@pytest.mark.parametrize("directions", ["outputs", "gradients"])
def test_a_basis_and_its_ranks_in_two_processes_are_the_same(in_two, abi, directions) -> None:
    kept = ("--retain", abi.corpus) if directions == "gradients" else ()
    fit = (
        "basis", "fit", "--backbone", "tiny-llama", "--data", abi.corpus, "--tokens", "3k",
        "--window", "64", "--max-rank", "12", "--directions", directions, *kept,
    )  # fmt: skip
    by = ("--score", "fisher" if directions == "outputs" else "energy", "--tokens", "1k")
    reports = {"alone": lambda *words: abi(*words, "--json").json, "both": partial(in_two, abi)}
    ranks = {}
    for name, run in reports.items():
        run(*fit, "--name", name)
        found = run("basis", "allocate", f"{name}@tiny-llama", "--budget-like", "lora:r=1", *by)
        ranks[name] = found["ranks"], found["share_kept"]["exact"]
    assert ranks["both"][0] == ranks["alone"][0]
    close(ranks["both"][1], ranks["alone"][1])
    one, two = (weights(abi, name, "basis") for name in ranks)
    assert one.keys() == two.keys()
    for name in (name for name in one if name.endswith((".energies", ".fisher"))):
        scale = float(one[name].abs().max())
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=1e-3 * scale)


def test_what_a_donor_writes_is_what_the_first_process_drew(tmp_path) -> None:
    """Each would draw text of its own where machines round in their own ways."""
    program = tmp_path / "write.py"
    program.write_text(f"""
import json
from types import SimpleNamespace
from transplant.calibration import donor_text
from transplant.calibration.config import MoveConfig
from transplant.progress import unseen
from transplant.ranks import Ranks
from transplant.text.document import Document
from transplant.workflows.move.writing import write_panel

ranks = Ranks.of_environment()
donor_text.write_documents = lambda donor, own, count, **_: [
    Document(f"\u00e4 {{number}} of process {{ranks.number}}", "here") for number in range(count)
]
with ranks.together():
    found = write_panel([SimpleNamespace(name="it")], [None], MoveConfig(excerpts=60), unseen).text
sides = (found.train, found.calibration, found.eval)
texts = [document.text for side in sides for document in side]
open(f"{tmp_path}/{{ranks.number}}.json", "w").write(json.dumps(texts))
""")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        str(program),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((tmp_path / f"{number}.json").read_text()) for number in range(2))
    assert one == two
    assert len(one) >= 60
    assert all(text.endswith("of process 0") for text in one)
