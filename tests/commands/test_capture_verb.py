"""`abi capture`, and `abi train --from-activations`."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import h5py
import pytest
import torch

from tests.activations.tiny_files import as_version_1, make_header, make_tokens, write_file
from transplant.activations.reader import Activations
from transplant.ranks import Ranks

FEW = ("--steps", "12", "--window", "64", "--batch", "2", "--d-abi", "8", "--eval-tokens", "400")


@pytest.fixture
def captured(trained_abi, tmp_path):
    """Runs `abi capture` of tiny-llama, or of another backbone, into a file of its own."""

    def run(*more, name="acts.h5", backbone="tiny-llama"):
        path = tmp_path / name
        words = ("capture", "--backbone", backbone, "--data", trained_abi.corpus)
        return path, trained_abi(*words, "--window", "64", "--out", str(path), "--json", *more)

    return run


def test_a_file_says_what_it_holds_and_a_sample_is_computed_again(captured, trained_abi):
    path, ran = captured("--taps", "all")
    assert ran.code == 0, ran.err
    said = trained_abi("capture", "--inspect", str(path), "--json").json
    assert said["complete"]
    assert said["rows"] == said["committed"] == ran.json["captured"]
    assert said["taps"] == ["0", "1", "2"]
    verified = trained_abi("capture", "--verify", str(path), "--json")
    assert (verified.code, verified.json["identical"]) == (0, True)
    with h5py.File(path, "r+") as file:  # the control: other numbers are seen
        file["taps/1"][:] += 1.0
    verified = trained_abi("capture", "--verify", str(path), "--json")
    assert (verified.code, verified.json["error"]) == (1, "CorruptError")
    assert "tap 1 at document" in verified.json["what"]
    as_version_1(path)
    assert trained_abi("capture", "--inspect", str(path), "--json").json["checksums"] is False
    verified = trained_abi("capture", "--verify", str(path), "--json")
    assert (verified.code, verified.json["identical"]) == (3, False)
    assert "has no checksums: an earlier version wrote it" in " ".join(verified.err.split())
    with h5py.File(path, "r+") as file:
        file["taps/1"][:] = float("nan")
    verified = trained_abi("capture", "--verify", str(path), "--json")
    assert (verified.code, verified.json["error"]) == (1, "NumericalError")
    assert "value 0 is no number" in verified.json["what"]


def test_a_file_that_no_capture_made_is_not_computed_again(trained_abi, tmp_path):
    path = write_file(tmp_path / "a.h5", make_header(made={"seed": 1}), make_tokens())
    verified = trained_abi("capture", "--verify", str(path), "--json")
    assert (verified.code, verified.json["error"]) == (1, "InputError")
    assert "does not say which capture made it" in verified.json["what"]


@pytest.mark.parametrize("choice", ["first", "any"])
def test_training_from_the_file_is_training_on_the_text(captured, trained_abi, choice):
    path, _ = captured("--taps", "all")
    few = (*FEW, "--window-choice", choice)
    words = ("train", "--backbone", "tiny-llama", "--domain", "tales", "--taps", "1,2", *few)
    live = trained_abi(*words, "--data", trained_abi.corpus, "--name", "live", "--json").json
    ran = trained_abi(*words, "--from-activations", str(path), "--name", "read", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["hidden_states"] == "file"
    assert ran.json["split"] == live["split"]
    for system, ppl in live["ppl"].items():
        assert ran.json["ppl"][system] == pytest.approx(ppl, rel=1e-3)
    made = [
        trained_abi("show", f"{n}@tiny-llama", "--json", "--full").json["made"]
        for n in ("live", "read")
    ]
    assert made[0]["token_counts"] == made[1]["token_counts"]
    assert made[0]["corpus"] == made[1]["corpus"]
    for name in ("live", "read"):
        trained_abi("rm", f"{name}@tiny-llama", "--yes")


def test_a_module_is_calibrated_from_two_files(captured, trained_abi):
    ours, _ = captured("--taps", "all", name="donor.h5", backbone="tiny-gpt2")
    theirs, _ = captured("--taps", "all", name="target.h5")
    words = ("calibrate", "--module", "tales@tiny-gpt2", "--to", "tiny-llama", "--json")
    pair = ("--from-activations", str(ours), str(theirs))
    ran = trained_abi(*words, *pair, "--name", "read")
    assert ran.code == 0, ran.err
    assert ran.json["module_sha256"]["donor"] == ran.json["module_sha256"]["target"]
    made = trained_abi("show", "read@tiny-llama", "--json").json["made"]
    assert made["pairing_corpus"] == made["corpus"] == trained_abi.corpus
    assert made["pairing_split"] == made["split"] == ran.json["split"]
    domain = ("--domain-activations", str(theirs))
    again = trained_abi(*words, *pair, *domain, "--name", "same")
    assert again.json["gain"] == ran.json["gain"]
    other = trained_abi(*words, *pair, *domain, "--domain-data", "elsewhere", "--name", "other")
    assert other.code == 1
    assert "holds other text" in " ".join(other.err.split())
    for name in ("read", "same"):
        trained_abi("rm", f"{name}@tiny-llama", "--yes")
    swapped = ("--from-activations", str(theirs), str(ours))
    crossed = trained_abi(*words, *swapped, "--name", "crossed")
    assert crossed.code == 1
    assert "tiny-gpt2 has other weights" in " ".join(crossed.err.split())
    assert trained_abi(*words, "--domain-activations", str(theirs)).code == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--taps", "0"), "lacks layers that are read: 2"),
        (("--taps", "all", "--pool", "mean"), "are windows"),
        (("--taps", "all", "--window", "32"), "holds other windows"),
    ],
)
def test_a_file_that_training_cannot_use_is_refused(captured, trained_abi, more, said):
    path, ran = captured(*more)
    assert ran.code == 0, ran.err
    words = ("train", "--backbone", "tiny-llama", "--domain", "unused", *FEW)
    ran = trained_abi(*words, "--from-activations", str(path))
    assert ran.code == 1
    assert said in " ".join(ran.err.split())


def test_rows_of_another_backbone_are_refused(captured, trained_abi):
    path, _ = captured("--taps", "all")
    words = ("train", "--backbone", "tiny-gpt2", "--domain", "unused", *FEW)
    ran = trained_abi(*words, "--from-activations", str(path))
    assert ran.code == 1
    assert "tiny-gpt2" in ran.err


def test_bad_input_is_named_and_nothing_is_written(captured, trained_abi):
    for more in (("--taps", "9"), ("--taps", "block.9.attn"), ("--taps", "some")):
        path, ran = captured(*more)
        assert ran.code == 1
        assert not path.exists()
    path, _ = captured()
    before = path.read_bytes()
    _, again = captured()
    assert again.code == 1
    assert path.read_bytes() == before
    _, resumed = captured("--resume")
    assert resumed.json["captured"] == 0
    _, other = captured("--resume", "--dtype", "bf16")
    assert other.code == 1
    assert trained_abi("capture", "--out", "x.h5").code == 1
    assert trained_abi("capture", "--inspect", "nowhere.h5").code == 1


def test_the_shares_of_all_ranks_are_all_items_once_in_order():
    for sizes in ([1] * 7, [100, 1, 1, 1], [1, 1, 1, 100], [5, 0, 3], [2, 2]):
        for count in range(1, len(sizes) + 1):
            shares = [Ranks(number, count).share(sizes) for number in range(count)]
            assert [item for share in shares for item in share] == [*range(len(sizes))]
            assert all(len(share) > 0 for share in shares)
    even = [len(Ranks(number, 2).share([1] * 10)) for number in range(2)]
    assert even == [5, 5]


def test_two_processes_capture_the_rows_of_one(warm_path, captured, trained_abi, tmp_path):
    alone, ran = captured("--taps", "all")
    assert ran.code == 0, ran.err
    both = tmp_path / "both.h5"
    words = ("--backbone", "tiny-llama", "--data", trained_abi.corpus, "--window", "64")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port",
        "29511", "--no-python", str(warm_path / "abi"), "capture", *words,
        "--taps", "all", "--out", str(both), "--json",
    ]  # fmt: skip
    environment = {**os.environ, "ABI_REGISTRY": str(trained_abi.root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == ran.json["rows"]  # one process reports for both
    with Activations.open(alone) as one, Activations.open(both) as two:
        assert one.digests == two.digests
        assert one.header.corpus_fingerprint == two.header.corpus_fingerprint
        assert len(list(tmp_path.glob("both.rank*"))) == 2
        for tap in one.header.taps:
            torch.testing.assert_close(one.tap(tap), two.tap(tap), rtol=1e-4, atol=1e-5)
        for column in ("ids", "labels", "ends", "windows"):
            assert torch.equal(getattr(one.tokens(), column), getattr(two.tokens(), column))
