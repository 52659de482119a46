"""Pieces run alone against what the donor itself computes, family by family."""

from __future__ import annotations

import json

import pytest
import torch

from tests.tiny import LAYERS, WHOLE, tiny_backbone
from transplant.backbones.layercake.blocks import make_span
from transplant.backbones.parts import watched
from transplant.errors import CorruptError, InputError, NotFoundError
from transplant.surgery.bank.extract import COMPONENTS, extract
from transplant.surgery.bank.piece import Bank
from transplant.text.windows import cut_windows

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
PARTS = [f"block.{k}.{part}" for k in range(LAYERS) for part in ("attn", "mlp", "layer")]


class Scene:
    """What a donor says of a batch of unequal lengths, and its pieces."""

    def __init__(self, family, tokenizer, corpus, **changes):
        self.backbone = tiny_backbone(family, tokenizer, **changes)
        self.windows = (
            cut_windows(corpus[:2], tokenizer, 40)[:2] + cut_windows(corpus[3:4], tokenizer, 23)[:1]
        )
        names = [name + end for name in PARTS for end in ("", ".in")]
        with watched(self.backbone, names) as seen:
            self.states = self.backbone.read(self.windows)
        self.seen = dict(seen)
        rows = [self.backbone.rows_of(window) for window in self.windows]
        self.mask = torch.zeros(self.seen["block.0.attn"].shape[:2], dtype=torch.long)
        self.ids = torch.zeros_like(self.mask)
        for number, row in enumerate(rows):
            self.mask[number, : len(row.ids)] = 1
            self.ids[number, : len(row.ids)] = torch.tensor(row.ids)
        self.span = make_span(self.mask.shape[1], torch.device("cpu"), attention_mask=self.mask)
        bank = extract(self.backbone, COMPONENTS)
        recipes = json.loads(json.dumps(bank.recipes()))  # as a manifest holds them
        self.bank = Bank.from_stored(bank.tensors(), recipes)

    def real(self, hidden):
        return hidden[self.mask.bool()]


@pytest.mark.parametrize("family", WHOLE)
def test_a_piece_alone_gives_the_donors_own_output(family, tiny_tokenizer, tiny_corpus):
    scene = Scene(family, tiny_tokenizer, tiny_corpus)
    for k in range(LAYERS):
        for piece, part in ((f"heads.{k}", "attn"), (f"ffn.{k}", "mlp"), (f"layer.{k}", "layer")):
            if piece.startswith("layer") and family.startswith("t5"):
                continue  # its decoder attends to the encoder between the two
            x, expected = (scene.seen[f"block.{k}.{part}{end}"] for end in (".in", ""))
            with torch.no_grad():
                found = scene.bank.part(piece)(x, scene.span)
            torch.testing.assert_close(scene.real(found), scene.real(expected), **CLOSE)
            assert scene.real(expected).std() > 1e-2  # silence would pass the line above
    embedded = scene.bank.pieces["embeddings"](scene.ids, scene.span.positions)
    torch.testing.assert_close(
        scene.real(embedded), scene.real(scene.seen["block.0.attn.in"]), **CLOSE
    )
    logits = scene.bank.pieces["lm_head"](scene.states.h_last)
    torch.testing.assert_close(logits, scene.backbone.head(scene.states.h_last), **CLOSE)


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe"])
def test_of_a_mixture_of_experts_the_heads_can_be_taken_and_the_experts_not(
    family, tiny_tokenizer, tiny_corpus
):
    backbone = tiny_backbone(family, tiny_tokenizer)
    windows = cut_windows(tiny_corpus[:1], tiny_tokenizer, 40)[:1]
    with watched(backbone, [name + end for name in PARTS for end in ("", ".in")]) as seen:
        backbone.read(windows)
    heads = extract(backbone, ("embeddings", "heads", "lm_head")).part("heads.1")
    x = seen["block.1.attn.in"]
    found = heads(x, make_span(x.shape[1], x.device))
    torch.testing.assert_close(found, seen["block.1.attn"], **CLOSE)
    with pytest.raises(InputError, match=r"mixtures of experts.*components='embeddings,heads"):
        extract(backbone, ("ffn",))


@pytest.mark.parametrize("family", ["olmo2", "mixtral", "qwen3_moe", "gemma3_text", "phi3"])
def test_the_parts_of_a_block_add_up_to_it(family, tiny_tokenizer, tiny_corpus):
    backbone = tiny_backbone(family, tiny_tokenizer)
    windows = cut_windows(tiny_corpus[:1], tiny_tokenizer, 40)[:1]
    with watched(backbone, [*PARTS, "block.1.mlp.in", "block.1.layer.in"]) as seen:
        taps = backbone.read(windows, (1,)).taps
    after_attention = seen["block.1.layer.in"] + seen["block.1.attn"]
    torch.testing.assert_close(seen["block.1.mlp.in"], after_attention, **CLOSE)
    whole = seen["block.1.attn"] + seen["block.1.mlp"]
    torch.testing.assert_close(seen["block.1.layer"], whole, **CLOSE)
    torch.testing.assert_close(seen["block.1.layer.in"][0], taps[1], **CLOSE)


