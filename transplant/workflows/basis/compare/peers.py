"""The adapters of PEFT that BASIS is compared with, as their makers start them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from transplant.errors import InputError, foreign
from transplant.text.windows import Window, first_windows
from transplant.training.losses import next_token_loss
from transplant.workflows.basis.compare.method import Moving, Prepared, Scene

LOOK_TOKENS = 6_000  # of the training split, for methods that look at data
AT_ONCE = 4  # windows of such a look
ORTHOGONAL = 0.5  # weight of AdaLoRA's |P'P - I| and |QQ' - I|, PEFT's own default


def _config(scene: Scene, **options: Any) -> Any:
    import peft

    transposed = any(isinstance(m.module, Conv1D) for m in scene.maps)
    given = {
        "r": scene.rank, "lora_alpha": 2 * scene.rank, "target_modules": scene.names,
        "fan_in_fan_out": transposed, **options,
    }  # fmt: skip
    return peft.LoraConfig(**given)


def _wrapped(scene: Scene, config: Any) -> Any:
    """The model of the copy with adapters in its modules, drawn by the seed."""
    import peft

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(scene.seed)
        return peft.get_peft_model(scene.backbone.model, config)


def lora(scene: Scene, **options: Any) -> Prepared:
    """LoRA, and what is LoRA with another start or scale (Hu et al. 2021, arXiv:2106.09685)."""
    return Prepared(Moving(_wrapped(scene, _config(scene, **options)).parameters()))


def dora(scene: Scene) -> Prepared:
    """DoRA (arXiv:2402.09353), whose magnitudes are paid for by a smaller rank.

    Raises:
        InputError: the budget does not pay for a rank beside them.
    """
    magnitudes = sum(m.out for m in scene.maps)
    each = sum(m.out + m.into for m in scene.maps)
    rank = (scene.budget - magnitudes) // each
    if not rank:
        raise InputError(
            "the budget does not pay for the magnitudes of DoRA and a rank",
            expected=f"{magnitudes + each:,} parameters or more", found=f"{scene.budget:,}",
            hint="a larger `rank`",
        )  # fmt: skip
    found = lora(scene, r=rank, lora_alpha=2 * rank, use_dora=True)
    return Prepared(found.moving, facts={"rank": rank})


def eva(scene: Scene) -> Prepared:
    """EVA (arXiv:2410.07170): SVD of activations, ranks redistributed with rho = 2."""
    import peft

    options = peft.EvaConfig(rho=2.0, use_label_mask=False)
    config = _config(scene, init_lora_weights="eva", eva_config=options)
    model = _wrapped(scene, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(scene.seed)
        looks = [*_batches(scene, AT_ONCE, scene.windows)]
        peft.initialize_lora_eva_weights(model, looks, show_progress_bar=False)
    model.train(False)
    return Prepared(Moving(model.parameters()))


def corda(scene: Scene, method: Literal["kpm", "ipm"]) -> Prepared:
    """CorDA (arXiv:2406.05223): the SVD of W under the covariance of its inputs."""
    from peft.tuners.lora.config import CordaConfig
    from peft.tuners.lora.corda import preprocess_corda

    config = _config(
        scene, lora_alpha=scene.rank, init_lora_weights="corda",
        corda_config=CordaConfig(corda_method=method),
    )  # fmt: skip

    @torch.no_grad()
    def look() -> None:
        # To keep knowledge it looks at what is to be kept. PEFT's hook reads inputs [seq, in].
        for batch in _batches(scene, 1, scene.kept if method == "kpm" else scene.windows):
            scene.backbone.model(**batch)

    preprocess_corda(scene.backbone.model, config, run_model=look)
    return Prepared(Moving(_wrapped(scene, config).parameters()))


def lora_ga(scene: Scene) -> Prepared:
    """LoRA-GA (arXiv:2407.05000): the start whose first step is closest to the full gradient."""
    from peft import LoraGAConfig
    from peft.tuners.lora.loraga import preprocess_loraga

    config = _config(scene, init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig())
    windows = first_windows(scene.windows, LOOK_TOKENS)

    def look() -> None:
        for start in range(0, len(windows), AT_ONCE):
            states = scene.backbone.run(windows[start : start + AT_ONCE]).labelled()
            next_token_loss(scene.backbone, states.h_last, states.labels).backward()

    for found in scene.maps:
        found.module.get_parameter("weight").requires_grad_(True)
    preprocess_loraga(scene.backbone.model, config, look)
    scene.backbone.model.requires_grad_(False)
    return Prepared(Moving(_wrapped(scene, config).parameters()))


def adalora(scene: Scene) -> Prepared:
    """AdaLoRA (arXiv:2303.10512): from 1.5 times the rank down to it, singular value by value."""
    import peft

    first = max(scene.rank + 1, 3 * scene.rank // 2)
    config = peft.AdaLoraConfig(
        init_r=first, target_r=scene.rank, lora_alpha=2 * scene.rank, total_step=scene.steps,
        tinit=scene.steps // 10, tfinal=scene.steps // 3, deltaT=max(1, scene.steps // 20),
        target_modules=scene.names,
        fan_in_fan_out=any(isinstance(m.module, Conv1D) for m in scene.maps),
    )  # fmt: skip
    model = _wrapped(scene, config)
    factors = [p for n, p in model.named_parameters() if "lora_A." in n or "lora_B." in n]

    def penalty() -> Tensor:
        wide = (p if p.shape[0] < p.shape[1] else p.T for p in factors)
        off = [(p @ p.T - torch.eye(len(p), device=p.device)).norm() for p in wide]
        return ORTHOGONAL * torch.stack(off).mean()

    return Prepared(
        Moving(model.parameters()), learned=model.base_model.update_and_allocate, penalty=penalty,
        facts={"first_rank": first},
    )  # fmt: skip


def full(scene: Scene) -> Prepared:
    """All weights of the same maps: no budget.

    In float32, as what adapters train is in any case: weights of 16 bits round small steps away.
    """
    scene.backbone.model.float()
    for found in scene.maps:
        found.module.get_parameter("weight").requires_grad_(True)
    return Prepared(Moving(m.module.get_parameter("weight") for m in scene.maps))


def _batches(scene: Scene, at_once: int, text: Sequence[Window]) -> Iterator[dict[str, Tensor]]:
    """Windows of full length, for methods that run the model themselves."""
    from transplant.backbones.causal import CausalBackbone

    if not isinstance(scene.backbone, CausalBackbone):
        raise InputError("this start is for decoder-only models", found=scene.backbone.family)
    windows = first_windows(text, LOOK_TOKENS)
    longest = max(map(len, windows))
    whole = [list(window.ids) for window in windows if len(window) == longest]
    with foreign("no windows of full length", InputError):
        for start in range(0, len(whole), at_once):
            ids = torch.tensor(whole[start : start + at_once], device=scene.backbone.device)
            yield {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


corda_kpm, corda_ipm = partial(corda, method="kpm"), partial(corda, method="ipm")
rslora = partial(lora, use_rslora=True)
