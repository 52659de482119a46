"""A revision of a backbone that the work does not name is refused."""

from __future__ import annotations

import pytest

from transplant.errors import InputError
from transplant.workflows.revisions import check_revisions

USED = ("org/model", "tales@org/model", "tales@org/model/d16", "a@org/model:0.5", "x,org/model")


@pytest.mark.parametrize("word", USED)
def test_a_backbone_that_a_word_names_is_used(word):
    check_revisions({"org/model": "v1", "": "main"}, ["prose", word])


@pytest.mark.parametrize("word", ["org/model-2", "my-org/model", "org/model/x", "model", "", "org"])
def test_a_backbone_that_no_word_names_is_refused(word):
    with pytest.raises(InputError, match=r"`revision` of org/model, .* found org/model=v1"):
        check_revisions({"org/model": "v1", word or "w": "main"}, [word, *map(str, range(3))])


@pytest.mark.parametrize("revision", [None, "v1", {}, {"": "v1"}])
def test_a_revision_of_all_backbones_has_a_use(revision):
    check_revisions(revision, [])
