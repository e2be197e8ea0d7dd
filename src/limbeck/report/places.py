"""Hide paths and server addresses of the run's own machine on pages and cards.

Reports and cards are passed on. A path in the run folder is shown relative to it, any other absolute path by its last
part, and a server that only this machine or its network reaches as "a local server". ``run.yaml`` and ``results.json``
keep everything.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel

from limbeck.results.alerts import Alert
from limbeck.results.figures import Comparison, Figure
from limbeck.results.record import Curve, System
from limbeck.results.sections import Classes, ConfusionMatrix, Disagreement, Sample

__all__ = ["without_places"]

_LOCAL_SERVER = "a local server"
_OF_ROWS = (Alert, Sample, Disagreement, Classes, ConfusionMatrix, Figure, Comparison, Curve)
"""Records that quote the user's rows, in which anything like a path must stay."""
_LOCAL_SUFFIXES = (".local", ".localhost", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa")

_URL = re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://[^\s\"'<>`]+", re.IGNORECASE)
_HOST = re.compile(
    r"(?<![\w.:/-])(?:localhost|\[::1\]|(?:127|10)(?:\.\d{1,3}){3}(?=:\d)|127(?:\.\d{1,3}){3}|0\.0\.0\.0(?=:\d)"
    r"|192\.168(?:\.\d{1,3}){2}|172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2})(?::\d+)?(?:/[^\s\"'<>`]*)?(?![\w-])"
)
# At least two parts: a lone "/data" reveals nothing, and "/no_think" or "</s>" are not paths.
_ROOT = r"(?:~[\w.-]*/|/(?=[^\s/]+/[^\s/])|[A-Za-z]:[\\/]|\\\\\\?\\?)"
_LINE = re.compile(rf"^([ \t]*(?:- |[\w-]+: )+)({_ROOT}[^\n]*(?:\n[ \t]++(?![\w-]+:|- )[^\n]+)*)$", re.MULTILINE)
"""A value of a YAML file that is a path, including blanks and continuation lines."""
_QUOTED = re.compile(rf"(?<=[\"'])([^\s\"'=]*=)?({_ROOT}[^\"'\n]*)(?=[\"'])")
_BARE = re.compile(rf"(?<![^\s\"'=(\[,:`|]){_ROOT}[^\s\"'`<>|,;()\[\]{{}}]*")
_HOME = re.compile(r"(?:[A-Za-z]:)?[\\/]+(?:home|Users)[\\/]+[^\\/]+")

Record = TypeVar("Record", bound=BaseModel)


def without_places(results: Record) -> tuple[Record, bool]:
    """Return a result record without absolute paths and local addresses, and whether it had any.

    Texts, labels and answers from the user's rows stay as they are.
    """
    run = getattr(results, "run", None)
    labels = {label for one in getattr(results, "sections", ()) if isinstance(one, Classes) for label in one.labels}
    shown = _mapped(results, _Shorter(_output_of(run.resolved if run else ""), labels))
    if shown == results:
        return results, False
    if run:
        # Its first line says that the file runs as it is, which is true of run.yaml alone.
        resolved = re.sub(r"\A#[^\n]*\n", "", shown.run.resolved)
        shown = shown.model_copy(update={"run": shown.run.model_copy(update={"resolved": resolved})})
    return shown, True


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    if isinstance(value, dict):
        return {_mapped(key, change): _mapped(item, change) for key, item in value.items()}
    if isinstance(value, BaseModel) and not _quotes_rows(value):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return value.model_copy(update={name: _mapped(field, change) for name, field in fields.items()})
    return value


def _quotes_rows(value: BaseModel) -> bool:
    # A constant is named by its answer.
    return isinstance(value, _OF_ROWS) or (isinstance(value, System) and value.role == "constant")


def _output_of(resolved_run: str) -> str:
    found = re.search(r"^output: *(.+)$", resolved_run, re.MULTILINE)
    return found[1].strip().strip("'\"").rstrip("/\\") if found else ""


class _Shorter:
    """Shortens paths in texts, with a unique name for each path."""

    def __init__(self, run_folder: str, labels: set[str]) -> None:
        self.run_folder = run_folder
        self.labels = labels
        self.shown: dict[str, str] = {}
        self.times: Counter[str] = Counter()
        """Number of different paths that end in a name."""

    def __call__(self, text: str) -> str:
        text = _URL.sub(self._url, text)
        text = _HOST.sub(_LOCAL_SERVER, text)
        text = _LINE.sub(lambda found: found[1] + self._path(found[2]), text)
        text = _QUOTED.sub(lambda found: (found[1] or "") + self._path(found[2]), text)
        return _BARE.sub(lambda found: self._path(found[0]), text)

    def _url(self, found: re.Match[str]) -> str:
        address = found[0].rstrip(".,;:!?)]}")
        rest = found[0][len(address) :]
        if address.lower().startswith("file://"):
            return self._path(address[len("file://") :]) + rest
        return (_LOCAL_SERVER if _is_local(address) else address) + rest

    def _path(self, found: str) -> str:
        """Return the shown form of an absolute path; a full stop after it belongs to the sentence."""
        path = re.sub(r"\s*\n\s*", " ", found).rstrip(".:!?")
        rest = found[len(found.rstrip(".:!?")) :]
        if path in self.labels:
            return found
        path = path.rstrip("/\\")
        folder = self.run_folder
        if folder and path.startswith((f"{folder}/", f"{folder}\\")):
            return path[len(folder) + 1 :] + rest
        if _HOME.fullmatch(path):
            return "~" + rest
        name = re.split(r"[\\/]", path)[-1]
        shown = self.shown.get(path)
        if shown is None:
            self.times[name] += 1
            shown = self.shown[path] = name if self.times[name] == 1 else f"{name} ({self.times[name]})"
        return shown + rest


def _is_local(address: str) -> bool:
    try:
        host = urlsplit(address).hostname
    except ValueError:  # not a reachable address
        return True
    if not host:
        return False
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_SUFFIXES)
