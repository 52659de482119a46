"""The base that a LoRA records, where its weights are not at hand: by its name and its commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.export.hosted_things import COMMIT, shelf_of_a_hub
from transplant.errors import InputError
from transplant.surgery.lora.settings import LoraSettings
from transplant.workflows.tuned.recorded_base import check_base

OTHER = "decade" * 6 + "deca"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, tiny_tokenizer):
    """A library with `short`, added from a commit of `org/model`."""
    return shelf_of_a_hub(tmp_path_factory.mktemp("shelf"), tiny_tokenizer)


@pytest.mark.parametrize(
    ("recorded", "revision", "agrees"),
    [
        ("org/model", COMMIT, True), ("org/model", None, True), ("org/model", "main", True),
        ("org/model", OTHER, False), ("org/other", COMMIT, False), ("/gone/short", None, True),
        ("mirror/model", OTHER, True),  # commits of another repository tell nothing
    ],
)  # fmt: skip
def test_the_commit_that_a_backbone_was_added_from_is_compared(shelf, recorded, revision, agrees):
    base = shelf.work.backbone("short")
    settings = LoraSettings(rank=1, alpha=1, base=recorded, revision=revision)

    def check(*, other_base):
        return check_base(shelf.work, Path("lora"), settings, base, other_base=other_base)

    assert check(other_base=True).to_dict() == {
        "recorded": recorded, "revision": revision, "by": "name", "agrees": agrees,
    }  # fmt: skip
    if agrees:
        assert check(other_base=False).agrees
        return
    with pytest.raises(InputError, match="another base") as error:
        check(other_base=False)
    if recorded == "org/model":
        assert str(error.value.expected) == f"org/model at {OTHER}"
        assert str(error.value.found) == f"short at {COMMIT}"
