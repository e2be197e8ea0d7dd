"""Models of a hub on loopback: fetched, pinned, out of reach, and hostile."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

import pytest
import torch
from huggingface_hub import constants, hf_api
from safetensors.torch import load_file, save_file
from transformers import safetensors_conversion

from limbeck.errors import ModelError
from limbeck.models.hub import _copy, hub_folder, is_hub_name
from limbeck.models.load import load_classifier, load_encoder, load_tokenizer, save_model
from limbeck.tasks.classification.predict import Predictor

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONVERTED = "fedcba9876543210fedcba9876543210fedcba98"
NAME = "someone/risk"


class Hub:
    """What the hub's server says of one repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.converted: Path | None = None
        """What the hub's bot offers in a pull request."""
        self.status = 200
        self.asked: list[str] = []

    def answer(self, path: str) -> tuple[int, bytes, str]:
        """Return status, content and commit."""
        folders = {"main": self.folder, COMMIT: self.folder, "refs/pr/1": self.converted, CONVERTED: self.converted}
        api = path.removeprefix(f"/api/models/{NAME}")
        if api == path:
            asked = path.removeprefix(f"/{NAME}/resolve/")
            revision = next((known for known in folders if asked.startswith(f"{known}/")), "")
            folder, name = folders.get(revision), asked.removeprefix(f"{revision}/")
            file = folder / name if folder else None
            commit = CONVERTED if folder == self.converted else COMMIT
            return (200, file.read_bytes(), commit) if file and file.is_file() else (404, b"", commit)
        kind, _, revision = api.strip("/").partition("/")
        if kind == "tree":
            there = folders[revision] or self.folder
            return self._json([self._entry(file, there) for file in sorted(there.rglob("*")) if file.is_file()])
        if kind == "discussions":
            return self._json({"count": len(self._requests), "start": 0, "discussions": self._requests})
        commits = [COMMIT] if revision == "main" else [CONVERTED, COMMIT]
        if kind == "commits":
            written = {"title": "", "message": "", "date": "2026-01-01T00:00:00.000Z", "authors": []}
            return self._json([{"id": commit, **written} for commit in commits])
        return self._json({"id": NAME, "sha": commits[0] if revision else COMMIT, "siblings": [], "private": False})

    @property
    def _requests(self) -> list[dict[str, Any]]:
        title = "Adding `safetensors` variant of this model"
        found = {"title": title, "num": 1, "author": {"name": "SFconvertbot"}, "createdAt": "2026-01-01T00:00:00.000Z"}
        repo = {"name": NAME, "type": "model"}
        return [{**found, "status": "open", "isPullRequest": True, "repo": repo}] if self.converted else []

    def _entry(self, file: Path, folder: Path) -> dict[str, Any]:
        content, path = file.read_bytes(), file.relative_to(folder).as_posix()
        return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def _json(self, value: Any) -> tuple[int, bytes, str]:
        return 200, json.dumps(value).encode(), COMMIT


def answer_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0])
            hub.asked.append(path)
            status, content, commit = hub.answer(path)
            if hub.status != 200:
                status, content = hub.status, b"{}"
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", commit)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound" if hub.status == 404 else "EntryNotFound")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    return Answer


