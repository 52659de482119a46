"""`abi transfer` and `abi paste` between cores that were trained."""

from __future__ import annotations

import pytest

from tests.commands.core_runs import (
    MOVE,
    copy_of,
    files_in,
    hosted_in,
    module_sha,
    shown,
    train_inside,
)
from transplant.tables.transfer import transfer_table


@pytest.fixture(scope="module")
def moved(stored, tmp_path_factory):
    """The module of 2M-tales moved to `other`, its ceiling trained on the way."""
    abi = copy_of(stored, tmp_path_factory.mktemp("moved"))
    ran = abi("transfer", *MOVE, "--data", abi.corpus, "--json")
    assert ran.code == 0, ran.err
    return abi, ran.json


def test_a_transfer_between_cores_stands_beside_the_paste_and_the_native(stored, moved):
    abi, report = moved
    controls = {"pasted", "random_module", "shuffled_pairs", "linear_surrogate", "random_refitted"}
    chosen = min(report["tried"], key=lambda way: way["loss"])
    controls |= {"donor_alone"} if chosen["donor_word"] else set()
    assert report["recovered"].keys() == {"native", "candidate", *controls}
    assert report["recovered"]["native"] == pytest.approx(1.0)
    assert report["ppl"].keys() == {"raw", *report["recovered"]}
    sha = stored[1]["2M-tales"]["module_sha256"]
    assert report["module_sha256"] == {"donor": sha, "target": sha}
    assert report["name"] == "tales-from-2M-tales@other"
    arrived = hosted_in(abi, report["name"])
    assert module_sha(arrived) == sha
    assert "the module's bytes in the target core, no fit" in str(transfer_table(report))


def test_the_ceiling_is_a_module_trained_inside_the_target(moved):
    abi, report = moved
    record = shown(abi, "other-tales")["made"]["modules"]["tales"]
    assert record["made"]["form"] == "lite"
    assert record["core"] == shown(abi, "other")["backbone"]["weights_sha256"]
    recipe = shown(abi, "2M-tales")["made"]["modules"]["tales"]["made"]["recipe"]
    assert record["made"]["recipe"] == recipe
    wrong = abi("transfer", *MOVE, "--data", abi.corpus, "--native", "2M-tales", "--replace")
    assert wrong.code == 1
    assert "tales@2M-tales is no native ceiling" in wrong.err


@pytest.fixture
def with_full(stored, tmp_path):
    """A registry in which `other` has a `full` module and 2M none."""
    abi = copy_of(stored, tmp_path)
    assert train_inside(abi, "other", "full").code == 0
    assert abi("rm", "2M-tales", "-y").code == 0
    return abi


def test_a_full_module_is_not_moved_and_nothing_is_written(with_full):
    before = files_in(with_full.root)
    words = ("--module", "tales@other-tales", "--to", "2M", "--data", with_full.corpus)
    ran = with_full("bridge-align", *words)
    assert ran.code == 1
    assert "reads whole windows" in ran.err
    assert "abi paste" in ran.err
    assert files_in(with_full.root) == before


def test_transfer_refuses_a_full_module_before_it_trains_a_ceiling(with_full):
    before = files_in(with_full.root)
    words = ("--module", "tales@other-tales", "--to", "2M", "--data", with_full.corpus)
    assert "reads whole windows" in with_full("transfer", *words).err
    assert files_in(with_full.root) == before


def test_a_paste_takes_the_modules_record_along(stored, tmp_path):
    abi = copy_of(stored, tmp_path)
    ran = abi("paste", "--from", "2M-tales", "--to", "other", "--name", "pasted", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["identical"]
    record, origin = (
        shown(abi, core)["made"]["modules"]["tales"] for core in ("pasted", "2M-tales")
    )
    assert record == origin
    hosted = hosted_in(abi, "tales@pasted")
    sha = stored[1]["2M-tales"]["module_sha256"]
    assert module_sha(hosted) == sha
    words = ("--chunk-length", "30", "--chunks", "2", "--skip", "4", "--json")
    same = abi("nib", "--anchor", "tales@pasted", "--candidate", "tales@pasted", *words)
    assert same.json["verdict"] == "pass", same.err  # it found its text through the record
    native = abi("transfer", *MOVE, "--data", abi.corpus, "--native", "pasted")
    assert native.code == 1  # it lives in `other`, but was not trained there
    assert "other core" in " ".join(native.err.split())


def test_the_transfer_that_paste_names_runs(stored, tmp_path):
    abi = copy_of(stored, tmp_path)
    ran = abi("paste", "--from", "2M-tales", "--to", "other")
    named = "abi transfer --module tales@2M-tales --to other"
    assert named in " ".join(ran.err.split())
    ran = abi("transfer", *MOVE, "--data", abi.corpus)
    assert ran.code == 0, ran.err
