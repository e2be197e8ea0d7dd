"""Checks that several recipes share."""

from __future__ import annotations

from limbeck.errors import ConfigError

__all__ = ["require_share"]


def require_share(name: str, value: float) -> None:
    """Raise `ConfigError` unless `value` is between 0 and 1."""
    if not 0 <= value <= 1:
        raise ConfigError(f"recipe.{name} must be between 0 and 1, not {value}")
