"""Program of `test_writer.py`: for each line that it reads, forks a process that writes to a store until it is killed.

    python write_until_killed.py STORE ACKNOWLEDGED

Prints each process's id. A number stands in the file ACKNOWLEDGED once `sync` has returned for its sample. The
processes are forked because starting Python and torch takes far longer than what is tested.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from conftest import FINGERPRINT, sample
from limbeck.teachers.store.reader import TokenStore
from limbeck.teachers.store.writer import StoreWriter

NUMBERS = range(1000)
"""More than a process can write before it is killed."""


def write(folder: Path, acknowledged: int) -> None:
    with StoreWriter(folder, FINGERPRINT, shard_bytes=3000) as writer:
        missing = TokenStore.open(folder).missing([f"row-{number}" for number in NUMBERS])
        waiting = []
        for number in missing:
            writer.append(f"row-{number}", sample(number))
            waiting.append(number)
            if number % 3 == 0:
                writer.sync()
                os.write(acknowledged, "".join(f"{n}\n" for n in waiting).encode())
                waiting = []


if __name__ == "__main__":
    os.fsync = lambda file: None  # a kill takes nothing from the operating system, and a busy disk takes seconds
    acknowledged = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            write(Path(sys.argv[1]), acknowledged)
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)
