"""Peers' ways to carry a LoRA, where the right answer is known: the same model, and one turned."""

from __future__ import annotations

import pytest
import torch

from tests.benchmarks.peer_maps import copied, cross_lora, matched, theseus
from tests.calibration.tiny_training import windows_of
from tests.tiny import WIDTH, rotated_twin, tiny_backbone
from transplant.calibration.pairs import pair_text
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.start import new_lora
from transplant.surgery.lora.update import LoraUpdate, Pair
from transplant.text.excerpts import cut_excerpts
from transplant.text.tokenizers import train_tokenizer

SQUARE = ("self_attn.q_proj", "self_attn.o_proj")


@pytest.fixture(scope="module")
def base(tiny_texts):
    bpe = train_tokenizer("bpe", tiny_texts, 330, context=128)
    return tiny_backbone("llama", bpe, seed=1)


def drawn(backbone, targets=SQUARE):
    """A LoRA that does something, of maps as wide as they are high."""
    generator = torch.Generator().manual_seed(0)
    pairs = {
        name: Pair(pair.a.detach(), torch.randn(pair.b.shape, generator=generator), None, 0.1)
        for name, pair in new_lora(backbone, 4, 8.0, targets).pairs.items()
    }
    return LoraUpdate(pairs, {})


def distance(one, other):
    """Of two LoRAs, by their products; relative to the first."""
    apart = [(pair.delta - other.pairs[name].delta).norm() for name, pair in one.pairs.items()]
    return float(sum(apart) / sum(pair.delta.norm() for pair in one.pairs.values()))


def test_to_the_same_model_every_way_is_a_copy(base, tiny_corpus):
    update = drawn(base)
    paired = pair_text(base, base, cut_excerpts(tiny_corpus[:12], chars=200), (1,), (1,))
    assert copied(base, base, update) is update
    assert distance(update, cross_lora(base, base, update)) < 1e-3
    assert distance(update, theseus(base, base, update, paired)) < 1e-3


def test_activations_find_a_rotation_that_a_copy_does_not_know(base, tiny_corpus, text_windows):
    rotation = torch.linalg.qr(
        torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(4))
    ).Q
    twin, update = rotated_twin(base, rotation), drawn(base)
    paired = pair_text(base, twin, cut_excerpts(tiny_corpus[:12], chars=200), (1,), (1,))

    def losses(backbone, lora):
        with LoraModel("it", backbone, lora).inside():
            states = backbone.run(text_windows).labelled()
        return torch.nn.functional.cross_entropy(backbone.head(states.h_last), states.labels)

    wanted = losses(base, update)
    found = abs(losses(twin, theseus(base, twin, update, paired)) - wanted)
    plain = abs(losses(twin, copied(base, twin, update)) - wanted)
    assert found < 0.1 * plain


@pytest.fixture
def text_windows(base, tiny_corpus):
    return windows_of(base, tiny_corpus[:4])


def test_fused_maps_are_taken_apart_and_put_together(base):
    fused = tiny_backbone("gpt2", base.tokenizer, seed=2)
    update = drawn(base, ())
    moved = cross_lora(base, fused, update)
    parts = {name.rpartition(".")[2] for name in moved.pairs}
    assert parts == {"c_attn", "c_proj", "c_fc"}
    query, key, value = (moved.pairs[next(n for n in moved.pairs if "c_attn" in n)].b).chunk(3)
    rank = query.shape[1] // 3
    for number, rows in enumerate((query, key, value)):
        own = slice(number * rank, (number + 1) * rank)
        assert rows[:, own].abs().max() > 0
        assert rows.count_nonzero() == rows[:, own].count_nonzero()
    assert copied(base, fused, update) is None
    back = cross_lora(fused, base, moved)
    assert {name.rpartition(".")[2] for name in back.pairs} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert len(matched(fused, base)) == 6 * base.n_layers
