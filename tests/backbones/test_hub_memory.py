"""A model of a hub that exceeds memory is refused before its weights are downloaded."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants, hf_api
from safetensors import safe_open

import transplant
from registry.store import Registry
from tests.backbones.folders import shard
from transplant.backbones import memory
from transplant.backbones.hub_ids import PUBLIC
from transplant.backbones.load import load_backbone
from transplant.errors import BackboneError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOT_FITTING = r"(?s)owner/model.*F32 on the hub.*does not fit into memory.*MiB.*device_map='auto'"


class Hub(BaseHTTPRequestHandler):
    """Serves `folder` as the model owner/model; keeps which ranges of which files were asked."""

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, with_body):
        path = self.path.partition("?")[0]
        owner, _, name = path.rpartition("/")
        file = self.server.folder / name
        if path.startswith("/api/models/owner/model/"):
            self._send(200, json.dumps(self._listing(path)).encode(), with_body)
            return
        known = owner == f"/owner/model/resolve/{self.server.revision}" or f"/{COMMIT}" in owner
        if not (known and file.is_file()):
            self._send(200 if path == "/" else 404, b"", with_body)
            return
        data, asked = file.read_bytes(), self.headers.get("Range")
        if with_body:
            self.server.asked.append((name, asked))
        if asked is not None:
            first, last = asked.removeprefix("bytes=").split("-")
            data = data[int(first) : int(last or len(data)) + 1]
        self._send(200 if asked is None else 206, data, with_body)

    def _listing(self, path):
        files = [file for file in self.server.folder.iterdir() if file.is_file()]
        if "/tree/" in path:
            whole = not path.endswith("additional_chat_templates")
            return [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": file.name}
                for file in files if whole
            ]  # fmt: skip
        names = [{"rfilename": file.name} for file in files]
        return {"id": "owner/model", "sha": COMMIT, "siblings": names}

    def _send(self, status, data, with_body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha256(self.path.encode()).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if status == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, *_):
        """Writes nothing."""


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """A hub on this machine, and a cache of downloads that is empty."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.folder, server.revision, server.asked = folder("llama"), "main", []
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("the hub was asked again"))
    here = f"http://127.0.0.1:{server.server_port}"
    for name in ("ENDPOINT", "HUGGINGFACE_CO_URL_TEMPLATE"):
        address = getattr(constants, name).replace(PUBLIC, here)
        monkeypatch.setattr(constants, name, address)
    monkeypatch.setattr(hf_api.api, "endpoint", here)  # made once, as its module is imported
    monkeypatch.setattr("transformers.utils.hub._hf_api", None, raising=False)  # made at first use
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def weights(folder):
    """Bytes of the weights of a folder, all of them in float32."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as held:
            total += sum(held.get_tensor(name).numel() for name in held.keys()) * 4  # noqa: SIM118
    return total


@pytest.mark.parametrize(
    ("way", "sharded", "revision"),
    [("load", False, None), ("load", True, "v1"), ("add", False, "v1"), ("add", True, None)],
)
def test_the_headers_on_the_hub_tell_before_the_download(
    hub, tmp_path, monkeypatch, way, sharded, revision
):
    hub.revision = revision or "main"
    if sharded:
        shard(hub.folder, lambda _: None)
    needed = weights(hub.folder)
    work = transplant.Workspace(library=Registry.open(tmp_path / "registry"), revision=revision)

    def call():
        if way == "add":
            return work.add("owner/model", "short")
        return load_backbone("owner/model", revision=revision).revision

    monkeypatch.setattr(memory, "available_memory", lambda: needed - 1)
    with pytest.raises(BackboneError, match=NOT_FITTING):
        call()
    assert all(asked for name, asked in hub.asked if name.endswith(".safetensors"))  # of no whole
    assert not work.library.holds_backbone("short")
    monkeypatch.setattr(memory, "available_memory", lambda: needed)
    assert COMMIT in str(call())  # the control: what fits is downloaded and loaded
    assert any(name.endswith(".safetensors") and not asked for name, asked in hub.asked)


def test_the_dtype_counts(hub, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: weights(hub.folder) * 3 // 4)
    with pytest.raises(BackboneError, match="does not fit"):  # it is read as it is stored
        load_backbone("owner/model", dtype="bfloat16")


@pytest.mark.usefixtures("hub")
def test_a_device_map_is_not_held_to_memory(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1)
    assert load_backbone("owner/model", device_map="auto").revision == COMMIT


def test_a_hub_that_does_not_tell_leaves_it_to_whoever_loads(hub, monkeypatch):
    (hub.folder / "model.safetensors").write_bytes(b"no header")
    monkeypatch.setattr(memory, "available_memory", lambda: 1)
    with pytest.raises(BackboneError) as caught:
        load_backbone("owner/model")
    assert "memory" not in str(caught.value)


def test_out_of_reach_the_cache_tells(hub, monkeypatch):
    load_backbone("owner/model")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    monkeypatch.setattr(memory, "available_memory", lambda: weights(hub.folder) - 1)
    with pytest.raises(BackboneError, match=f"F32 in .*{COMMIT}.*does not fit into memory"):
        load_backbone("owner/model")
    assert hub.asked == []
