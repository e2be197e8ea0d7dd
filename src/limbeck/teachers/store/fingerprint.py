"""What a store was made with: all that changes a teacher's distributions besides the sample itself."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from limbeck.atomic import guard_storage, write_json
from limbeck.errors import ConfigError, DataError
from limbeck.teachers.store.format import Precision, RowFormat

__all__ = ["FORMAT_VERSION", "STORE_FILE", "Fingerprint", "read_fingerprint", "write_fingerprint"]

FORMAT_VERSION = 1
STORE_FILE = "store.json"

_SHOWN = 24
"""Characters of a value that are shown where two differ; hashes are longer."""


@dataclass(frozen=True)
class Fingerprint:
    """Two runs with equal fingerprints get the same distribution for the same sample."""

    teacher: str
    """Identity of the teacher's weights, such as a hash of their files; of a served teacher its name and revision."""
    tokenizer: str
    """Identity of the tokenizer: which id is which token."""
    template: str
    """Identity of the chat or prompt template that made token ids of the samples; empty where there is none."""
    vocabulary: int
    """V: tokens of the distributions."""
    top_k: int
    """K: tokens kept of each."""
    temperature: float = 1.0
    """Distributions are ``softmax(logits / temperature)``."""
    precision: Precision = "compact"
    date: str = ""
    """The day that a chat template wrote which asks for today's (YYYY-MM-DD); empty where none asks."""
    format: int = FORMAT_VERSION

    @property
    def row_format(self) -> RowFormat:
        """How the distributions are packed. Raises `ConfigError` for an impossible `top_k`."""
        return RowFormat(self.vocabulary, self.top_k, self.precision)

    @property
    def digest(self) -> bytes:
        """16 bytes that name this fingerprint; every shard's index begins with them."""
        named = {**dataclasses.asdict(self), "temperature": float(self.temperature)}
        if not self.date:
            del named["date"]  # as in stores that were made before there was a day
        text = json.dumps(named, sort_keys=True)
        return hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()

    def differences(self, wanted: Fingerprint) -> list[str]:
        """Say for each field what it is here (in the store) and what it is in `wanted`."""
        here, there = dataclasses.asdict(self), dataclasses.asdict(wanted)
        return [
            f"{_WORDS.get(name, name)}: {_shown(here[name])} in the store, {_shown(there[name])} wanted"
            for name in here
            if here[name] != there[name]
        ]

    def require(self, wanted: Fingerprint, folder: Path) -> None:
        """Check that the store in `folder`, made with this fingerprint, serves a run that wants another.

        Raises:
            ConfigError: it does not; names each difference.
        """
        if different := self.differences(wanted):
            raise ConfigError(
                f"the teacher store {folder} was not made for this run. {'; '.join(different)}. "
                "Set these back to what the store was made with, or make another store in an empty folder"
            )


_WORDS = {
    "teacher": "another teacher",
    "tokenizer": "another tokenizer",
    "template": "another template",
    "date": "another date in the template",
    "format": "another version of the store's format",
}


def read_fingerprint(folder: Path) -> Fingerprint:
    """Return the fingerprint of the store in `folder`.

    Raises:
        DataError: there is no store, or none that this version of limbeck reads.
    """
    path = folder / STORE_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"{folder} holds no teacher store ({STORE_FILE} is not there). Make one with limbeck store"
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}. Put it back from a copy, or make another store") from error
    names = {field.name for field in dataclasses.fields(Fingerprint)}
    complete = isinstance(values, dict) and {"date", *values} == names
    if not complete or values.get("format") != FORMAT_VERSION:
        version = values.get("format") if isinstance(values, dict) else None
        raise DataError(
            f"{path} is of format {version!r}; this version of limbeck reads format {FORMAT_VERSION}. "
            "Use the version that made it, or make another store"
        )
    return Fingerprint(**values)


def write_fingerprint(folder: Path, fingerprint: Fingerprint) -> None:
    """Make `folder` a store with this fingerprint, or check that it is one. Several processes may do so at once.

    Raises:
        ConfigError: it is a store with another fingerprint.
        DataError: its fingerprint cannot be read.
        StorageError: it cannot be written.
    """
    path = folder / STORE_FILE
    with guard_storage(path):
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            mine = folder / f"{STORE_FILE}.{secrets.token_hex(4)}"  # other ranks may write theirs at this moment
            write_json(mine, dataclasses.asdict(fingerprint))
            mine.replace(path)
    read_fingerprint(folder).require(fingerprint, folder)


def _shown(value: object) -> str:
    text = str(value) or "none"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
