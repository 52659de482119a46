"""A module alone is a name, where one backbone hosts it."""

from __future__ import annotations

import pytest

import transplant
from registry.store import Registry
from tests.workflows.export.hosted_things import Shelf
from transplant.errors import InputError, NotFoundError
from transplant.library import HostedName
from transplant.loading.bare_names import full_name

HELD = "ref-gpt2"  # a backbone of the library


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, tiny_tokenizer):
    """`tales` and `law` on one backbone, `both` on two, a module called as a backbone."""
    made = Shelf(tmp_path_factory.mktemp("shelf"), tiny_tokenizer)
    made.gpt2, made.llama = made.backbone("gpt2"), made.backbone("llama")
    made.module(made.gpt2, "tales", taps=(0, -1))
    made.linear(made.llama, "law")
    for backbone in (made.gpt2, made.llama):
        made.module(backbone, "both", taps=(0, -1))
    made.module(made.gpt2, HELD, taps=(0, -1))
    return made


@pytest.fixture
def library(shelf):
    return shelf.work.library


def test_what_one_backbone_hosts_is_completed(shelf, library):
    gpt2, llama = shelf.gpt2.name, shelf.llama.name
    assert full_name(HostedName(None, "tales"), library) == HostedName("tales", gpt2)
    assert full_name(HostedName(None, "law"), library) == HostedName("law", llama)
    assert transplant.load("tales", library=library).name == f"tales@{gpt2}"
    assert shelf.work.load("law").name == f"law@{llama}"
    assert shelf.work.find("tales").manifest.name == "tales"


def test_a_width_is_part_of_what_is_sought(library):
    assert full_name(HostedName(None, "tales", 16), library).module == "tales"
    assert full_name(HostedName(None, "tales", 32), library).module is None


def test_several_backbones_are_told_by_their_full_names(shelf, library):
    with pytest.raises(InputError) as caught:
        transplant.load("both", library=library)
    for backbone in (shelf.gpt2, shelf.llama):
        assert f"both@{backbone.name}" in str(caught.value)


def test_backbones_paths_and_unknown_names_stay_as_they_are(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tales").mkdir()
    library = Registry(shelf.root / "registry")  # with those that are shipped
    assert library.holds_backbone(HELD)
    for text in (HELD, shelf.llama.name, "tales", "./tales", "org/tales", "unheard-of"):
        name = library.split_name(text)
        assert full_name(name, library) == name


def test_a_module_in_place_of_a_backbone_is_refused_before_it_is_loaded(shelf, monkeypatch):
    monkeypatch.setattr(type(shelf.work), "load", lambda *_: pytest.fail("it was loaded"))
    for name in ("tales", f"tales@{shelf.gpt2.name}"):
        with pytest.raises(InputError) as caught:
            shelf.work.backbone(name)
        assert shelf.gpt2.name in caught.value.hint


def test_a_name_that_nothing_has_is_still_refused(shelf):
    with pytest.raises(NotFoundError):
        shelf.work.find("nothing")