def use(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    _copy.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(hf_api.api, "endpoint", endpoint)


def out_of_reach() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def hub(risk_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has the student of `risk_student`, and an empty cache."""
    repository = tmp_path / "repository"
    repository.mkdir()
    for file in risk_student.iterdir():
        (repository / file.name).write_bytes(file.read_bytes())
    made = Hub(repository)
    server = ThreadingHTTPServer(("127.0.0.1", 0), answer_of(made))
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    use(monkeypatch, f"http://127.0.0.1:{server.server_port}")
    yield made
    _copy.cache_clear()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_is_fetched_and_stays_at_its_revision(hub: Hub, risk_student: Path) -> None:
    student = Predictor(NAME)
    assert student.labels == ["risk", "caution", "safe"]
    assert student.predict(["the cat"]) == Predictor(str(risk_student)).predict(["the cat"])
    assert student.tokenizer.name_or_path == NAME
    assert student.model.config.name_or_path == NAME
    assert hub_folder(NAME).name == COMMIT
    before = len(hub.asked)
    load_tokenizer(NAME)
    load_classifier(NAME)
    assert len(hub.asked) == before


def test_so_is_the_head_of_a_classifier_of_pooled_states(hub: Hub, sentence_encoder_folder: Path) -> None:
    folder = str(sentence_encoder_folder)
    torch.manual_seed(0)
    shutil.rmtree(hub.folder)
    save_model(load_classifier(folder, labels=["risk", "safe"]), load_tokenizer(folder), hub.folder)
    assert Predictor(NAME).predict(["my card"]) == Predictor(str(hub.folder)).predict(["my card"])
    (hub.folder / "2_Dense" / "model.safetensors").unlink()  # a sentence encoder whose dense layer is pickled
    _copy.cache_clear()
    shutil.rmtree(constants.HF_HUB_CACHE)
    assert load_encoder(NAME).config.num_hidden_layers == 4


def test_a_student_s_own_files_come_along(hub: Hub) -> None:
    task = {"kind": "classification", "text": "body", "labels": ["risk", "caution", "safe"], "max_length": 7}
    (hub.folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    student = Predictor(NAME)
    assert (student.task.text, student.max_length) == ("body", 7)


def test_what_is_in_the_cache_works_without_a_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Predictor(NAME).predict(["the cat"])
    use(monkeypatch, out_of_reach())
    started = time.monotonic()
    assert Predictor(NAME).predict(["the cat"]) == answers
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    _copy.cache_clear()
    assert Predictor(NAME).predict(["the cat"]) == answers
    assert time.monotonic() - started < 10


def test_a_cache_without_weights_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    load_tokenizer(NAME)
    use(monkeypatch, out_of_reach())
    load_tokenizer(NAME)
    with pytest.raises(
        ModelError, match=r"is not complete on this machine: 127\.0\.0\.1 cannot be reached \(ConnectError\)"
    ):
        load_classifier(NAME)


def test_without_a_network_the_error_comes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    use(monkeypatch, out_of_reach())
    (tmp_path / "someone" / "risky").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    started = time.monotonic()
    for load in (load_tokenizer, load_classifier, Predictor):
        with pytest.raises(ModelError) as caught:
            load(NAME)
    assert time.monotonic() - started < 5
    said = str(caught.value)
    assert "127.0.0.1 cannot be reached" in said
    assert f"hf download {NAME}" in said
    assert "HF_HUB_OFFLINE=1" in said
    assert said.endswith("Did you mean the folder someone/risky?")


def test_a_network_that_swallows_everything_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("limbeck.models.hub._ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ModelError, match=r"cannot be reached \(ReadTimeout\)"):
            load_tokenizer(NAME)


def test_offline_by_the_user_s_will(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    _copy.cache_clear()
    with pytest.raises(ModelError, match="is not complete on this machine: HF_HUB_OFFLINE is set"):
        load_tokenizer(NAME)


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, r"127\.0\.0\.1 has none of this name"), (503, "answered with HTTP status 503")],
)
def test_the_hub_refuses(hub: Hub, status: int, said: str) -> None:
    hub.status = status
    with pytest.raises(ModelError, match=said):
        load_classifier(NAME)


def test_a_proxy_s_password_is_not_shown(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import close_session

    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", "http://user:s3cret@127.0.0.1:9")
    close_session()
    try:
        with pytest.raises(ModelError, match="cannot be reached") as caught:
            load_classifier(NAME)
        assert "s3cret" not in str(caught.value)
    finally:
        close_session()


def test_an_index_of_pickles_is_refused_before_they_are_fetched(hub: Hub, tmp_path: Path) -> None:
    weights = load_file(hub.folder / "model.safetensors")
    (hub.folder / "model.safetensors").unlink()
    torch.save(weights, hub.folder / "w.bin")
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "w.bin")}
    (hub.folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelError, match=r"index\.json names 'w\.bin' as weights"):
        load_classifier(NAME)
    assert not any("w.bin" in asked for asked in hub.asked)


def test_weights_in_several_files(hub: Hub, risk_student: Path) -> None:
    weights = load_file(hub.folder / "model.safetensors")
    (hub.folder / "model.safetensors").unlink()
    parts = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(weights)}
    for part in set(parts.values()):
        kept = {name: x for name, x in weights.items() if parts[name] == part}
        save_file(kept, hub.folder / part, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": parts}
    (hub.folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert Predictor(NAME).predict(["a dog"]) == Predictor(str(risk_student)).predict(["a dog"])


def only_pickles(hub: Hub) -> None:
    (hub.folder / "model.safetensors").unlink()
    (hub.folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


def test_pickles_alone_are_refused_and_not_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_to_convert = []
    monkeypatch.setattr(safetensors_conversion, "spawn_conversion", lambda *_: asked_to_convert.append(1))
    only_pickles(hub)
    with pytest.raises(ModelError, match=r"no model\.safetensors.*convert"):
        load_classifier(NAME)
    assert not any("pytorch_model.bin" in asked for asked in hub.asked)
    assert asked_to_convert


def test_weights_that_the_hub_s_bot_has_converted(hub: Hub, risk_student: Path) -> None:
    only_pickles(hub)
    hub.converted = risk_student
    assert Predictor(NAME).predict(["a dog"]) == Predictor(str(risk_student)).predict(["a dog"])
    assert not any("pytorch_model.bin" in asked for asked in hub.asked)


@pytest.mark.parametrize("name", ["a b", "a/b/c", "-x", "x" * 97, "a..b", ""])
def test_names_that_the_hub_cannot_have(name: str) -> None:
    assert not is_hub_name(name)
