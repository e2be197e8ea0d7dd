"""Program of `test_filter_kills.py`: carries out `limbeck filter`."""

from __future__ import annotations

from dataclasses import replace

from forge import carry_out_commands


def prepare() -> None:
    import aiohttp  # noqa: F401

    import limbeck.runs.filter as run_filter
    from limbeck.teachers.chat.client import ChatTeacher  # noqa: F401
    from limbeck.teachers.chat.journal import Journal
    from limbeck.teachers.chat.transport import known_certificates

    known_certificates()
    judge_of, prepare_journal = run_filter.judge_of, Journal._prepare
    run_filter.judge_of = lambda judge, journal: replace(
        judge_of(judge, journal), batch=16
    )  # more moments that differ

    def without_sync(journal: Journal) -> None:
        prepare_journal(journal)
        journal._connection.execute("PRAGMA synchronous = OFF")

    Journal._prepare = without_sync  # type: ignore[method-assign]


if __name__ == "__main__":
    carry_out_commands(prepare)
