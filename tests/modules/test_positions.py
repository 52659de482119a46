"""Generated text ends where the model's positions do, with no warning of `transformers`."""

from __future__ import annotations

import logging

import pytest
import torch

from tests.modules.test_modules import busy_correction
from tests.tiny import tiny_backbone
from transplant.errors import InputError
from transplant.modules.hosted import HostedModel
from transplant.modules.positions import position_count

LONGEST = {"max_new_tokens": 10_000, "min_new_tokens": 10_000, "do_sample": False}


@pytest.fixture
def warnings(caplog):
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    yield lambda: [it.getMessage() for it in caplog.records if "maximum length" in it.getMessage()]
    logger.removeHandler(caplog.handler)


@pytest.fixture
def hosted(tiny_tokenizer):
    def make(family, raw=False):
        backbone = tiny_backbone(family, tiny_tokenizer)
        return HostedModel("m@b", backbone, None if raw else busy_correction(backbone))

    return make


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("family", ["gpt2", "llama", "opt"])
@pytest.mark.parametrize("left", [1, 3])
def test_text_ends_at_the_last_position_without_a_warning(hosted, warnings, family, raw, left):
    model = hosted(family, raw)
    room = position_count(model.backbone.model.config)
    ids = torch.ones((2, room - left), dtype=torch.long)
    for given in (((ids,), {}), ((), {"input_ids": ids})):
        found = model.generate(*given[0], attention_mask=ids, **given[1], **LONGEST)
        assert found.shape == (2, room)
    beams = model.generate(ids, attention_mask=ids, num_beams=2, **LONGEST)
    assert beams.shape == (2, room)
    assert model.generate(ids, attention_mask=ids, max_length=10_000).shape[1] <= room
    assert not warnings()


def test_model_of_itself_goes_past_its_positions_and_warns(hosted, warnings):
    """The control: it is this that stops it."""
    model = hosted("llama", raw=True)
    room = position_count(model.backbone.model.config)
    ids = torch.ones((1, room - 1), dtype=torch.long)
    options = {**LONGEST, "max_new_tokens": 3, "min_new_tokens": 3}
    assert model.backbone.model.generate(ids, attention_mask=ids, **options).shape[1] > room
    assert warnings()


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt"])
@pytest.mark.parametrize("over", [0, 1])
def test_prompt_that_leaves_no_position_is_refused_by_name(hosted, family, over):
    model = hosted(family)
    room = position_count(model.backbone.model.config)
    ids = torch.ones((1, room + over), dtype=torch.long)
    with pytest.raises(InputError, match=f"at most {room - 1} tokens.*{room + over} tokens"):
        model.generate(ids, max_new_tokens=1)


def test_embeddings_as_a_prompt_take_positions_too(hosted, warnings):
    model = hosted("llama")
    room = position_count(model.backbone.model.config)
    table = model.backbone.model.get_input_embeddings()
    prompt = table(torch.ones((1, room - 4), dtype=torch.long))
    assert model.generate(inputs_embeds=prompt, **LONGEST).shape == (1, 4)
    assert not warnings()


def test_caller_may_stop_it_before_and_relative_positions_have_no_end(hosted):
    model = hosted("gpt2")
    ids = torch.ones((1, 2), dtype=torch.long)
    stop = [lambda ids, _scores, **_: torch.full((len(ids),), ids.shape[1] >= 5)]
    found = model.generate(ids, attention_mask=ids, stopping_criteria=stop, **LONGEST)
    assert found.shape[1] == 5
    relative = hosted("t5")
    assert position_count(relative.backbone.model.config) is None
    options = {"max_new_tokens": 40, "min_new_tokens": 40, "do_sample": False}
    assert relative.generate(ids, attention_mask=ids, **options).shape[1] == 41
