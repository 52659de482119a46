"""Documents that a donor gained most on: by the log-probabilities of the model itself."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from tests.calibration.tuned_scene import tuned_scene
from tests.tiny import tiny_backbone
from transplant.calibration.gained_text import gained_most, gains_on
from transplant.errors import CorpusError
from transplant.modules.hosted import HostedModel
from transplant.text.documents import Document
from transplant.training.loop import new_correction


def log_probability(model, ids):
    """Of the tokens behind the first, given those before them, by the logits of a model."""
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, :-1].float()
    return -functional.cross_entropy(logits, ids[0, 1:]).item()


@pytest.fixture(scope="module")
def donor(tiny_tokenizer):
    backbone = tiny_backbone("llama", tiny_tokenizer)
    correction = new_correction(backbone.d_model, 16, (backbone.n_layers,), 0)
    with torch.no_grad():
        correction.interface.proj_out.weight.normal_(generator=torch.Generator().manual_seed(1))
    return HostedModel("tales@tiny", backbone, correction)


def test_a_gain_is_log_p1_minus_log_p0_of_the_model_itself(donor, tiny_corpus):
    documents = [Document(one.text[:160], "cut") for one in tiny_corpus[:4]]
    raw = HostedModel("tiny", donor.backbone)
    for document, gain in zip(documents, gains_on(donor, documents), strict=True):
        ids = donor.tokenizer(document.text, return_tensors="pt").input_ids
        assert ids.shape[1] <= donor.backbone.context
        assert gain == pytest.approx(log_probability(donor, ids) - log_probability(raw, ids), 1e-3)


def test_a_tuned_copy_gains_over_its_base(text, tiny_texts):
    scene = tuned_scene(text, tiny_texts, two_heads=True)
    document = Document(text.eval[0].text[:160], "cut")
    ids = scene.donor.tokenizer(document.text, return_tensors="pt").input_ids
    base, tuned = (HostedModel("it", one) for one in (scene.donor.pair.base, scene.tuned))
    expected = log_probability(tuned, ids) - log_probability(base, ids)
    assert gains_on(scene.donor, [document]) == [pytest.approx(expected, 1e-3)]
    assert expected > 0.05


def test_the_largest_gains_are_kept_in_the_order_of_writing():
    documents = [Document(name, "written") for name in "abcd"]
    kept, mean = gained_most(documents, [0.1, -math.inf, 0.5, 0.3], 2)
    assert [document.text for document in kept] == ["c", "d"]
    assert mean == pytest.approx(0.4)
    assert gained_most(documents, [-math.inf, -math.inf, 0.5, 0.3], 3)[1] == pytest.approx(0.4)


def test_a_document_without_a_window_is_kept_last(donor, tiny_corpus):
    gains = gains_on(donor, [Document("a", "short"), Document(tiny_corpus[0].text[:160], "cut")])
    assert gains[0] == -math.inf < gains[1]
    with pytest.raises(CorpusError):
        gains_on(donor, [Document("a", "short")])
