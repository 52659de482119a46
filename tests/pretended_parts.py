"""Parts of the library on a device, which report what they computed; `tests.warm_abi` runs it.

They are what a backbone on a GPU meets beside what was fitted, drawn or stored on the processor.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from tests.conftest import write_document
from tests.pretended_device import NAME, Refused
from tests.tiny import tiny_backbone
from transplant.alignment.between import fit_between
from transplant.backbones.view import Backbone
from transplant.calibration.general import General, share_of_nats
from transplant.calibration.objectives.batches import Batch
from transplant.calibration.objectives.config import LearnConfig
from transplant.calibration.objectives.corr_closed import solve_for
from transplant.modules.correction import Correction
from transplant.modules.hosted import HostedModel
from transplant.progress import SilentReporter
from transplant.surgery.embeddings.config import EmbedConfig
from transplant.surgery.embeddings.vocabulary import input_table, spelled_in, with_vocabulary
from transplant.surgery.inject.config import InjectConfig
from transplant.surgery.inject.controls import random_like
from transplant.surgery.inject.graft import Bare, Graft
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.on_head import name_of_head
from transplant.surgery.lora.update import LoraUpdate, Pair
from transplant.text.documents import Document
from transplant.text.tokenizers import train_tokenizer
from transplant.text.windows import cut_windows
from transplant.training.config import TrainConfig, UpdateConfig
from transplant.training.loop import new_correction
from transplant.training.row_sources import row_source
from transplant.training.update import update_backbone
from transplant.workflows.inject.injection import mean_gate
from transplant.workflows.move import budget_curve
from transplant.workflows.move.controls import copied_over

TEXTS = tuple(write_document(seed) for seed in range(12))
KINDS = {"gpt2": ("bpe", 330), "llama": ("bpe-digits", 350)}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@cache
def backbone_on(place: str, family: str = "gpt2") -> Backbone:
    kind, size = KINDS[family]
    found = tiny_backbone(family, train_tokenizer(kind, TEXTS, size, context=128))
    found.model.to(place)
    return found


def windows(backbone: Backbone) -> list[Any]:
    documents = [Document(text, f"{number}") for number, text in enumerate(TEXTS[:4])]
    return cut_windows(documents, backbone.tokenizer, 64)


def correction(backbone: Backbone, seed: int) -> Correction:
    """One that writes, on the processor."""
    made = new_correction(backbone.d_model, 16, (1, 2), seed).eval().requires_grad_(False)
    made.interface.proj_out.weight.copy_(0.1 * drawn(backbone.d_model, 16, seed=seed))
    return made


def vocabulary(place: str) -> Any:
    """A table for the tokens of another model, row by row."""
    target, source = backbone_on(place), backbone_on(place, "llama")
    spelled = spelled_in(target, source)
    ways = EmbedConfig(method="omp", atoms=3), EmbedConfig(method="bridge")
    return [
        input_table(with_vocabulary("it", target, source, spelled, way)).tolist() for way in ways
    ]


def redrawn(place: str) -> Any:
    """A part that is drawn anew, as large as the given one."""
    part = nn.Linear(4, 4).to(place)
    with torch.no_grad():
        part.weight.copy_(drawn(4, 4))
        part.bias.copy_(drawn(4))
    return [tensor.tolist() for tensor in random_like(part, 1).parameters()]


def between(place: str) -> Any:
    """A map between rows that lie on the device."""
    x, y = drawn(40, 6).to(place), drawn(40, 6, seed=1).to(place)
    found = [fit_between([(x[:30], y[:30])], [(x[30:], y[30:])], way) for way in ("ridge", "cca")]
    return [[one.r2, *one.cosine, *one.mse] for one in found]


def head_of_lora(place: str) -> Any:
    """A head that an adapter changes, bias and all; the adapter comes from a file."""
    backbone = backbone_on(place)
    pair = Pair(drawn(2, 32), drawn(backbone.vocab_size, 2), drawn(backbone.vocab_size), 2.0)
    found = LoraModel("it", backbone, LoraUpdate({name_of_head(backbone): pair}, {})).head
    assert found is not None
    weight, bias = found
    assert bias is not None
    return (weight.sum(1) + bias).tolist()


def solved(place: str) -> Any:
    """What an interface gives that was solved for an anchor's correction."""
    backbone = backbone_on(place)
    start, anchor = (correction(backbone, seed).to(place) for seed in (1, 2))
    states = backbone.read(windows(backbone), (1, 2)).labelled()
    rows = [Batch(backbone, states, anchor(states.taps, states.windows))]
    return solve_for(start, rows, rows, anchor)(states.taps, states.windows).mean(0).tolist()


