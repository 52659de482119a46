"""Small files in the place of those that README calls the reader's own: models, texts, recipes.

python tests/benchmarks/readme_inputs.py FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILES = {
    "merge.yaml": """\
merge_method: linear
dtype: float32
models:
  - {model: ref-gpt2, parameters: {weight: 0.5}}
  - {model: ref-gpt2-b, parameters: {weight: 0.5}}
""",
    "gates.yaml": """\
forgetting.prose: {max: 1}            # nats per token
gain.python-shipped: {min: 0, by: interval}
accuracy.python-scope: {min: 0.3}
""",
    "recipe.yaml": """\
steps:
  - name: donor
    train: {backbone: ref-gpt2, domain: clauses, domain-data: law.jsonl, steps: 30}
  - transfer: {module: "${donor.name}", to: ref-llama, native: none, excerpts: 100}
  - export: {name: "${transfer.name}", out: clauses-llama}
""",
    "my-task.yaml": """\
task: closing
dataset_path: json
dataset_kwargs: {data_files: questions.jsonl}
test_split: train
output_type: multiple_choice
doc_to_text: "{{stem}}"
doc_to_choice: "{{ends}}"
doc_to_target: "{{right}}"
metric_list: [{metric: acc}]
""",
}
"""Files that are written as they stand here."""


def put_texts(folder: Path) -> None:
    """Python's own sources as `law.jsonl`, what packages tell in `my-texts`, and questions."""
    sources = sorted(Path(os.__file__).parent.glob("*.py"))
    texts = [source.read_text("utf-8", "replace") for source in sources[:120]]
    _write_rows(folder / "law.jsonl", [{"text": text} for text in texts])
    (folder / "my-texts").mkdir(exist_ok=True)
    for told in sorted((Path(sys.prefix) / "lib").rglob("*.dist-info/METADATA"))[:80]:
        target = folder / "my-texts" / f"{told.parent.name}.txt"
        target.write_text(told.read_text("utf-8", "replace"), "utf-8")
    pairs = (("print(", "(1)", ")"), ("x = [", "1]", "1}"), ("d = {", "1: 2}", "1: 2]"))
    _write_rows(
        folder / "questions.jsonl",
        [{"stem": stem, "ends": [wrong, right], "right": 1} for stem, wrong, right in pairs],
    )


def put_models(folder: Path) -> None:
    """Two of the shipped backbones as `save_pretrained` writes them."""
    import transplant

    for name, backbone in (("my-model", "ref-gpt2"), ("my-other-model", "ref-llama")):
        hosted = transplant.load(backbone)
        hosted.backbone.model.save_pretrained(folder / name)
        hosted.tokenizer.save_pretrained(folder / name)


def put_lora(base: Path, text: Path, folder: Path, steps: int = 30) -> None:
    """A LoRA of rank 8 of a base, trained on the first lines of a text and saved by PEFT."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    first = [json.loads(line)["text"] for line in text.read_text("utf-8").splitlines()[:steps]]
    config = peft.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", fan_in_fan_out=True)
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    moving = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.Adam(moving, 2e-3)
    for one in first:
        ids = tokenizer(one, return_tensors="pt", truncation=True, max_length=128).input_ids
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)


def put_gguf(tokenizer_of: Path, file: Path) -> None:
    """A Llama of random weights with a model's tokenizer, written by the package gguf."""
    import torch
    from gguf import GGUFWriter
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=256,
    )  # fmt: skip
    writer = GGUFWriter(file, "llama")
    writer.add_name("mine")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, tokenizer)
    for name, tensor in LlamaForCausalLM(config).state_dict().items():
        writer.add_tensor(_gguf_name(name), tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_name(name: str) -> str:
    """What llama.cpp calls a tensor of a Llama."""
    inner = {
        "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "q_proj": "attn_q",
        "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate",
        "up_proj": "ffn_up", "down_proj": "ffn_down", "embed_tokens": "token_embd",
        "norm": "output_norm", "lm_head": "output",
    }  # fmt: skip
    *path, last, weight = name.split(".")
    layer = f"blk.{path[2]}." if "layers" in path else ""
    return f"{layer}{inner[last]}.{weight}"


def _add_tokenizer(writer: Any, tokenizer: Any) -> None:
    stated = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    special = {*tokenizer.all_special_tokens}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges([
        one if isinstance(one, str) else " ".join(one) for one in stated["model"]["merges"]
    ])  # fmt: skip
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_bos_token_id(tokenizer.eos_token_id)


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def put_inputs(folder: Path) -> None:
    """Everything, and a link to `examples/`; what is there already is written again."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    if not (folder / "examples").exists():
        (folder / "examples").symlink_to(ROOT / "examples")
    put_texts(folder)
    put_models(folder)
    put_lora(folder / "my-model", folder / "law.jsonl", folder / "my-lora")
    put_gguf(folder / "my-other-model", folder / "my-model.gguf")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    put_inputs(Path(sys.argv[1]).absolute())