def test_variants_of_a_family_are_read_as_they_are(tiny_tokenizer, tiny_corpus):
    """Both ways of GPT-NeoX, partial rotary positions, learned positions of a core."""
    rope = {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 1.0}
    for family, changes in (
        ("gpt_neox", {"use_parallel_residual": False, "rope_parameters": rope}),
        ("layercake", {"positions": "learned"}),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}),
        ("llama", {"attention_bias": True, "mlp_bias": True}),
    ):
        scene = Scene(family, tiny_tokenizer, tiny_corpus, **changes)
        found = scene.bank.part("layer.1")(scene.seen["block.1.layer.in"], scene.span)
        expected = scene.seen["block.1.layer"]
        torch.testing.assert_close(scene.real(found), scene.real(expected), **CLOSE)


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_single_heads_sum_to_the_whole(family, tiny_tokenizer, tiny_corpus):
    scene = Scene(family, tiny_tokenizer, tiny_corpus)
    x, whole = scene.seen["block.1.attn.in"], scene.bank.part("heads.1")
    heads = [scene.bank.part(f"heads.1.{h}")(x, scene.span) for h in range(4)]
    bias = whole.out.bias if whole.recipe.out_bias else 0.0
    torch.testing.assert_close(sum(heads) + bias, whole(x, scene.span), **CLOSE)
    assert not torch.allclose(heads[0], heads[1], atol=1e-2)


@pytest.mark.parametrize("family", ["llama", "mistral", "t5", "layercake"])
def test_heads_hide_the_future_and_a_cache_changes_nothing(family, tiny_tokenizer, tiny_corpus):
    from transformers import DynamicCache

    scene = Scene(family, tiny_tokenizer, tiny_corpus)
    part, x = scene.bank.part("heads.0"), scene.seen["block.0.attn.in"][:1, :20]
    whole = part(x, make_span(x.shape[1], x.device))
    changed = x.clone()
    changed[:, -1, ::2] += 1.0
    other = part(changed, make_span(x.shape[1], x.device))
    torch.testing.assert_close(other[:, :-1], whole[:, :-1], **CLOSE)
    assert not torch.allclose(other[:, -1], whole[:, -1], atol=1e-3)
    cache = DynamicCache()
    steps = [x[:, :5], *x[:, 5:].split(1, dim=1)]
    found = [part(step, make_span(step.shape[1], x.device, cache=cache)) for step in steps]
    torch.testing.assert_close(torch.cat(found, dim=1), whole, **CLOSE)


def test_tensors_are_copies(tiny_tokenizer):
    backbone = tiny_backbone("gpt2", tiny_tokenizer)
    with backbone.frozen():
        bank = extract(backbone, ("ffn", "heads"), [1])
        for tensor in bank.tensors().values():
            tensor.add_(1.0)
    assert [*bank.pieces] == ["heads.1", "ffn.1"]


@pytest.mark.parametrize(
    ("components", "layers", "said"),
    [((), None, "nothing was extracted"), (("ffn",), [], "`layers`"),
     (("embeddings", "heads", "lm_head"), [], "`layers`.*at least one block"),
     (("nose",), None, "`components`"), (("ffn",), [9], "`layers`")],
)  # fmt: skip
def test_nothing_and_the_unknown_are_refused(components, layers, said, tiny_tokenizer):
    with pytest.raises(InputError, match=said):
        extract(tiny_backbone("llama", tiny_tokenizer), components, layers)


def test_tables_alone_need_no_block(tiny_tokenizer):
    bank = extract(tiny_backbone("llama", tiny_tokenizer), ("embeddings", "lm_head"), [])
    assert [*bank.pieces] == ["embeddings", "lm_head"]


def test_what_is_not_there_is_named(tiny_tokenizer):
    with pytest.raises(InputError, match="no named parts"):
        extract(tiny_backbone("phi", tiny_tokenizer), ("ffn",))
    with pytest.raises(InputError, match=r"tiny-olmo2 have no view.*llama.*found olmo2"):
        extract(tiny_backbone("olmo2", tiny_tokenizer), ("ffn",))
    bank = extract(tiny_backbone("gemma2", tiny_tokenizer), ("heads",))
    with pytest.raises(NotFoundError, match=r"holds no ffn\.0"):
        bank.part("ffn.0")
    with pytest.raises(InputError, match="cannot be parted"):
        bank.part("heads.0.1")
    with pytest.raises(InputError, match="attends to an encoder"):
        extract(tiny_backbone("t5", tiny_tokenizer), ("heads", "ffn")).part("layer.0")
    tensors = bank.tensors()
    tensors.pop("heads.0/out.weight")
    with pytest.raises(CorruptError, match=r"heads\.0"):
        Bank.from_stored(tensors, bank.recipes())
