"""A GGUF file as a folder of safetensors, its weights unpacked once."""

from __future__ import annotations

import hashlib
import io
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.backbones.arithmetic import DTYPES, choose_dtype, name_of
from transplant.backbones.memory import WIDTHS, check_memory
from transplant.backbones.quiet import quiet
from transplant.backbones.whole import load_whole
from transplant.dtypes import AUTO
from transplant.errors import BackboneError, InputError, foreign
from transplant.files.gguf import GgufHeader, read_header

if TYPE_CHECKING:
    import torch

    from transplant.progress import Progress

NO_DECODERS = {"general", "tokenizer", "t5", "t5encoder", "umt5"}
"""Keys of settings, which `transformers` lists beside architectures, and what does not decode."""
UNPACKED = 12  # bytes of a number of the largest tensor while it is unpacked, with its copies
_CHUNK = 1 << 24


def check_gguf(file: Path, dtype: str) -> GgufHeader:
    """What a GGUF file holds, after it was found whole, of a known family and small enough.

    Only its header is read.

    Args:
        file: the GGUF file.
        dtype: what its weights will be stored in.

    Raises:
        BackboneError: no such file, no GGUF, cut off, in parts, of an architecture that is not
            read, or larger than memory once it is unpacked.
        InputError: the package that reads it is not installed.
    """
    if not file.is_file():
        raise BackboneError(f"no such file: {file}", expected="a GGUF file")
    header = read_header(file)
    try:
        from gguf import GGML_QUANT_SIZES
    except ImportError as error:
        raise InputError(
            f"the package gguf, which reads {file.name}, is not installed",
            hint="pip install 'abi-transplant[gguf]'",
        ) from error
    _check_transformers(file)
    header.check_whole({int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()})
    parts = header.fields.get("split.count", 1)
    if isinstance(parts, int) and parts > 1:
        raise BackboneError(
            f"{file} is one of {parts} parts", expected="a whole model",
            hint="join them with llama-gguf-split, which merges",
        )  # fmt: skip
    _check_architecture(header)
    check_memory(
        header.numbers * WIDTHS[dtype] + max(t.numbers for t in header.tensors) * UNPACKED,
        f"{file.name} in {dtype}", "a smaller model, or a machine with more memory",
    )  # fmt: skip
    return header


def check_loads(header: GgufHeader, dtype: str, device: torch.device) -> None:
    """Refuses what is larger than memory once it is loaded, in the type that a device takes of it.

    Args:
        header: of the file.
        dtype: what its weights will be stored in.
        device: where the model runs.

    Raises:
        BackboneError: naming the sizes.
    """
    loaded = name_of(choose_dtype(AUTO, DTYPES[dtype], device))
    check_memory(
        header.numbers * WIDTHS[loaded], f"{header.file.name} in {loaded}",
        "a smaller model, or a machine with more memory",
    )  # fmt: skip


def _check_transformers(file: Path) -> None:
    import transformers
    from packaging.version import Version

    if Version(transformers.__version__) < Version("5.17"):  # without GgufConfig
        raise InputError(
            f"transformers, which unpacks {file.name}", expected="5.17 or newer",
            found=transformers.__version__, hint="pip install 'abi-transplant[gguf]'",
        )  # fmt: skip


def dequantise(file: Path, out: Path, dtype: str) -> None:
    """Writes a GGUF file's model and tokenizer as `save_pretrained` does.

    Args:
        file: the GGUF file, as `check_gguf` found it.
        out: the folder; it is made.
        dtype: of the weights that are written.

    Raises:
        BackboneError: a model or a tokenizer that cannot be built of it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = str(file.parent)
    options: dict[str, Any] = {"gguf_file": file.name}
    bars = redirect_stderr(io.StringIO())  # tqdm's, which no setting turns off
    with quiet(), bars, foreign(
        f"the tokenizer of {file} cannot be read", BackboneError, expected="one that was made fast"
    ):  # fmt: skip
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
    with quiet(), bars, foreign(f"the model of {file} cannot be read", BackboneError):
        model, _ = load_whole(
            AutoModelForCausalLM, source, dtype=getattr(torch, dtype),
            quantization_config=GgufConfig(dequantize=True), **options,
        )  # fmt: skip
        # It says packed, and save_pretrained refuses what is; the weights no longer are.
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.hf_quantizer = None
        model.is_quantized = False
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)


def sha256_of(file: Path, progress: Progress | None = None) -> str:
    """The sha256 of a whole file, in MiB where it is followed."""
    digest, size, done = hashlib.sha256(), file.stat().st_size, 0
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done >> 20, size >> 20, "MiB")
    return digest.hexdigest()


def _check_architecture(header: GgufHeader) -> None:
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    renamed = {"qwen2moe", "qwen3moe", "gpt-oss", "minimax-m2"}  # transformers has another word
    known = ({*GGUF_SUPPORTED_ARCHITECTURES} | renamed) - NO_DECODERS
    if header.architecture not in known:
        raise BackboneError(
            f"{header.file} is of an architecture that cannot be unpacked",
            expected=f"one of {', '.join(sorted(known))}",
            found=repr(header.architecture) if header.architecture else "none",
            hint="a model of another family, or its save_pretrained folder",
        )  # fmt: skip
    if not header.tensors:
        raise BackboneError(f"{header.file} holds no tensors", expected="the weights of a model")
