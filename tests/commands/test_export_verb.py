"""`abi export`: a folder and a report, or a refusal by name."""

from __future__ import annotations


def test_a_module_goes_out_and_a_taken_folder_is_refused(trained_abi, tmp_path):
    words = ("export", "tales@tiny-gpt2", str(tmp_path / "out"), "--as", "transformers", "--json")
    ran = trained_abi(*words)
    assert ran.code == 0, ran.err
    assert ran.json["logits"] < 1e-4
    assert {"README.md", "config.json", "model.safetensors"} <= {*ran.json["files"]}
    again = trained_abi(*words)
    assert (again.code, again.json["error"]) == (1, "ExistsError")
    other = trained_abi("export", "tales@tiny-gpt2", str(tmp_path / "b"), "--as", "onnx", "--json")
    assert (other.code, other.json["what"]) == (1, "--as")
    assert not (tmp_path / "b").exists()


def test_what_is_no_lora_is_told_the_flag_that_takes_it(trained_abi, tmp_path):
    words = ("export", "tales@tiny-gpt2", str(tmp_path / "out"), "--json")
    ran = trained_abi(*words, "--as", "lora")
    assert (ran.code, "--as transformers" in ran.json["hint"]) == (1, True)
    ran = trained_abi(*words, "--push", "nowhere")
    assert (ran.code, ran.json["what"]) == (1, "--push nowhere")
    ran = trained_abi(*words, "--public")
    assert (ran.code, "--push" in ran.json["expected"]) == (1, True)
    ran = trained_abi(*words, "--as", "safetensors")
    assert ran.code == 0, ran.err
    assert {"equation.json", "tensors.safetensors", "README.md"} <= {*ran.json["files"]}
