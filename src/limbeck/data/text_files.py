"""Opening text files, compressed or not, with clear errors for those that cannot be read."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from limbeck.data.sources import DataFile
from limbeck.errors import DataError

__all__ = ["open_text", "refuse_unreadable", "utf8_fault"]

_NOT_UTF8 = {
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"\x1f\x8b": "compressed with gzip; add .gz to its name",
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack it, or export it as CSV",
}
"""First bytes of files that are often given by mistake."""


@contextmanager
def open_text(file: DataFile) -> Iterator[io.TextIOWrapper]:
    """Open `file` as UTF-8 lines, with or without a byte-order mark; line ends are kept.

    Bytes that are not UTF-8 become lone surrogates, so that one bad row does not end the reading;
    `utf8_fault` finds them.

    Raises:
        DataError: the file cannot be opened, or fails while it is read inside the block.
    """
    with (
        refuse_unreadable(file),
        gzip.open(file.path, "rb") if file.compressed else file.path.open("rb") as stream,
    ):
        start = stream.peek(4)[:4]
        for mark, what in _NOT_UTF8.items():
            if start.startswith(mark):
                raise DataError(f"{file.name} is not a text file in UTF-8, it is {what}.")
        yield io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")


@contextmanager
def refuse_unreadable(file: DataFile) -> Iterator[None]:
    """Turn failures of the disk and of decompression inside the block into a `DataError`."""
    try:
        yield
    except EOFError as error:
        raise DataError(f"{file.name} ends too early: it was cut short. Copy or download it again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{file.name} is not a valid gzip file: {error}. Copy or download it again.") from error
    except OSError as error:
        raise DataError(f"{file.name} cannot be read: {error.strerror or error}. Check its permissions.") from error


def utf8_fault(text: str) -> str | None:
    """Return where text from `open_text` was not UTF-8, or ``None``.

    >>> utf8_fault("caf\\udce9")
    'not UTF-8: byte 4 is 0xe9; save the file as UTF-8'
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        number = len(text[: error.start].encode()) + 1
        byte = ord(text[error.start]) - 0xDC00
        return f"not UTF-8: byte {number} is 0x{byte:02x}; save the file as UTF-8"
    return None
