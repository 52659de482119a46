"""Targets by name."""

from __future__ import annotations

import pytest

from tests.tiny import tiny_backbone
from transplant.errors import InputError
from transplant.tracing.places import Places
from transplant.tracing.targets import parse_targets


@pytest.fixture(scope="module")
def places(tiny_tokenizer) -> Places:
    return Places(tiny_backbone("llama", tiny_tokenizer, num_hidden_layers=3))


def names(text, places) -> list[str]:
    return [target.name for target in parse_targets(text, places)]


def test_names_come_back_as_they_are_typed(places):
    assert names("layer:2.resid, ffn:1,head:0.3,attn:2", places) == [
        "head:0.3", "ffn:1", "attn:2", "layer:2.resid",
    ]  # fmt: skip


def test_auto_is_every_head_and_every_feed_forward_part(places, tiny_tokenizer):
    assert len(names("auto", places)) == 3 * (4 + 1)
    t5 = names("auto", Places(tiny_backbone("t5", tiny_tokenizer)))
    assert len(t5) == 2 * (4 + 4 + 1)
    assert "cross:1.3" in t5


def test_stars_and_ranges_stand_for_numbers(places):
    assert names("head:1.*", places) == [f"head:1.{n}" for n in range(4)]
    assert names("ffn:1-2", places) == ["ffn:1", "ffn:2"]
    assert names("layer:*.resid", places) == [f"layer:{n}.resid" for n in range(3)]
    assert len(names("head:0-1.2-3", places)) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("head:3.0", "a block from 0 to 2"),
        ("head:0.4", "a head from 0 to 3"),
        ("head:0", "head:3.2"),
        ("ffn:1.2", "head:3.2"),
        ("layer:1", "layer:5.resid"),
        ("head:0.resid", "head:3.2"),
        ("ffn:2-1", "ranges ascending"),
        ("ffn:0,", "an empty name"),
        ("", "an empty name"),
        ("neuron:1", "neuron:1"),
        ("ffn:1,ffn:*", "each once"),
        ("cross:0.1", "no attention to an encoder"),
    ],
)
def test_what_is_no_target_is_refused(text, said, places):
    with pytest.raises(InputError) as refused:
        parse_targets(text, places)
    assert said in str(refused.value)
