"""A donor beside its target: what it says is added where both have read as far, nowhere else."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import WIDTH, rotated_twin, tiny_backbone
from transplant.alignment.likely import LikelyTokens
from transplant.alignment.tokens import count_tokens
from transplant.calibration import large_vocabulary, likely_rows
from transplant.calibration.changes.inside import Heads, Within, changes_inside
from transplant.calibration.changes.spec import CHANGES, LACKING
from transplant.calibration.changes.table import WAYS
from transplant.calibration.changes.way import ChangeWeights
from transplant.calibration.config import CONTINUED, MoveConfig
from transplant.calibration.output_map import map_outputs
from transplant.evaluation.likelihood import score_documents
from transplant.modules.correction import Correction
from transplant.modules.forms import MlpModule
from transplant.modules.hosted import HostedModel
from transplant.modules.interface import Interface
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.start import new_lora
from transplant.surgery.lora.update import LoraUpdate, Pair
from transplant.text.documents import Document
from transplant.text.offsets import match_positions, rows_before, unmatched
from transplant.text.tokenizers import train_tokenizer
from transplant.text.windows import cut_windows
from transplant.workflows.move.side_by_side import Beside, score_beside

DOCUMENTS = (0, 1, 1, 2)  # the second document is in two pieces


def correction_of(width, seed):
    generator = torch.Generator().manual_seed(seed)
    interface = Interface(width, 8, (-1,), generator=generator)
    torch.nn.init.normal_(interface.proj_out.weight, generator=generator)
    module = MlpModule(8).untrained(generator)
    return Correction(interface, module).requires_grad_(False).eval()


@pytest.fixture(scope="module")
def donor(tiny_texts):
    tokenizer = train_tokenizer("bpe", tiny_texts, 330, context=128)
    backbone = tiny_backbone("llama", tokenizer, seed=1)
    return HostedModel("tales@tiny-llama", backbone, correction_of(WIDTH, 5))


@pytest.fixture(scope="module")
def texts(tiny_corpus):
    return [Document(one.text[:200], "text") for one in tiny_corpus[: len(DOCUMENTS)]]


def beside(donor, target, texts, systems, ways, config=None):
    counts = count_tokens(
        donor.backbone.tokenizer(texts[0].text)["input_ids"], donor.backbone.tokenizer
    )
    maps = map_outputs(donor.backbone, target, counts, config or MoveConfig())
    return score_beside(donor, target, texts, DOCUMENTS, maps, systems, ways)


def test_beside_its_twin_a_donor_predicts_as_at_home(donor, texts):
    generator = torch.Generator().manual_seed(4)
    rotation, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator))
    twin = rotated_twin(donor.backbone, rotation)
    ways = {
        "module": Beside(raw_weight=0.0, gain=1.0),
        "full": Beside(raw_weight=1.0, gain=1.0),
        "word": Beside(raw_weight=1.0, gain=1.0, module=False),
        "half": Beside(raw_weight=0.0, gain=0.5),
    }
    scores = beside(donor, twin, texts, {"raw": None}, ways)
    assert scores.paired_share == 1.0
    windows = cut_windows(texts, donor.backbone.tokenizer, 128)
    home = {"raw": None, "hosted": donor.correction}
    home = score_documents(donor.backbone, windows, home)
    found = scores.likelihoods
    assert len(found["raw"].tokens) == 3  # documents, not texts
    # Special tokens begin with none of the donor's: they get the change that is expected.
    assert found["module"].per_token == pytest.approx(home["hosted"].per_token, rel=1e-4)
    assert found["raw"].per_token == pytest.approx(home["raw"].per_token, rel=1e-5)
    assert abs(found["module"].per_token - found["raw"].per_token) > 1e-3
    # A twin says already what the donor says without its module.
    assert found["full"].per_token == pytest.approx(found["module"].per_token, rel=1e-4)
    assert found["word"].per_token == pytest.approx(found["raw"].per_token, rel=1e-4)
    assert found["half"].per_token != pytest.approx(found["module"].per_token, rel=1e-4)


def test_a_lora_is_scored_at_work_inside_the_target(donor, texts):
    """On the same windows as all else, and nothing of it stays behind."""
    backbone, draw = donor.backbone, torch.Generator().manual_seed(7)
    start = new_lora(backbone, 2, 4.0).pairs
    pairs = {
        n: Pair(p.a.detach(), torch.randn(p.b.shape, generator=draw), None, 2.0)
        for n, p in start.items()
    }
    lora = LoraModel("lora", backbone, LoraUpdate(pairs, {}))
    systems = {"lora": lora, "raw": None, "hosted": donor.correction}
    scores = beside(donor, backbone, texts, systems, {"module": Beside(gain=1.0)})
    windows = cut_windows(texts, backbone.tokenizer, 128)
    expected = score_documents(backbone, windows, systems)
    found = {name: one.per_token for name, one in scores.likelihoods.items()}
    for name, one in expected.items():
        assert found[name] == pytest.approx(one.per_token, rel=1e-5)
    assert abs(found["lora"] - found["raw"]) > 1e-2  # control: it does something
    assert found["module"] == pytest.approx(found["hosted"], rel=1e-4)


def test_where_no_token_of_the_donor_ends_the_other_system_speaks(donor, texts, tiny_texts):
    digits = train_tokenizer("bpe-digits", tiny_texts, 360, context=128)
    target = tiny_backbone("llama", digits, seed=3, hidden_size=48)
    moved = correction_of(48, 6)
    ways = {
        "silent": Beside(raw_weight=0.5, gain=0.0),
        "silent, moved": Beside(raw_weight=0.5, gain=0.0, elsewhere="moved"),
        "half": Beside(raw_weight=0.5, gain=1.0),
    }
    scores = beside(donor, target, texts, {"raw": None, "moved": moved}, ways)
    found = {name: one.per_token for name, one in scores.likelihoods.items()}
    assert 0.1 < scores.paired_share < 1.0
    assert found["silent"] == pytest.approx(found["raw"])
    assert min(found["raw"], found["moved"]) < found["silent, moved"]
    assert found["silent, moved"] < max(found["raw"], found["moved"])
    assert found["half"] != pytest.approx(found["raw"], rel=1e-4)


@pytest.mark.parametrize("change", CHANGES)
def test_a_large_vocabulary_is_scored_by_its_likely_tokens(
    donor, texts, tiny_texts, change, monkeypatch
):
    other = train_tokenizer("bpe-digits", tiny_texts, 360, context=128)
    target = tiny_backbone("gemma2", other, seed=3, final_logit_softcapping=20.0)
    ways = {
        "module": Beside(gain=0.75, change=change),
        "both": Beside(raw_weight=0.5, gain=1.25, change=change),
        "ratio": Beside(raw_weight=0.5, change=change, module=False),
    }
    dense = beside(donor, target, texts, {"raw": None}, ways).likelihoods
    monkeypatch.setattr(large_vocabulary, "WHOLE", 100)
    found = {}
    for kept in (40, 1):
        monkeypatch.setattr(large_vocabulary, "TARGETS", kept)
        monkeypatch.setattr(likely_rows, "DONORS", kept)
        found[kept] = beside(donor, target, texts, {"raw": None}, ways).likelihoods
    for name, one in dense.items():
        assert found[40][name].per_token == pytest.approx(one.per_token, rel=1e-4)
    # Predictions of a random model are flat: what is left out is much of them.
    assert found[1]["both"].per_token != pytest.approx(dense["both"].per_token, rel=1e-3)
    assert dense["both"].per_token != pytest.approx(dense["raw"].per_token, rel=1e-3)


@pytest.mark.parametrize("change", CHANGES)
def test_inside_its_tokens_a_donor_goes_on(donor, texts, tiny_texts, change):
    """The loss of each row there, from the change of all tokens that a fit would want."""
    digits = train_tokenizer("bpe-digits", tiny_texts, 360, context=128)
    target = tiny_backbone("llama", digits, seed=3, hidden_size=48)
    ways = {
        "silent": Beside(gain=0.0, change=change),
        "module": Beside(gain=0.75, change=change),
        "both": Beside(raw_weight=0.5, gain=0.75, change=change),
        "ratio": Beside(raw_weight=0.5, change=change, module=False),
        "moved": Beside(gain=0.75, change=change, elsewhere="other"),
    }
    systems = {"raw": None, "other": correction_of(48, 6)}
    stopped = beside(donor, target, texts, systems, ways).likelihoods
    config = MoveConfig(inside=CONTINUED)
    gone_on = beside(donor, target, texts, systems, ways, config).likelihoods
    assert gone_on["silent"].per_token == pytest.approx(gone_on["raw"].per_token, rel=1e-5)
    assert gone_on["moved"].per_token == pytest.approx(stopped["moved"].per_token, rel=1e-6)

    counts = count_tokens(donor.backbone.tokenizer(texts[0].text)["input_ids"],
                          donor.backbone.tokenizer)  # fmt: skip
    maps = map_outputs(donor.backbone, target, counts, config)
    everything = {"likely": target.vocab_size, "rest": 0}
    for name in ("module", "both", "ratio"):
        way, differs = ways[name], 0.0
        for text in texts:
            (left,), (right,) = (
                cut_windows([text], side.tokenizer, 128) for side in (donor.backbone, target)
            )
            ours = donor.backbone.read([left], donor.correction.taps)
            theirs = target.read([right]).labelled()
            ends = (ours.ends, ours.windows, theirs.ends, theirs.windows)
            _, paired = match_positions(*ends)
            b, a = rows_before(*ends, unmatched(paired, len(theirs)))
            if not len(b):
                continue
            before = ours.select(a)
            learned = way.module * donor.correction(before.taps)
            logits = target.head(theirs.h_last[b])
            every = torch.arange(target.vocab_size).expand_as(logits)
            total = logits.logsumexp(1)
            within = Within(before.h_last, learned, theirs.h_last[b],
                            LikelyTokens(every, logits, total, total))  # fmt: skip
            read = [
                text.text[start:end].encode()
                for start, end in zip(ours.ends[a].tolist(), theirs.ends[b].tolist(), strict=True)
            ]
            found = changes_inside(
                within, read, Heads(maps.donor, None, maps.continuations), WAYS[change],
                ChangeWeights(raw_weight=way.raw_weight), **everything,
            )  # fmt: skip
            moved = torch.zeros_like(logits).scatter(1, found.tokens, found.change)
            labels = theirs.labels[b]
            losses = [
                torch.nn.functional.cross_entropy(logits + gain * moved, labels, reduction="sum")
                for gain in (0.0, way.gain)
            ]
            differs += float(losses[1] - losses[0])
        tokens = sum(gone_on[name].tokens)
        whole = (gone_on[name].per_token - stopped[name].per_token) * tokens
        assert whole == pytest.approx(differs, rel=1e-3, abs=1e-3)
        assert abs(differs) > 0.05


def test_a_large_vocabulary_goes_on_as_a_small_one(donor, texts, tiny_texts, monkeypatch):
    other = train_tokenizer("bpe-digits", tiny_texts, 360, context=128)
    target = tiny_backbone("gemma2", other, seed=3, final_logit_softcapping=20.0)
    ways = {
        "module": Beside(gain=0.75, change=LACKING),
        "both": Beside(raw_weight=0.5, gain=1.25, change=LACKING),
    }
    config = MoveConfig(inside=CONTINUED)
    dense = beside(donor, target, texts, {"raw": None}, ways, config).likelihoods
    monkeypatch.setattr(large_vocabulary, "WHOLE", 100)
    monkeypatch.setattr(large_vocabulary, "TARGETS", 40)
    monkeypatch.setattr(likely_rows, "DONORS", 40)
    likely = beside(donor, target, texts, {"raw": None}, ways, config).likelihoods
    for name, one in dense.items():
        assert likely[name].per_token == pytest.approx(one.per_token, rel=1e-4)
