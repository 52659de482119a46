"""What a donor writes: its own predictions, drawn; nothing else is touched."""

from __future__ import annotations

import statistics

import pytest
import torch

from tests.tiny import tiny_backbone
from transplant.alignment.tokens import count_tokens
from transplant.calibration.donor_text import write_documents
from transplant.errors import InputError
from transplant.modules.hosted import HostedModel
from transplant.training.loop import new_correction

D_ABI = 16
CONTEXT = 40


@pytest.fixture(scope="module")
def counts(tiny_tokenizer, tiny_corpus):
    return count_tokens(tiny_tokenizer(tiny_corpus[0].text).input_ids, tiny_tokenizer)


def hosted(family, tokenizer, **changes):
    changes = {} if family == "t5" else {"max_position_embeddings": CONTEXT, **changes}
    backbone = tiny_backbone(family, tokenizer, **changes)
    correction = new_correction(backbone.d_model, D_ABI, (backbone.n_layers,), 0)
    return HostedModel("tales@tiny", backbone, correction)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_the_same_seed_writes_the_same_and_no_other_draw_is_disturbed(
    family, tiny_tokenizer, counts
):
    donor = hosted(family, tiny_tokenizer)
    state = torch.random.get_rng_state()
    one, same, other = (
        [document.text for document in write_documents(donor, counts, 5, chars=300, seed=seed)]
        for seed in (0, 0, 1)
    )
    assert torch.equal(state, torch.random.get_rng_state())
    assert one == same != other
    assert len(set(one)) == 5
    assert statistics.median(map(len, one)) >= 300  # more than the context has room for
    for text in one:
        assert not any(token in text for token in tiny_tokenizer.all_special_tokens)


def test_it_is_the_module_that_speaks(tiny_tokenizer, counts):
    """A correction that wants one token above all: the donor writes it, the raw backbone not."""
    donor = hosted("llama", tiny_tokenizer)
    token = int(tiny_tokenizer(" cor").input_ids[0])
    with torch.no_grad():
        donor.correction.interface.proj_out.bias += 30 * donor.backbone.unembedding[token]
    word = tiny_tokenizer.decode([token])

    def shares():
        documents = write_documents(donor, counts, 4, chars=100)
        return [len(word) * d.text.count(word) / len(d.text) for d in documents]

    assert min(shares()) > 0.9
    with torch.no_grad():
        donor.correction.interface.proj_out.bias.zero_()
    assert max(shares()) < 0.5


def test_it_begins_as_the_domain_does(tiny_tokenizer):
    donor = hosted("llama", tiny_tokenizer)
    token = tiny_tokenizer("ba").input_ids[0]
    counts = count_tokens([token], tiny_tokenizer)
    start = tiny_tokenizer.decode([token])
    assert all(d.text.startswith(start) for d in write_documents(donor, counts, 6, chars=20))
    with pytest.raises(InputError, match="no token to begin with"):
        write_documents(donor, {}, 1)
