"""A stand-in for the hub's client: it writes down what it is asked for."""

from __future__ import annotations

from types import SimpleNamespace

import huggingface_hub


class StandIn:
    """The calls that are made, and the errors that they raise."""

    made: list
    raises: dict

    def whoami(self):
        self._call("whoami")
        return {"name": "me", "orgs": [{"name": "lab"}]}

    def create_repo(self, name, *, private, exist_ok):
        self._call("create", name, private)
        assert exist_ok
        return f"https://hub/{name}"

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        files = {
            str(file.relative_to(folder_path)): file.read_text("utf-8", "replace")
            for file in folder_path.rglob("*")
            if file.is_file()
        }
        self._call("upload", repo_id, files)
        assert commit_message
        return SimpleNamespace(oid="c0ffee")

    def _call(self, name, *facts):
        self.made.append((name, *facts))
        if name in self.raises:
            raise self.raises[name]


def put_stand_in(monkeypatch):
    """Puts it in place of the client, with a token, and returns its class."""
    kind = type("Api", (StandIn,), {"made": [], "raises": {}})
    monkeypatch.setattr(huggingface_hub, "HfApi", kind)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_secret")
    return kind