def gate(place: str) -> Any:
    """The mean of a gate that reads its input."""
    graft = Graft(Bare(4), 4, InjectConfig(gate="input", opening=0.5)).to(place)
    return mean_gate(graft)


def updated(place: str) -> Any:
    """An update that holds the z of an interface which was loaded to the processor."""
    backbone = backbone_on(place)
    interface = correction(backbone, 1).interface
    recipe = UpdateConfig(steps=2, batch=2, window=64, stability=1.0)
    found = update_backbone(backbone, windows(backbone), recipe, [interface])
    return found.backbone.unembedding.sum(1).tolist()


def native_of_curve(place: str) -> Any:
    """What a curve compares with: trained from scratch, or left as it began."""
    backbone, kept = backbone_on(place), []
    rows = row_source(backbone, windows(backbone), (1, 2))
    work = SimpleNamespace(reporter=SilentReporter())
    trials: Any = SimpleNamespace(
        move=SimpleNamespace(target=backbone, work=work),
        keep=lambda _name, found, **_: kept.append(found),
    )
    material: Any = SimpleNamespace(train=rows, calibration=rows)
    budget_curve.native_recipe = lambda _: TrainConfig(taps=(1, 2), d_abi=16, steps=2, window=64)
    budget_curve.train_native(trials, material, LearnConfig(steps=2, tokens=64))
    return kept[0].interface.proj_in.weight.tolist()


def left_alone(place: str) -> Any:
    """Corrections that fits on the processor still need: scoring others must not move them."""
    backbone = backbone_on(place)
    general = General("it", correction(backbone, 1))
    donor = HostedModel("it", backbone, correction(backbone, 2))
    nats = share_of_nats(donor, general, windows(backbone))
    own = correction(backbone, 3)
    pairing: Any = SimpleNamespace(correction=own, target=backbone)
    copied_over(pairing)["direct_copy"].to(place)
    kept = {one.interface.proj_out.weight.device.type for one in (general.correction, own)}
    return [sorted(kept), None if nats is None else nats.mean]


PARTS: tuple[Callable[[str], Any], ...] = (
    vocabulary, redrawn, between, head_of_lora, solved, gate, updated,
    native_of_curve, left_alone,
)  # fmt: skip


def refusals() -> dict[str, bool]:
    """Which of the things that a GPU refuses are refused."""
    there, here = torch.ones(2, 2).to(NAME), torch.ones(2, 2)
    total, generator = torch.zeros(()), torch.Generator()
    asked: dict[str, Callable[[], Any]] = {
        "a sum of both": lambda: there + here,
        "a product of both": lambda: here @ there,
        "numbers of both joined": lambda: torch.stack([there.sum(), here.sum()]),
        "a total here, a part there": lambda: total.add_(there.sum()),
        "rows here, places there": lambda: here[there.long()],
        "rows there, places here by index_select": lambda: there.index_select(0, here[0].long()),
        "numpy": lambda: there.numpy(),
        "a draw there by a generator of here": lambda: there.normal_(generator=generator),
        "a draw made there": lambda: torch.rand(2, device=NAME, generator=generator),
        "allowed: a number of here": lambda: there * here.sum(),
        "allowed: places of here": lambda: there[here[0].long()],
        "allowed: a copy": lambda: here.copy_(there),
        "allowed: rows written here": lambda: here.__setitem__(slice(1), there[:1]),
        "allowed: numpy of a copy": lambda: there.cpu().numpy(),
        "allowed: a draw that is moved": lambda: torch.rand(2, generator=generator).to(NAME),
    }
    return {name: _is_refused(one) for name, one in asked.items()}


def _is_refused(asked: Callable[[], Any]) -> bool:
    try:
        asked()
    except (Refused, TypeError):
        return True
    return False


if __name__ == "__main__":
    if sys.argv[1] == "refusals":
        print(json.dumps(refusals()))
    else:
        print(json.dumps({part.__name__: part(sys.argv[1]) for part in PARTS}))
