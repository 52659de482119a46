"""A move whose pairs come from files is the move that runs both backbones on the same windows."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.calibration.by_closed_form import calibrate
from tests.tiny import tiny_backbone
from transplant.activations.capture import Taps, capture, token_table
from transplant.activations.layout import CaptureHeader
from transplant.activations.moments import SUMS, CrossMoments
from transplant.activations.reader import Activations
from transplant.activations.row_pairs import from_backbone, from_file, moments_of
from transplant.activations.splits import windows_by_side
from transplant.activations.writer import ActivationWriter
from transplant.alignment.tokens import count_tokens
from transplant.calibration.config import MoveConfig
from transplant.calibration.move import Pairing, align, want
from transplant.calibration.output_map import map_outputs
from transplant.calibration.pairs import pair_text
from transplant.calibration.pairs_from_files import pair_captured
from transplant.errors import CorpusError, InputError
from transplant.modules.hosted import HostedModel
from transplant.text.documents import Document
from transplant.text.splits import split_documents
from transplant.text.tokenizers import train_tokenizer
from transplant.text.windows import cut_windows
from transplant.training.file_rows import file_rows
from transplant.training.loop import new_correction

WINDOW = 128
# Of an untrained donor the best gain is 0, and all weights would be: gains above it alone.
CONFIG = MoveConfig(
    excerpts=10**6, held_out_excerpts=10**6, stride=1, likely_tokens=400, gains=(0.5, 1.0)
)


def write(path, backbone, documents):
    """Captures every layer of the documents."""
    windows = cut_windows(documents, backbone.tokenizer, WINDOW)
    tokens = token_table(backbone, documents, windows, "none")
    taps = Taps(tuple(map(str, backbone.all_taps)))
    header = CaptureHeader(
        backbone=backbone.name, family=backbone.family, backbone_sha256=backbone.weights_sha256,
        tokenizer_sha256=backbone.tokenizer_sha256, corpus="tales", corpus_fingerprint="0" * 64,
        window=WINDOW, pool="none", dtype="fp32", taps=taps.names,
        widths=(backbone.d_model,) * len(taps.names), made={},
    )  # fmt: skip
    with ActivationWriter.create(path, header, tokens) as writer:
        capture(backbone, windows, tokens, taps, writer, dtype="fp32", pool="none")
    return path


@dataclasses.dataclass(frozen=True)
class Scene:
    """A donor with a module, a target of another family and tokenizer, and their files."""

    donor: HostedModel
    target: object
    documents: list
    paths: tuple
    counts: dict


@pytest.fixture(scope="module")
def scene(tiny_texts, tmp_path_factory):
    bpe = train_tokenizer("bpe", tiny_texts, 330, context=WINDOW)
    digits = train_tokenizer("bpe-digits", tiny_texts, 360, context=WINDOW)
    donor_backbone = tiny_backbone("gpt2", bpe, seed=1)
    target = tiny_backbone("llama", digits, seed=3, hidden_size=48)
    documents = [Document(text[:200], "tales") for text in tiny_texts]  # each of them one window
    folder = tmp_path_factory.mktemp("captured")
    paths = tuple(write(folder / f"{b.name}.h5", b, documents) for b in (donor_backbone, target))
    correction = new_correction(donor_backbone.d_model, 16, donor_backbone.all_taps, seed=0)
    seeded = torch.Generator().manual_seed(1)
    torch.nn.init.normal_(correction.interface.proj_out.weight, std=0.2, generator=seeded)
    counts = count_tokens((i for d in documents for i in bpe(d.text).input_ids), bpe)
    donor = HostedModel("tales@tiny-gpt2", donor_backbone, correction.requires_grad_(False).eval())
    return Scene(donor, target, documents, paths, counts)


@pytest.fixture
def files(scene):
    with Activations.open(scene.paths[0]) as ours, Activations.open(scene.paths[1]) as theirs:
        yield ours, theirs


def calibrated(scene, pairing, calibration):
    output_map = map_outputs(scene.donor.backbone, scene.target, scene.counts, CONFIG)
    bridge, wanted = align(pairing, CONFIG), want(pairing, output_map, CONFIG)
    return calibrate(pairing, bridge.interface, wanted, calibration, CONFIG)


def test_the_weights_are_those_of_the_live_move(scene, files, monkeypatch):
    splits = split_documents(scene.documents)
    live = Pairing(
        scene.donor, scene.target,
        *(
            pair_text(
                scene.donor.backbone, scene.target, side,
                scene.donor.correction.taps, scene.target.all_taps,
            )
            for side in (splits.train, splits.calibration)
        ),
    )  # fmt: skip
    windows = cut_windows(splits.calibration, scene.target.tokenizer, WINDOW)
    expected = calibrated(scene, live, windows)

    def no_backbone(*_, **__):
        raise AssertionError("a backbone ran")

    for backbone in (scene.donor.backbone, scene.target):
        monkeypatch.setattr(backbone, "read", no_backbone)
    pairing = pair_captured(scene.donor, scene.target, files, scene.counts, CONFIG)
    sides = windows_by_side(files[1])
    rows = file_rows(scene.target, files[1], sides["calibration"], scene.target.all_taps, 10**6)
    found = calibrated(scene, pairing, rows)
    assert pairing.fitted.rows == live.fitted.rows
    assert pairing.held_out.rows == live.held_out.rows
    assert pairing.fitted.paired_share == pytest.approx(live.fitted.paired_share)
    assert found.gain == expected.gain
    other = found.correction.state_dict()
    for name, tensor in expected.correction.state_dict().items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-3, atol=1e-4, msg=name)
    assert expected.correction.interface.proj_out.weight.abs().max() > 1e-2  # not all zeros


def test_windows_most_like_the_domain_are_paired(scene, files):
    few = dataclasses.replace(CONFIG, excerpts=1, held_out_excerpts=1, excerpt_chars=400)
    pairing = pair_captured(scene.donor, scene.target, files, scene.counts, few)
    assert 0 < pairing.fitted.rows < 400
    thinned = dataclasses.replace(CONFIG, stride=3)
    every = pair_captured(scene.donor, scene.target, files, scene.counts, CONFIG)
    third = pair_captured(scene.donor, scene.target, files, scene.counts, thinned)
    assert third.fitted.rows == pytest.approx(every.fitted.rows / 3, rel=0.05)


def test_files_that_do_not_serve_are_refused(scene, files, tmp_path):
    ours, theirs = files
    with pytest.raises(InputError, match="other weights"):
        pair_captured(scene.donor, scene.target, (theirs, ours), scene.counts, CONFIG)
    elsewhere = [Document(f"{d.text} {n}", "tales") for n, d in enumerate(scene.documents)]
    path = write(tmp_path / "other.h5", scene.target, elsewhere)
    with (
        Activations.open(path) as other,
        pytest.raises(CorpusError, match="pair at no position"),
    ):
        pair_captured(scene.donor, scene.target, (ours, other), scene.counts, CONFIG)


def test_moments_of_a_file_are_those_of_the_backbone(scene, files):
    windows = cut_windows(scene.documents, scene.target.tokenizer, WINDOW)
    live = moments_of(from_backbone(scene.target, windows, "0", "2"))
    stored = moments_of(from_file(files[1], "0", "2"))
    halves = [
        moments_of(from_backbone(scene.target, part, "0", "2"))
        for part in (windows[::2], windows[1::2])
    ]
    merged = CrossMoments.from_tensors(halves[0].as_tensors())
    merged.merge(halves[1])
    for other in (stored, merged):
        assert other.count == live.count == files[1].rows
        for name in SUMS:
            torch.testing.assert_close(
                getattr(other, name), getattr(live, name), rtol=1e-5, atol=1e-3
            )
    swapped = moments_of(from_file(files[1], "2", "0"))
    assert not torch.allclose(swapped.xx, live.xx, rtol=1e-2)
    with pytest.raises(InputError, match="moments of no rows"):
        moments_of([])
