"""nnsight and SAELens, each capturing its own way, for `bench_rivals.py`."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import torch
from passes import WINDOW, Passes
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from transplant.activations.capture import Taps
from transplant.text.windows import Window

BATCH = 8  # windows of 512: the batch of 4096 tokens that capture makes


class Rival(Protocol):
    """What each of the two can do, its own way."""

    passes: Passes

    def read(self, batch: list[Window], taps: Taps) -> Mapping[str, Tensor]:
        """The states [batch, seq, d_model] of each tap."""
        ...

    def to_disk(self, taps: Taps, folder: Path) -> None:
        """A pass that writes them."""
        ...

    def stored(self, taps: Taps, folder: Path) -> Mapping[str, Tensor]:
        """What `to_disk` has written, as rows [rows, d_model]."""
        ...


def twin(model: nn.Module) -> nn.Module:
    """A copy of the modules, for hooks; the weights are shared, for where they lie costs time."""
    weights = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(weight): weight for weight in weights})


def place_of(tap: str, n_layers: int) -> str:
    """The submodule of the decoder whose output a tap is."""
    if tap == "0":
        return "embed_tokens"
    return "norm" if int(tap) == n_layers else f"layers.{int(tap) - 1}"


class NNsightRival:
    """nnsight: one trace for each batch."""

    def __init__(self, passes: Passes, *, cache: bool = False) -> None:
        from nnsight import NNsight

        self.passes, self.cache = passes, cache
        self.last = str(passes.backbone.n_layers)
        self.model = NNsight(twin(passes.backbone.reader()))

    @torch.no_grad()
    def read(self, batch: list[Window], taps: Taps) -> Mapping[str, Tensor]:
        from nnsight import save

        ids, mask = self.passes.padded(batch)
        places = [place_of(tap, int(self.last)) for tap in taps.names]
        modules = [self.model.get(place) for place in places]
        early = taps.names[-1] != self.last
        given = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
        if self.cache:
            with self.model.trace(**given) as tracer:
                cached = tracer.cache(modules=modules)
                if early:
                    modules[-1].output  # noqa: B018  (waits until the pass is there)
                    tracer.stop()
            found = [cached[f"model.{place}"].output for place in places]
        else:
            with self.model.trace(**given) as tracer:
                found = save([])
                for module in modules:
                    found.append(module.output)
                if early:
                    tracer.stop()
        return dict(zip(taps.names, found, strict=True))

    def to_disk(self, taps: Taps, folder: Path, *, synced: bool = False) -> None:
        for number, batch in enumerate(self.passes.grouped):
            states = {f"tap{name}": kept for name, kept in self.read(batch, taps).items()}
            ids, mask = self.passes.padded(batch)
            path = folder / f"{number:05d}.safetensors"
            save_file({**states, "ids": ids, "mask": mask}, path)
            if synced:
                with path.open("rb") as file:
                    os.fsync(file.fileno())

    def stored(self, taps: Taps, folder: Path) -> Mapping[str, Tensor]:
        files = [load_file(path) for path in sorted(folder.iterdir())]
        return {
            name: torch.cat([file[f"tap{name}"].flatten(0, 1) for file in files])
            for name in taps.names
        }


class Headless(nn.Module):
    """The decoder alone, in the one form that HookedProxyLM takes: its output is a tensor."""

    def __init__(self, reader: nn.Module) -> None:
        super().__init__()
        self.model = reader

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(input_ids=tokens, use_cache=False).last_hidden_state

    def get_input_embeddings(self) -> nn.Module:
        return self.model.get_input_embeddings()  # type: ignore[operator]


class SAELensRival:
    """SAELens: a store for what is read, a run of its caching for each hook that is written."""

    def __init__(self, passes: Passes) -> None:
        from datasets import Dataset
        from sae_lens.load_model import HookedProxyLM

        self.passes = passes
        self.stores: dict[tuple[str, ...], Any] = {}
        self.ids = Dataset.from_dict({"input_ids": [[*w.ids] for w in passes.windows]})
        backbone = passes.backbone
        model = Headless(twin(backbone.reader()))
        hooks = [self._hook(str(tap)) for tap in backbone.all_taps]
        self.lm = HookedProxyLM(model, backbone.tokenizer, hook_names=hooks)

    def _hook(self, tap: str) -> str:
        return f"model.{place_of(tap, self.passes.backbone.n_layers)}"

    def _store(self, taps: Taps) -> Any:
        from sae_lens import ActivationsStore

        hooks, width = [self._hook(tap) for tap in taps.names], self.passes.backbone.d_model
        return ActivationsStore.from_config_multi_hook(
            self.lm, dataset=self.ids, hook_names=hooks, hook_d_ins=dict.fromkeys(hooks, width),
            streaming=False, context_size=WINDOW, store_batch_size_prompts=BATCH,
            total_training_tokens=self.passes.tokens.rows, prepend_bos=False,
        )  # fmt: skip

    @torch.no_grad()
    def read(self, batch: list[Window], taps: Taps) -> Mapping[str, Tensor]:
        if taps.names not in self.stores:
            self.stores[taps.names] = self._store(taps)
        store = self.stores[taps.names]
        ids, _ = self.passes.padded(batch)  # it has no mask: real positions see no padding after
        if len(taps.names) == 1:
            return {taps.names[0]: store.get_activations(ids)}
        found = store.get_multi_hook_activations(ids)
        return {tap: found[self._hook(tap)] for tap in taps.names}

    def to_disk(self, taps: Taps, folder: Path) -> None:
        from sae_lens import CacheActivationsRunner, CacheActivationsRunnerConfig

        rows, width = self.passes.tokens.rows, self.passes.backbone.d_model
        for tap in taps.names:
            config = CacheActivationsRunnerConfig(
                dataset_path="", model_name="ref-llama", model_class_name="AutoModelForCausalLM",
                model_batch_size=BATCH, hook_name=self._hook(tap), d_in=width,
                training_tokens=rows, context_size=WINDOW, prepend_bos=False, shuffle=False,
                new_cached_activations_path=str(folder / tap), device="cpu",
                buffer_size_gb=(rows * width * 4 + 1) / 1e9,
            )  # fmt: skip
            with patch("sae_lens.cache_activations_runner.load_model", return_value=self.lm):
                runner = CacheActivationsRunner(config, override_dataset=self.ids)
            runner.run()

    def stored(self, taps: Taps, folder: Path) -> Mapping[str, Tensor]:
        from datasets import load_from_disk

        read = {tap: load_from_disk(str(folder / tap)).with_format("torch") for tap in taps.names}
        return {tap: kept[self._hook(tap)][:].flatten(0, 1) for tap, kept in read.items()}
