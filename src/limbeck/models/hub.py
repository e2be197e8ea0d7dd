"""The folder of a model on the Hugging Face hub, from one request, or from the cache if offline."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from limbeck.errors import ModelError

__all__ = ["HEAD_WEIGHTS", "hub_folder", "hub_trouble", "hub_weights", "is_hub_name", "without_hub"]

_ANSWER_SECONDS = 5.0
_SMALL_FILES = (
    "*config.json", "*.index.json", "modules.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json",
    "chat_template*", "additional_chat_templates/*",
    "vocab*", "merges.txt", "*.model", "task.json", "adapter.json", "verbaliser.json", "calibration.json", "*.py",
)  # fmt: skip
"""The files of a repository that describe its weights and tokenizer. Code runs only if the user asks."""
HEAD_WEIGHTS = "2_Dense/model.safetensors"
"""The head of a classifier in a folder of Sentence Transformers (`limbeck.models.pooled_classifier`)."""
_WHOLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"


def is_hub_name(name: str) -> bool:
    """Return whether the hub could have a model with this name: NAME or OWNER/NAME."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


@lru_cache(maxsize=64)
def _copy(name: str) -> tuple[Path | None, ModelError | None]:
    """Return the folder in the cache, and why the hub cannot be asked for more.

    Asked once per process: everything loaded for a model has one revision.
    """
    from huggingface_hub import snapshot_download

    if (refused := _refusal(name)) is not None:
        return _cached(name), refused
    return Path(snapshot_download(name, allow_patterns=list(_SMALL_FILES))), None


def hub_folder(name: str) -> Path:
    """Return the folder in the cache with all small files of a model; only cached files if the hub is unreachable.

    Raises:
        ModelError: no such model, no access to it, or neither a network nor a copy in the cache.
    """
    folder, refused = _copy(name)
    if folder is None:
        assert refused is not None
        raise refused
    return folder


def hub_weights(name: str, names_in: Callable[[Path], list[str]]) -> Path:
    """Fetch the safetensors weights of a model, if they are missing, and return their folder.

    It differs from `hub_folder` if the hub's bot converted the weights and the owner has not merged the conversion.
    A model without any gets the folder that lacks them.

    Args:
        name: the model's hub name.
        names_in: checks an index and returns the names of its files.

    Raises:
        ModelError: as `hub_folder`; or the index names something other than a weights file of the model.
    """
    folder, (_, refused) = hub_folder(name), _copy(name)
    if _fetch(name, folder, names_in, online=refused is None):
        return folder
    if refused is not None:
        raise refused
    from huggingface_hub import snapshot_download
    from transformers.safetensors_conversion import auto_conversion

    # The bot's pull request; a file gives its number.
    _, revision, *_ = auto_conversion(name, ignore_errors_during_conversion=True) or (None, None)
    if revision is None:
        return folder
    converted = Path(snapshot_download(name, revision=revision, allow_patterns=list(_SMALL_FILES)))
    _fetch(name, converted, names_in, online=True)
    return converted


def _fetch(name: str, folder: Path, names_in: Callable[[Path], list[str]], *, online: bool) -> bool:
    """Return whether `folder` has weights, fetching them if needed."""
    if (folder / HEAD_WEIGHTS).with_name("config.json").exists():
        _download(name, folder, [HEAD_WEIGHTS], online=online)  # a sentence encoder may have none of this kind
    if _download(name, folder, [_WHOLE], online=online):
        return True
    index = folder / _INDEX
    return index.exists() and _download(name, folder, names_in(index), online=online)


def _download(name: str, folder: Path, files: list[str], *, online: bool) -> bool:
    """Fetch files of the folder's revision; return whether all are there afterwards."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        for file in files:
            hf_hub_download(name, file, revision=folder.name, local_files_only=not online)
    except EntryNotFoundError:
        return False
    return True


def _cached(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json")
    return Path(found).parent if isinstance(found, str) else None


def _refusal(name: str) -> ModelError | None:
    """Return an error saying why the hub does not provide a model; ``None``: it does."""
    if (why := hub_trouble(name, "model")) is None:
        return None
    here = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    return ModelError(
        f"cannot load '{name}': there is no such folder, and the hub's model is not complete on this machine: {why}."
        f" To work without a network, give a folder, or run `hf download {name}` where there is one and copy the cache"
        f" ({here}); HF_HUB_OFFLINE=1 then saves the request"
    )


def hub_trouble(name: str, kind: Literal["model", "dataset"]) -> str | None:
    """Return why the hub does not provide something; ``None``: it does. One request, with a timeout of seconds."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    host = urlsplit(constants.ENDPOINT).hostname
    try:
        HfApi().repo_info(name, repo_type=kind, timeout=_ANSWER_SECONDS)
        return None
    except GatedRepoError:
        return f"its owner at {host} must grant you access (ask on its page, then log in: hf auth login)"
    except RepositoryNotFoundError:
        return f"{host} has none of this name (if it is private, log in first: hf auth login)"
    except OfflineModeIsEnabled:
        return "HF_HUB_OFFLINE is set"
    except HfHubHTTPError as error:
        return f"{host} answered with HTTP status {error.response.status_code}"
    except Exception as error:  # network errors have no common base; their text may hold a proxy's password
        return f"{host} cannot be reached ({type(error).__name__})"


@contextmanager
def without_hub() -> Iterator[None]:
    """Make libraries use the hub's cache, instead of asking the hub again and again."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
