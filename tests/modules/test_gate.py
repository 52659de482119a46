"""The gate: causal, exact where shut and where open, the same with a cache and with padding."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import WIDTH, tiny_backbone
from transplant.errors import InputError, ShapeError
from transplant.modules.gate import SPAN, Gate, Gated
from transplant.modules.hosted import HostedModel
from transplant.text.windows import cut_windows
from transplant.training.loop import new_correction

pytestmark = pytest.mark.bits

FAMILIES = ("gpt2", "llama", "mistral", "gemma3_text", "t5")


def draw_gate(d_abi=16, memory=0.9, bias=0.0):
    gate = Gate(d_abi, memory)
    torch.nn.init.normal_(gate.weight, generator=torch.Generator().manual_seed(2))
    gate.bias.fill_(bias)
    return gate


def hosted(family, tokenizer, gate):
    backbone = tiny_backbone(family, tokenizer)
    correction = new_correction(WIDTH, 16, (backbone.n_layers,), seed=0).requires_grad_(False)
    torch.nn.init.normal_(correction.interface.proj_out.weight, std=0.5)
    return HostedModel("m@b", backbone, correction.eval(), gate)


def draw_ids(seq, seed=0, batch=2):
    return torch.randint(5, 300, (batch, seq), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("memory", [0.0, 0.9, 1.0])
def test_evidence_is_the_weighted_sum_of_what_was_said_so_far(memory):
    gate, scores = Gate(4, memory), torch.randn(3, SPAN + 40)
    found = gate.evidence(scores)
    sums = torch.zeros(3)
    for t in range(scores.shape[1]):
        sums = memory * sums + scores[:, t]
        torch.testing.assert_close(found[:, t], sums, atol=1e-4, rtol=1e-4)
    later = gate.evidence(scores[:, 7:], before=found[:, 6])
    torch.testing.assert_close(later, found[:, 7:], atol=1e-4, rtol=1e-4)


def test_a_shut_gate_leaves_the_backbone_bit_for_bit_and_an_open_one_the_module(tiny_tokenizer):
    ids = draw_ids(20)
    model = hosted("llama", tiny_tokenizer, None)
    ungated = model(input_ids=ids).logits
    raw = model.backbone.model(input_ids=ids).logits
    assert (ungated - raw).abs().max() > 0.1
    for bias, wanted in ((-1e4, raw), (1e4, ungated)):
        model.gate = draw_gate(bias=bias)
        assert torch.equal(model(input_ids=ids).logits, wanted)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_position_sees_what_comes_after_it(family, tiny_tokenizer):
    model = hosted(family, tiny_tokenizer, draw_gate())
    start = torch.ones(2, 10, dtype=torch.long)
    ids, other = draw_ids(30), draw_ids(30)
    other[:, 18:] = draw_ids(12, seed=9)

    def logits(tokens):
        if family == "t5":
            return model(input_ids=start, decoder_input_ids=tokens).logits
        return model(input_ids=tokens).logits

    torch.testing.assert_close(logits(ids)[:, :18], logits(other)[:, :18], atol=1e-5, rtol=0)
    assert (logits(ids)[:, 18:] - logits(other)[:, 18:]).abs().max() > 0.1


def gate_that_turns(model, ids, encoder=None):
    """A gate that is open at about half of these positions, and the evidence of each."""
    options = {"input_ids": ids} if encoder is None else {
        "input_ids": encoder, "decoder_input_ids": ids,
    }  # fmt: skip
    seen = {}

    def note(_module, _args, _kwargs, output):
        last = model.backbone.n_layers
        seen["scores"] = Gated(model.correction, model.gate).scores(
            {last: output.last_hidden_state}
        )

    model.gate = draw_gate()
    handle = model.backbone.reader().register_forward_hook(note, with_kwargs=True, prepend=True)
    model(**options)
    handle.remove()
    model.gate.bias.sub_(seen["scores"].mean())
    evidence = model.gate.evidence(seen["scores"] - seen["scores"].mean())
    assert 0.1 < (evidence > 0).float().mean() < 0.9
    return evidence


@pytest.mark.parametrize("family", FAMILIES)
def test_one_token_at_a_time_with_a_cache_gives_the_logits_of_one_pass(family, tiny_tokenizer):
    model = hosted(family, tiny_tokenizer, None)
    ids = draw_ids(24)
    encoder = torch.ones(2, 6, dtype=torch.long) if family == "t5" else None
    gate_that_turns(model, ids, encoder)

    def run(tokens, **options):
        if family == "t5":
            options |= {"input_ids": encoder, "decoder_input_ids": tokens}
        else:
            options["input_ids"] = tokens
        return model(**options)

    whole = run(ids, use_cache=False).logits
    cache, steps = None, []
    for part in (ids[:, :9], *ids[:, 9:].split(1, dim=1)):
        output = run(part, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-4, rtol=1e-4)


def test_without_its_layer_in_the_cache_the_gate_would_forget(tiny_tokenizer):
    model = hosted("llama", tiny_tokenizer, None)
    ids = draw_ids(40)
    gate_that_turns(model, ids)
    whole, cache, forgot = model(input_ids=ids, use_cache=False).logits, None, 0.0
    for t, part in enumerate(ids.split(1, dim=1)):
        output = model(input_ids=part, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        cache.layers.pop()  # the gate's own
        forgot = max(forgot, float((output.logits[:, 0] - whole[:, t]).abs().max()))
    assert forgot > 0.1


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5"])
def test_beams_reorder_the_evidence_with_the_cache(family, tiny_tokenizer):
    model = hosted(family, tiny_tokenizer, None)
    ids = draw_ids(12)
    gate_that_turns(model, ids, ids if family == "t5" else None)
    model.double()  # so that rounding does not choose between two beams
    options = {"num_beams": 3, "max_new_tokens": 12, "do_sample": False}
    cached = model.generate(ids, use_cache=True, **options)
    assert torch.equal(cached, model.generate(ids, use_cache=False, **options))


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_padding_is_no_evidence(family, tiny_tokenizer):
    model = hosted(family, tiny_tokenizer, None)
    ids = draw_ids(14, batch=1)
    gate_that_turns(model, ids)
    model.double()  # so that rounding does not choose between two tokens
    alone = model.generate(ids, max_new_tokens=8, do_sample=False)
    pad = torch.full((1, 6), tiny_tokenizer.pad_token_id)
    padded = torch.cat([pad, ids], dim=1)
    mask = torch.cat([torch.zeros_like(pad), torch.ones_like(ids)], dim=1)
    options = {"attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp_min(0)}
    found = model(input_ids=padded, **options).logits[:, 6:]
    torch.testing.assert_close(found, model(input_ids=ids).logits, atol=1e-4, rtol=1e-4)
    together = model.generate(padded, attention_mask=mask, max_new_tokens=8, do_sample=False)
    assert torch.equal(together[:, 6:], alone)
    # The control: were padding evidence, the gate would open elsewhere.
    large = torch.cat([torch.full((1, 6), 50.0), torch.zeros(1, 14)], dim=1).double()
    assert (model.gate.evidence(large)[:, 6:] > 0).all()


def test_rows_of_several_windows_are_read_apart(tiny_tokenizer, tiny_corpus):
    model = hosted("gpt2", tiny_tokenizer, draw_gate())
    windows = cut_windows(tiny_corpus[:3], tiny_tokenizer, 40)[:4]
    corrector = model.corrector
    states = model.backbone.read(windows, corrector.taps)
    together = corrector(states.taps, states.windows)
    apart = [model.backbone.read([window], corrector.taps) for window in windows]
    alone = torch.cat([corrector(one.taps, one.windows) for one in apart])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match="windows"):
        corrector(states.taps)


def test_a_gate_comes_back_from_its_tensors_and_fits_its_own_width_alone(tiny_tokenizer):
    gate = draw_gate(memory=0.95, bias=0.3)
    again = Gate.from_tensors(gate.state_dict())
    scores = torch.randn(2, 9)
    assert torch.equal(gate.evidence(scores), again.evidence(scores))
    assert torch.equal(gate.scores(torch.ones(3, 16)), again.scores(torch.ones(3, 16)))
    with pytest.raises(ShapeError, match="another z"):
        hosted("gpt2", tiny_tokenizer, draw_gate(d_abi=8))
    with pytest.raises(InputError, match="memory"):
        Gate(8, memory=1.5)
