"""What commands leave behind, without what no two calls have in common: times, sizes in memory, places."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

__all__ = ["differences", "filter_outcome", "losses", "run_outcome", "tune_outcome", "without_times"]

_OF_THIS_CALL = re.compile(
    r"created|command|name$|resolved|environment|seconds|per_second|hours|energy|memory|latency|other_cores"
)
_SENTENCE_WITH_A_TIME = re.compile(r"cores busy|hour|second|faster|slower|\d (ms|s|min|h)\b")


def run_outcome(run: Path) -> dict[str, Any]:
    """Return weights of all stages and of the student, all predictions, all loss lines and all figures of a run."""
    # A card quotes times; a report was left out.
    files = [f for part in ("student", "stages", "predictions") for f in (run / part).rglob("*")]
    wanted = [f for f in files if f.is_file() and f.name not in ("README.md", "done.json")]
    found: dict[str, Any] = {
        str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest() for file in wanted
    }
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    results["curves"] = sorted(results["curves"], key=json.dumps)
    return {**found, "losses": losses(run), "results": without_times(results)}


def losses(run: Path) -> list[dict[str, Any]]:
    """Return the lines of the log, sorted: a stage that was trained again has its lines at the end."""
    log = run / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    return sorted((without_times(line) for line in lines), key=json.dumps)


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if not _OF_THIS_CALL.search(key)}
    if isinstance(value, list):
        kept = [inner for inner in value if not (isinstance(inner, str) and _SENTENCE_WITH_A_TIME.search(inner))]
        return [without_times(inner) for inner in kept]
    return value


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Return where two outcomes differ, and by what."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = {**one, **other}
        return [found for key in keys for found in differences(one.get(key), other.get(key), f"{where}/{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for i, (first, second) in pairs for found in differences(first, second, f"{where}/{i}")]
    return [] if one == other else [f"{where}: {one!r:.200} and {other!r:.200}"]


def filter_outcome(output: Path) -> dict[str, Any]:
    """Return all that a filter leaves, but for how much the last call still had to ask."""
    counts = json.loads((output / "counts.json").read_text(encoding="utf-8"))
    files = {file.name: file.read_text(encoding="utf-8") for file in output.glob("*.jsonl")}
    return files | {name: counts[name] for name in counts if name not in ("created", "asked", "settings")}


def tune_outcome(output: Path) -> dict[str, Any]:
    """Return the prompt that a search chose, and its report."""
    return {name: (output / name).read_text(encoding="utf-8") for name in ("prompt.json", "tuning.json", "tuning.md")}
