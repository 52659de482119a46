from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.backbones.layercake_cores import draw_ids, logits_of, tiny_core
from transplant.backbones.layercake import LayerCakeForCausalLM
from transplant.paste.paste import paste, plan_paste

pytestmark = pytest.mark.bits


@pytest.mark.parametrize("router", [False, True])
@pytest.mark.parametrize("shard_size", ["1GB", "20KB"])
@pytest.mark.parametrize("form", ["lite", "full"])
def test_pasted_core_loads_and_its_module_computes_the_same(
    form: str, shard_size: str, router: bool, tmp_path: Path
) -> None:
    source = tiny_core({"python": form}, seed=1, router=not router)
    target = tiny_core({"law": "lite"}, seed=2, hidden_size=36, router=router)
    source.save_pretrained(tmp_path / "source", max_shard_size=shard_size)
    target.save_pretrained(tmp_path / "target", max_shard_size=shard_size)
    paste(plan_paste(tmp_path / "source", tmp_path / "target"), tmp_path / "out")
    loaded, info = LayerCakeForCausalLM.from_pretrained(
        tmp_path / "out", output_loading_info=True, local_files_only=True
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    z = torch.randn(2, 5, 16)
    module, pasted = (core.model.domain_modules["python"] for core in (source, loaded))
    assert torch.equal(module(z), pasted(z))
    ids = draw_ids(2, 7)
    with_module = logits_of(loaded.eval(), ids)
    assert not torch.equal(with_module, logits_of(target, ids))  # control: it is switched on
    loaded.config.domain_modules["python"]["active"] = False
    assert torch.equal(logits_of(loaded, ids), logits_of(target, ids))
