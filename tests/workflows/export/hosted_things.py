"""Backbones in folders and a registry that hosts on them what an export may take."""

from __future__ import annotations

import huggingface_hub
import pytest
import torch

import transplant
from registry.store import Registry
from tests.tiny import tiny_model
from transplant.alignment.basis import TapBases
from transplant.basis.adapter import BasisAdapter, Subspace
from transplant.basis.record import BasisRecord
from transplant.modules.forms import LiteModule, MlpModule
from transplant.modules.interface import Interface
from transplant.modules.linear import LinearCorrection, reading_of
from transplant.surgery.lora.start import adapted_maps, new_lora
from transplant.surgery.lora.update import LoraUpdate, Pair

IDS = torch.arange(24)[None]
COMMIT = "c0ffee" * 6 + "c0ff"


def shelf_of_a_hub(root, tokenizer):
    """A shelf with `short`, of `COMMIT` of `org/model`: the cache of downloads is a folder here."""
    shelf = Shelf(root, tokenizer)
    snapshot = root / "snapshots" / COMMIT
    tiny_model("llama", tokenizer).save_pretrained(snapshot)
    tokenizer.save_pretrained(snapshot)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(snapshot))
        shelf.work.add("org/model", "short")
    return shelf


class Shelf:
    """A workspace of backbones in folders; names that are hosted on them are given back.

    Args:
        root: an empty folder.
        tokenizer: of all backbones.
    """

    def __init__(self, root, tokenizer):
        self.root, self.tokenizer = root, tokenizer
        self.work = transplant.Workspace(library=Registry(root / "registry", root / "none"))

    def backbone(self, family, **changes):
        folder = self.root / "-".join([family, *map(str, changes)])
        if not folder.exists():
            tiny_model(family, self.tokenizer, **changes).save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        return self.work.backbone(str(folder))

    def linear(self, backbone, name, *, taps=None, rank=3, constant=True, bases=False):
        """A map of random numbers, of a rank, with a constant or without."""
        draw = torch.Generator().manual_seed(1)
        taps = (backbone.n_layers,) if taps is None else taps
        width = len(taps) * backbone.d_model
        blocks = None
        if bases:
            drawn = (torch.randn(backbone.d_model, 5, generator=draw) for _ in taps)
            blocks = TapBases(tuple(torch.linalg.qr(one).Q for one in drawn))
            width = 5 * len(taps)
        made = LinearCorrection(reading_of(backbone.d_model, taps), blocks)
        with torch.no_grad():
            made.proj_out.weight.copy_(
                torch.randn(backbone.d_model, rank, generator=draw)
                @ torch.randn(rank, width, generator=draw)
                * 0.05
            )
            made.proj_out.bias.normal_(0, 0.3, generator=draw).mul_(float(constant))
        return self._store("linear", name, made.stored(), backbone, taps=taps)

    def adapter(self, backbone, name, *, whole=(), uneven=False):
        """Random pairs on every linear map but the head."""
        draw = torch.Generator().manual_seed(2)
        names = adapted_maps(backbone, 1, 1.0)
        pairs = {}
        for number, pair in enumerate(new_lora(backbone, 3, 6.0).pairs.values()):
            rank = 2 if uneven and number == 1 else 3
            b = torch.randn(len(pair.b), rank, generator=draw) * 0.2
            scale = 1.5 if uneven and number == 2 else 2.0
            pairs[names[number]] = Pair(pair.a.detach()[:rank], b, None, scale)
        update = LoraUpdate(
            pairs, {one: backbone.model.get_parameter(one).detach() * 2 for one in whole}
        )
        made = {"scales": update.scales(), "student": "lora"}
        return self._store("adapter", name, update.as_tensors(), backbone, made=made)

    def inside(self, backbone, name):
        """An adapter inside random directions of two maps, of two ranks."""
        draw = torch.Generator().manual_seed(4)
        places = {}
        for rank, (map_name, pair) in enumerate([*new_lora(backbone, 2, 4.0).pairs.items()][:2], 2):
            u = torch.linalg.qr(torch.randn(len(pair.b), rank, generator=draw)).Q
            read = torch.randn(rank, pair.a.shape[1], generator=draw)
            places[map_name] = Subspace(u.contiguous(), read, len(u))
        made = BasisAdapter(places)
        with torch.no_grad():
            for c in made.c:
                c.normal_(0, 0.3, generator=draw)
        record = BasisRecord(rows={}, fit={"corpus": "tales"}, adapted={"basis": "dirs"})
        facts = {"basis": record.as_dict(), "student": "basis"}
        return self._store("basis", name, made.as_tensors(), backbone, made=facts)

    def module(self, backbone, name, *, form="mlp", taps=(-1,)):
        """Random numbers behind an interface of random numbers."""
        draw = torch.Generator().manual_seed(3)
        taps = backbone.check_taps(taps)
        interface = Interface(backbone.d_model, 16, taps, generator=draw)
        module = MlpModule(16, generator=draw) if form == "mlp" else LiteModule(16)
        parts = [{n: t.detach().clone() for n, t in one.state_dict().items()}
                 for one in (module, interface)]  # fmt: skip
        for tensors in parts:
            for tensor in tensors.values():
                tensor += 0.1 * torch.randn(tensor.shape, generator=draw)
        self.work.library.store_hosted(
            name, *parts, backbone=backbone, domain="tales", d_abi=16, taps=taps,
            made={"token_counts": {"a": 3}}, results={}, parents={},
        )  # fmt: skip
        return f"{name}@{backbone.name}"

    def _store(self, kind, name, tensors, backbone, *, taps=(), made=None):
        made = {"token_counts": {"a": 3}, **(made or {})}
        results = {"ppl": {"raw": 9.0, "native": 7.0, "candidate": 8.0, "shuffled_pairs": 8.9}}
        self.work.library.store(
            kind, name, tensors, backbone=backbone, domain="tales", taps=taps, made=made,
            results=results, parents={"donor_backbone": "f" * 64},
        )  # fmt: skip
        return f"{name}@{backbone.name}"
