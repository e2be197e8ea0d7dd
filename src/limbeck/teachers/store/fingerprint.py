"""The fingerprint of a store: everything that affects a teacher's distributions besides the sample itself."""

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
"""Characters shown of a value that differs; hashes are longer."""


@dataclass(frozen=True)
class Fingerprint:
    """The settings of a store: with equal fingerprints, a sample always has the same distribution."""

    teacher: str
    """Identity of the teacher's weights, such as a hash of their files; for a served teacher its name and revision."""
    tokenizer: str
    """Identity of the tokenizer: which id is which token."""
    template: str
    """Identity of the chat or prompt template that rendered the samples; empty if there is none."""
    vocabulary: int
    """V, the number of tokens."""
    top_k: int
    """K, the tokens kept per distribution."""
    temperature: float = 1.0
    """Distributions are ``softmax(logits / temperature)``."""
    precision: Precision = "compact"
    date: str = ""
    """The date (YYYY-MM-DD) in a chat template that asks for today's; empty if it does not ask."""
    format: int = FORMAT_VERSION

    @property
    def row_format(self) -> RowFormat:
        """How the distributions are packed. Raises `ConfigError` for an impossible `top_k`."""
        return RowFormat(self.vocabulary, self.top_k, self.precision)

    @property
    def digest(self) -> bytes:
        """Return 16 bytes that identify this fingerprint; every shard's index begins with them."""
        named = {**dataclasses.asdict(self), "temperature": float(self.temperature)}
        if not self.date:
            del named["date"]  # as in stores from before there was a date
        text = json.dumps(named, sort_keys=True)
        return hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()

    def differences(self, wanted: Fingerprint) -> list[str]:
        """Describe each field that differs: its value here (in the store) and in `wanted`."""
        here, there = dataclasses.asdict(self), dataclasses.asdict(wanted)
        return [
            f"{_WORDS.get(name, name)}: {_shown(here[name])} in the store, {_shown(there[name])} wanted"
            for name in here
            if here[name] != there[name]
        ]

    def require(self, wanted: Fingerprint, folder: Path) -> None:
        """Check that the store in `folder`, which has this fingerprint, serves a run that needs another.

        Raises:
            ConfigError: it does not; gives each difference.
        """
        if different := self.differences(wanted):
            raise ConfigError(
                f"the teacher store {folder} does not fit this run. {'; '.join(different)}. "
                "Restore the settings of the store, or create another store in an empty folder"
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
        DataError: there is no store, or not one that this version of limbeck reads.
    """
    path = folder / STORE_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"{folder} holds no teacher store ({STORE_FILE} is missing). Create one with limbeck store"
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}. Restore it from a copy, or create another store") from error
    names = {field.name for field in dataclasses.fields(Fingerprint)}
    complete = isinstance(values, dict) and {"date", *values} == names
    if not complete or values.get("format") != FORMAT_VERSION:
        version = values.get("format") if isinstance(values, dict) else None
        raise DataError(
            f"{path} has format {version!r}, but this version of limbeck reads format {FORMAT_VERSION}. "
            "Use the version that created it, or create another store"
        )
    return Fingerprint(**values)


def write_fingerprint(folder: Path, fingerprint: Fingerprint) -> None:
    """Make `folder` a store with this fingerprint, or check that it is one. Safe for several processes at once.

    Raises:
        ConfigError: it is a store with another fingerprint.
        DataError: its fingerprint cannot be read.
        StorageError: it cannot be written.
    """
    path = folder / STORE_FILE
    with guard_storage(path):
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            mine = folder / f"{STORE_FILE}.{secrets.token_hex(4)}"  # other ranks may be writing theirs
            write_json(mine, dataclasses.asdict(fingerprint))
            mine.replace(path)
    read_fingerprint(folder).require(fingerprint, folder)


def _shown(value: object) -> str:
    text = str(value) or "none"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
