"""Records of limbeck 0.1 that are kept here, of each kind a full one and a bare one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OLD = Path(__file__).parent / "old"


def old_record(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((OLD / f"{name}.json").read_text(encoding="utf-8"))
    return found
