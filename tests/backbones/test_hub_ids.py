"""Names that can be ids of a hub, and a hub that cannot be reached: both are told at once."""

from __future__ import annotations

import huggingface_hub.utils
import pytest
from huggingface_hub import constants

import transplant
from registry.store import Registry
from tests.tiny import tiny_model
from transplant import Workspace
from transplant.backbones.hub_ids import LEGACY, can_be_hub_id, is_out_of_reach
from transplant.backbones.load import load_backbone
from transplant.errors import BackboneError, CorpusError, NotFoundError
from transplant.modules.hosted import HostedModel
from transplant.text.documents import read_corpus

pytestmark = pytest.mark.usefixtures("no_wait")


class ConnectError(Exception):
    """Named as those of httpx and httpx2."""


class ReadTimeout(Exception):
    pass


class Session:
    """In place of the hub's client: counts what is asked, and answers with one thing."""

    def __init__(self, answer=None):
        self.asked, self.answer = [], answer

    def head(self, url, **_):
        self.asked.append(url)
        if self.answer is not None:
            raise self.answer


@pytest.fixture
def session(monkeypatch):
    """A client that cannot connect, where nothing else would go to the network."""
    made = Session(ConnectError("no such host"))
    monkeypatch.setattr(huggingface_hub.utils, "get_session", lambda: made)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return made


@pytest.fixture
def no_wait(monkeypatch):
    """Fails where the hub's own client is about to ask again, which takes it half a minute."""
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("the hub was asked again"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_bare_word_is_an_id_where_the_hub_knows_it_without_its_owner(cache, monkeypatch):
    assert can_be_hub_id("owner/model")
    assert "gpt2" in LEGACY
    assert all(map(can_be_hub_id, LEGACY))
    assert not can_be_hub_id("nonsense")
    (cache / "models--nonsense").mkdir(parents=True)
    assert can_be_hub_id("nonsense")
    assert not can_be_hub_id("other")
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.example.org")
    assert can_be_hub_id("other")


def test_a_bare_word_is_refused_before_any_hub_is_asked(session, tmp_path):
    work = Workspace(library=Registry(tmp_path / "registry"))  # with the backbones that are shipped
    for call in (
        work.load,
        work.backbone,
        lambda name: transplant.load(name, library=work.library),
    ):
        with pytest.raises(NotFoundError, match=r"(?s)ref-lama.*owner/model.*ref-llama") as caught:
            call("ref-lama")
        assert caught.value.hint == "`list()`"
    with pytest.raises(NotFoundError, match="python-shipped@ref-gpt2"):
        work.load("python")
    for call in (load_backbone, HostedModel.from_pretrained, lambda name: work.add(name, "short")):
        with pytest.raises(BackboneError, match="owner/model"):
            call("ref-lama")
    assert session.asked == []


def test_a_hub_that_cannot_be_reached_is_asked_once(session, tmp_path):
    work = Workspace(library=Registry.open(tmp_path / "registry"))
    for number, call in enumerate(
        (work.load, HostedModel.from_pretrained, lambda name: work.add(name, "short")), start=1
    ):
        with pytest.raises(BackboneError, match="owner/model"):
            call("owner/model")
        assert len(session.asked) == number
    with pytest.raises(CorpusError, match="no way to the hub"):
        read_corpus("owner/texts")
    with pytest.raises(BackboneError, match="gpt2"):  # an id without an owner is asked for
        work.load("gpt2")
    assert len(session.asked) == 5


def test_what_is_in_the_cache_is_loaded_while_the_hub_is_out_of_reach(
    session, cache, tiny_tokenizer
):
    commit = "0123456789abcdef0123456789abcdef01234567"
    for name in ("owner--model", "bare"):
        snapshot = cache / f"models--{name}" / "snapshots" / commit
        tiny_model("llama", tiny_tokenizer).save_pretrained(snapshot)
        tiny_tokenizer.save_pretrained(snapshot)
        (cache / f"models--{name}" / "refs").mkdir()
        (cache / f"models--{name}" / "refs" / "main").write_text(commit)
        assert load_backbone(name.replace("--", "/")).revision == commit
    assert len(session.asked) == 2


def test_offline_by_the_environment_nobody_is_asked(session, monkeypatch):
    assert is_out_of_reach()
    session.answer = None
    assert not is_out_of_reach()
    session.answer = ReadTimeout()  # it answers, if slowly: its own client has more patience
    assert not is_out_of_reach()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    session.asked.clear()
    is_out_of_reach()
    assert session.asked == []
