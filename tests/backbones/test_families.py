"""Every family behind the one view, against the model's own logits."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import FAMILIES, LAYERS, tiny_backbone, tiny_model
from transplant.backbones.encoder_decoder import PrefixBackbone
from transplant.backbones.load import load_backbone
from transplant.backbones.states import NO_LABEL
from transplant.backbones.views import view_of
from transplant.errors import BackboneError, InputError
from transplant.text.windows import cut_windows


def own_logits(backbone, window):
    """The logits that the model itself gives for a window."""
    ids = torch.tensor([window.ids])
    with torch.no_grad():
        if not isinstance(backbone, PrefixBackbone):
            return backbone.model(ids).logits[0]
        half = ids.shape[1] // 2
        return backbone.model(input_ids=ids[:, :half], labels=ids[:, half:]).logits[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_head_of_h_last_equals_the_models_own_logits(family, tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone(family, tiny_tokenizer)
    windows = (
        cut_windows(tiny_corpus[:2], tiny_tokenizer, 24)[:3]
        + cut_windows(tiny_corpus[3:4], tiny_tokenizer, 17)[:1]
    )  # of unequal length: padding must not show
    states = backbone.read(windows)
    for number, window in enumerate(windows):
        expected = own_logits(backbone, window)
        found = backbone.head(states.h_last[states.windows == number])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        assert expected.std() > 1e-3  # a model that says nothing would pass the line above


@pytest.mark.parametrize("family", FAMILIES)
def test_unembedding_is_the_heads_matrix(family, tiny_tokenizer):
    backbone = tiny_backbone(family, tiny_tokenizer)
    hidden = torch.randn(5, backbone.d_model)
    found, zero = backbone.head(hidden), backbone.head(torch.zeros_like(hidden))
    expected = hidden @ backbone.unembedding.T + zero
    if family == "gemma2":
        expected = 30.0 * torch.tanh(expected / 30.0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_tap_is_there_and_the_last_is_h_last(family, tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone(family, tiny_tokenizer)
    windows = cut_windows(tiny_corpus[:1], tiny_tokenizer, 20)[:2]
    taps = backbone.all_taps
    states = backbone.read(windows, backbone.check_taps(taps))
    assert set(states.taps) == set(taps)
    assert states.taps[backbone.n_layers] is states.h_last
    assert backbone.n_layers == LAYERS + (family == "layercake")  # its way through the shared space
    assert all(hidden.shape == states.h_last.shape for hidden in states.taps.values())
    assert len({float(hidden.sum()) for hidden in states.taps.values()}) == len(taps)


def test_taps_are_all_layers_but_where_their_width_is_not_the_heads(tiny_tokenizer):
    assert tiny_backbone("opt", tiny_tokenizer).all_taps == tuple(range(LAYERS + 1))
    projected = tiny_backbone("opt-projected", tiny_tokenizer)
    assert projected.all_taps == (LAYERS,)
    with pytest.raises(InputError, match="no such tap"):
        projected.check_taps((0, LAYERS))


def test_causal_rows_have_read_up_to_their_own_token(tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    window = cut_windows(tiny_corpus[:1], tiny_tokenizer, 12)[0]
    states = backbone.read([window])
    assert states.ends.tolist() == list(window.ends)
    assert states.labels.tolist() == [*window.ids[1:], NO_LABEL]
    assert len(states.labelled()) == 11


def test_prefix_rows_have_read_the_first_half_and_the_tokens_before(tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone("t5", tiny_tokenizer)
    window = cut_windows(tiny_corpus[:1], tiny_tokenizer, 12)[0]
    states = backbone.read([window])
    assert states.ends.tolist() == list(window.ends[5:11])
    assert states.labels.tolist() == list(window.ids[6:])


def test_a_later_token_changes_no_earlier_row(tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    window = cut_windows(tiny_corpus[:1], tiny_tokenizer, 12)[0]
    changed = type(window)((*window.ids[:-1], window.ids[0]), window.ends, 0)
    first, second = backbone.read([window]).h_last, backbone.read([changed]).h_last
    torch.testing.assert_close(first[:-1], second[:-1])
    assert not torch.allclose(first[-1], second[-1])


def test_taps_out_of_range_are_refused(tiny_tokenizer):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    assert backbone.check_taps((-1, 0)) == (0, LAYERS)
    for taps in ((), (1, 1), (-1, LAYERS), (LAYERS + 1,), (-LAYERS - 2,)):
        with pytest.raises(InputError, match="tap"):
            backbone.check_taps(taps)


def test_a_change_inside_a_frozen_block_is_caught(tiny_tokenizer):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    with pytest.raises(AssertionError, match="changed"), backbone.frozen(), torch.no_grad():
        next(backbone.model.parameters()).add_(1e-3)


def test_saved_and_loaded_gives_the_same_logits_and_fingerprint(
    tmp_path, tiny_tokenizer, tiny_corpus
):
    for family in ("gpt2", "t5", "t5-untied"):
        backbone = tiny_backbone(family, tiny_tokenizer)
        backbone.model.save_pretrained(tmp_path / family)
        tiny_tokenizer.save_pretrained(tmp_path / family)
        loaded = load_backbone(tmp_path / family)
        window = cut_windows(tiny_corpus[:1], tiny_tokenizer, 12)[0]
        torch.testing.assert_close(loaded.read([window]).h_last, backbone.read([window]).h_last)
        assert loaded.weights_sha256 == backbone.weights_sha256
        assert loaded.tokenizer_sha256 == backbone.tokenizer_sha256


def test_a_head_that_does_more_is_refused_by_name(tiny_tokenizer):
    model = tiny_model("llama", tiny_tokenizer)
    model.config.model_type = "unheard-of"
    plain = model.lm_head.forward
    assert view_of("fine", model, tiny_tokenizer).family == "unheard-of"  # the generic view
    model.forward = lambda *_args, **_kwargs: type(
        "Out", (), {"logits": plain(torch.ones(1, 8, model.config.hidden_size))}
    )
    with pytest.raises(BackboneError, match=r"gpt2.*t5.*logits off"):
        view_of("odd", model, tiny_tokenizer)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "config.json"),
        ({"config.json": "{}"}, "weights"),
        ({"config.json": "{}", "pytorch_model.bin": "x"}, "pickled"),
        ({"config.json": "{}", "model.safetensors": "x"}, "cannot load"),
    ],
)
def test_a_folder_that_is_no_backbone_is_refused(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(BackboneError, match=message):
        load_backbone(tmp_path)


def test_an_unknown_dtype_is_refused(tmp_path):
    with pytest.raises(InputError, match="float32"):
        load_backbone(tmp_path, dtype="float12")
