"""Program of `test_servers.py`: carries out `limbeck filter`, and says at the end how much memory it took."""

from __future__ import annotations

import resource
import sys

from forge import carry_out_commands


def prepare() -> None:
    import aiohttp  # noqa: F401

    import limbeck.filter.flow  # noqa: F401
    from limbeck.teachers.chat.client import ChatTeacher  # noqa: F401
    from limbeck.teachers.chat.transport import known_certificates

    known_certificates()


def carry_out(words: list[str]) -> None:
    from limbeck.cli.app import main

    sys.argv = ["limbeck", *words]
    try:
        main()
    finally:
        print(f"peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss} KB")


if __name__ == "__main__":
    carry_out_commands(prepare, carry_out)
