"""Names that must be different are compared by what they lead to, not as they are written."""

from __future__ import annotations

import pytest
import torch

import transplant
from registry.store import Registry
from transplant.calibration.config import RepairConfig
from transplant.errors import InputError, NotFoundError
from transplant.library import KnownBackbone
from transplant.surgery.fuse.config import FuseConfig
from transplant.training.config import UpdateConfig
from transplant.workflows.each_once import check_each_once
from transplant.workflows.fuse.fusion import Fusing
from transplant.workflows.update import succession
from transplant.workflows.update.study import Study

HOST = KnownBackbone(
    name="x", family="gpt2", d_model=4, weights_sha256="0" * 64, tokenizer_sha256="1" * 64,
    config_sha256=None,
)  # fmt: skip


@pytest.fixture
def work(tmp_path):
    """Two widths of `python` and one of `chess`, on a backbone that is not here."""
    library = Registry(tmp_path / "registry", reference=tmp_path / "none")
    for name, d_abi in (("python", 64), ("python", 128), ("chess", 64)):
        weights = {"weight": torch.full((2, 2), float(d_abi))}
        for kind in ("module", "interface"):
            library.store(kind, name, weights, backbone=HOST, d_abi=d_abi, made={})
    return transplant.Workspace(library=library)


def fuse(work, names):
    Fusing(work, tuple(names), (), None, FuseConfig())


def succeed(work, names):
    study = Study(work, UpdateConfig(), RepairConfig(), 40_000)
    succession.succession_report(study, [*names], ["prose2"], 1, "prose")


def teach(work, names):
    work.move_taught([*names], "x", domain="python").pairing_text  # noqa: B018


def measure(work, names):
    work.perplexity([*names])


@pytest.mark.parametrize("use", [fuse, succeed, teach, measure])
@pytest.mark.parametrize(
    "names", [("chess@x", "chess@x"), ("chess@x", "chess@x/d64"), ("chess", "chess@x")]
)
def test_one_module_under_two_names_is_refused(work, use, names):
    with pytest.raises(InputError, match=r"each once|all different") as refused:
        use(work, names)
    assert f"{names[0]} " in str(refused.value)


@pytest.mark.parametrize("names", [("python@x/d64", "python@x/d128"), ("python/d64", "chess")])
def test_two_widths_of_one_name_are_two_modules(work, monkeypatch, names):
    def load(*_):
        raise NotFoundError("this far")

    monkeypatch.setattr(succession, "open_hosted", load)
    with pytest.raises(NotFoundError, match="this far"):
        succeed(work, names)
    fuse(work, names)
    check_each_once(work, names, "models", expected="each once")


def test_one_folder_is_one_backbone_however_it_is_written(work, tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    check_each_once(work, ["./a", "./b", "owner/model"], "models", expected="each once")
    for names in (["./a", "./b/../a"], ["./a", str(tmp_path / "a")], ["owner/model"] * 2):
        with pytest.raises(InputError, match="each once"):
            check_each_once(work, names, "models", expected="each once")
