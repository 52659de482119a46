"""Training a whole model: it learns, it resumes to the same bytes, what is frozen stays."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from tests.tiny import tiny_model
from transplant.backbones.fingerprint import hash_parameters
from transplant.backbones.reference import REFERENCES
from transplant.errors import InputError
from transplant.text.windows import pack_tokens
from transplant.training import precision
from transplant.training import pretrain as pretraining
from transplant.training.checkpoint import CheckpointFile
from transplant.training.config import PretrainConfig
from transplant.training.optimizer import make_adamw
from transplant.training.pretrain import pretrain, pretrain_cycles

pytestmark = pytest.mark.bits

STEPS_12 = PretrainConfig(tokens=32 * 4 * 12, batch=4, learning_rate=5e-3)


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_the_loss_falls(family, tiny_tokenizer, tiny_corpus):
    model = tiny_model(family, tiny_tokenizer)
    rows = pack_tokens(tiny_corpus, tiny_tokenizer, 32)
    losses = []

    def record(_step, _steps, note):
        losses.append(float(note.removeprefix("loss ")))

    config = PretrainConfig(tokens=32 * 8 * 40, learning_rate=5e-3)
    tail = pretrain(model, rows, config, progress=record)
    assert len(losses) == 40
    assert tail < losses[0] - 0.5
    assert not model.training


def test_the_same_seed_builds_the_same_model(tiny_tokenizer):
    for name in ("ref-gpt2", "ref-llama", "ref-t5"):
        one, two = (REFERENCES[name].make_model(tiny_tokenizer) for _ in range(2))
        assert all(
            torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True)
        )
    first, second = (REFERENCES[n].make_model(tiny_tokenizer) for n in ("ref-gpt2", "ref-gpt2-b"))
    assert not torch.equal(next(first.parameters()), next(second.parameters()))


def test_no_tokens_are_refused():
    with pytest.raises(InputError, match="`tokens`: expected at least 1, found 0"):
        PretrainConfig(tokens=0)


class Recorder(nn.Module):
    """A model of one embedding that notes which rows it reads; row i is made of token i."""

    def __init__(self, vocab: int) -> None:
        super().__init__()
        self.config = SimpleNamespace(is_encoder_decoder=False)
        self.embed = nn.Embedding(vocab, vocab)
        self.seen: list[int] = []

    def forward(self, input_ids: torch.Tensor) -> SimpleNamespace:
        self.seen += input_ids[:, 0].tolist()
        return SimpleNamespace(logits=self.embed(input_ids))


def rows_in_order(seed: int) -> list[int]:
    """The rows of five steps of four, out of ten rows: two passes."""
    model = Recorder(10)
    rows = np.arange(10, dtype=np.int32)[:, None].repeat(6, axis=1)
    pretrain(model, rows, PretrainConfig(tokens=5 * 4 * 6, batch=4, seed=seed))
    return model.seen


def test_every_pass_reads_every_row_once_in_an_order_of_its_own():
    order = rows_in_order(0)
    first, second = order[:10], order[10:]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert order == rows_in_order(0)
    assert order != rows_in_order(1)


@pytest.fixture(scope="module")
def rows(tiny_corpus, tiny_tokenizer):
    return pack_tokens(tiny_corpus[:12], tiny_tokenizer, 32)


def stop_at(step):
    def progress(done: int, *_: object) -> None:
        if done == step:
            raise KeyboardInterrupt

    return progress


def file_of(folder, config=STEPS_12):
    return CheckpointFile(folder / "run.safetensors", dataclasses.asdict(config))


# The mean loss is of the last two of twelve steps: the second case is stopped between them.
@pytest.mark.parametrize(("every", "stop"), [(3, 5), (11, 11)])
@pytest.mark.parametrize("family", ["layercake", "t5"])
def test_a_resumed_run_ends_with_the_bytes_and_the_loss_of_a_whole_one(
    family, every, stop, tmp_path, tiny_tokenizer, rows, monkeypatch
):
    monkeypatch.setattr("transplant.training.pretrain.SAVE_EVERY", every)
    whole = tiny_model(family, tiny_tokenizer)
    tail = pretrain(whole, rows, STEPS_12)

    stopped, file = tiny_model(family, tiny_tokenizer), file_of(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        pretrain(stopped, rows, STEPS_12, checkpoint=file, progress=stop_at(stop))
    assert file.load().progress["step"] == stop - stop % every
    assert hash_parameters(stopped) != hash_parameters(whole)

    resumed, steps = tiny_model(family, tiny_tokenizer, seed=9), []  # what it held is replaced
    found = pretrain(
        resumed, rows, STEPS_12, checkpoint=file, resume=True,
        progress=lambda step, *_: steps.append(step),
    )  # fmt: skip
    assert steps[0] == stop - stop % every + 1
    assert hash_parameters(resumed) == hash_parameters(whole)
    assert found == tail
    assert not resumed.training


def test_without_the_state_of_the_optimizer_a_resumed_run_ends_elsewhere(
    tmp_path, tiny_tokenizer, rows, monkeypatch
):
    """The control of the test above: weights and step alone are not enough."""
    monkeypatch.setattr("transplant.training.pretrain.SAVE_EVERY", 3)
    whole, model = (tiny_model("layercake", tiny_tokenizer) for _ in range(2))
    pretrain(whole, rows, STEPS_12)
    with pytest.raises(KeyboardInterrupt):
        pretrain(model, rows, STEPS_12, checkpoint=file_of(tmp_path), progress=stop_at(5))
    monkeypatch.setattr("transplant.training.pretrain.restore_optimizer", lambda *_: None)
    pretrain(model, rows, STEPS_12, checkpoint=file_of(tmp_path), resume=True)
    assert hash_parameters(model) != hash_parameters(whole)


def test_resuming_with_another_recipe_is_refused(tmp_path, tiny_tokenizer, rows, monkeypatch):
    monkeypatch.setattr("transplant.training.pretrain.SAVE_EVERY", 3)
    model = tiny_model("layercake", tiny_tokenizer)
    with pytest.raises(KeyboardInterrupt):
        pretrain(model, rows, STEPS_12, checkpoint=file_of(tmp_path), progress=stop_at(5))
    before = hash_parameters(model)
    other = dataclasses.replace(STEPS_12, learning_rate=1e-3)
    with pytest.raises(InputError, match="learning_rate differs"):
        pretrain(model, rows, other, checkpoint=file_of(tmp_path, other), resume=True)
    assert hash_parameters(model) == before
    pretrain(model, rows, STEPS_12, checkpoint=file_of(tmp_path), resume=True)  # its own is not


def test_frozen_parameters_keep_their_bits_while_the_others_move(
    tmp_path, tiny_tokenizer, rows, monkeypatch
):
    monkeypatch.setattr("transplant.training.pretrain.SAVE_EVERY", 3)
    whole, resumed = (tiny_model("layercake", tiny_tokenizer) for _ in range(2))
    before = {name: p.detach().clone() for name, p in whole.named_parameters()}
    for model in (whole, resumed):
        model.model.domain_modules.requires_grad_(False)
        model.model.embed_tokens.requires_grad_(False)
    pretrain(whole, rows, STEPS_12)
    for name, parameter in whole.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name
    with pytest.raises(KeyboardInterrupt):
        pretrain(resumed, rows, STEPS_12, checkpoint=file_of(tmp_path), progress=stop_at(5))
    pretrain(resumed, rows, STEPS_12, checkpoint=file_of(tmp_path), resume=True)
    assert hash_parameters(resumed) == hash_parameters(whole)


def test_the_optimizer_takes_what_asks_for_a_gradient_and_decays_matrices_alone():
    model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 2))
    model[2].requires_grad_(False)
    optimizer = make_adamw(model.parameters(), 0.1, 0.5, (0.9, 0.95))
    decayed, plain = optimizer.param_groups
    assert [id(p) for p in decayed["params"]] == [id(model[0].weight)]
    assert {id(p) for p in plain["params"]} == {
        id(p) for p in (model[0].bias, model[1].weight, model[1].bias)
    }
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # without a gradient the decay is all that moves
    for name, parameter in model.named_parameters():
        factor = 1 - 0.1 * 0.5 if name == "0.weight" else 1.0
        torch.testing.assert_close(parameter, factor * before[name])
        assert torch.equal(parameter, before[name]) == (name != "0.weight")


def test_what_starts_late_rests_for_half_of_the_steps(tiny_tokenizer, rows):
    core = tiny_model("layercake", tiny_tokenizer)
    late, other = core.model.abi_to_core.weight, core.model.core_to_abi.weight
    first = {id(p): p.detach().clone() for p in (late, other)}
    seen = []

    def look(step, _total, _note):
        seen.append([step, *(torch.equal(p, first[id(p)]) for p in (late, other))])

    pretrain(core, rows, STEPS_12, progress=look)
    assert [rested for _, rested, _ in seen] == [True] * 6 + [False] * 6
    assert not any(rested for *_, rested in seen)  # the control learns from the first step


def test_a_whole_run_removes_what_a_killed_write_of_its_checkpoint_left(tmp_path):
    file = CheckpointFile(tmp_path / "run.safetensors", {})
    file.path.write_bytes(b"whole")
    file.path.with_suffix(".partial").write_bytes(b"half")
    (other := tmp_path / "other.partial").write_bytes(b"half")
    file.remove()
    assert list(tmp_path.iterdir()) == [other]


@pytest.mark.parametrize("family", ["layercake", "gpt2", "llama"])
def test_behind_a_large_vocabulary_a_step_is_the_same_and_holds_few_logits(
    family, tiny_tokenizer, rows, monkeypatch
):
    monkeypatch.setattr(precision, "multiplies", lambda *_: False)  # products are not rounded
    held, found = [], {}
    for logits in (1 << 26, 0):
        monkeypatch.setattr(pretraining, "LOGITS", logits)
        monkeypatch.setattr(pretraining, "BLOCK", 5 * len(tiny_tokenizer))
        model = tiny_model(family, tiny_tokenizer).train()
        model.get_output_embeddings().register_forward_hook(
            lambda _module, _given, made: held.append(made.numel() // made.shape[-1])
        )
        held.clear()
        ids = torch.from_numpy(rows[:4].astype("int64"))
        loss = pretraining._loss(model, ids)
        loss.backward()
        found[logits] = (
            loss.detach(),
            [p.grad for p in model.parameters() if p.grad is not None],
            max(held),
        )
    (whole, slopes, most), (parts, others, few) = found.values()
    assert (most, few) == (ids.numel(), 5)
    torch.testing.assert_close(parts, whole)
    for one, other in zip(slopes, others, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-6)


def test_several_runs_count_on_to_the_end_of_the_last(tiny_tokenizer, rows):
    seen, tokens = [], PretrainConfig.batch * rows.shape[1]
    cycles = [(2 * tokens, 1e-3), (3 * tokens, 1e-4)]
    model = tiny_model("layercake", tiny_tokenizer)
    pretrain_cycles(model, rows, cycles, 0, lambda step, total, _: seen.append((step, total)))
    assert seen == [(step, 5) for step in range(1, 6)]


@pytest.mark.parametrize("native", [True, False])
def test_matrices_are_rounded_where_the_processor_multiplies_16_bits_alone(
    native, tiny_tokenizer, tiny_corpus, monkeypatch
):
    """Emulated, a step takes several times as long as in single precision."""
    monkeypatch.setattr(precision, "multiplies", lambda *_: native)
    model, seen = tiny_model("gpt2", tiny_tokenizer), set()
    model.lm_head.register_forward_hook(lambda _module, _given, logits: seen.add(logits.dtype))
    pretrain(model, pack_tokens(tiny_corpus, tiny_tokenizer, 32), STEPS_12)
    assert seen == {torch.bfloat16 if native else torch.float32}
