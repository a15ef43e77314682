"""What was left out, and why: a small table for the last lines of a command, so that nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from helpers.fitting import REASONS
from helpers.labelling.parquet import ROWS, read_columns
from helpers.labelling.store import shard_files

# Words of rows that no fit has seen to its end, and what they mean. Each row explains itself in quarantine.csv.
QUARANTINE_REASONS = {
    "no_face": "no face was found, or the points that were given are of no face",
    "unreadable": "the file cannot be read as a photograph",
    "error": "the fit raised an error",
    "crashed": "the fit ended its process",
}
GONE = "gone"


class LeftOut(NamedTuple):
    """Photographs that were left out for one reason.

    Attributes:
        reason: one word or two.
        photographs: how many.
        people: of how many.
        example: one of the photographs.
        why: the reason in a sentence.
    """

    reason: str
    photographs: int
    people: int
    example: str
    why: str


def grouped(reason: str, why: str, photographs: Sequence[tuple[str, str]]) -> list[LeftOut]:
    """One group of left-out photographs (id, person); none where there are none."""
    if not photographs:
        return []
    people = {person for _, person in photographs}
    return [LeftOut(reason, len(photographs), len(people), photographs[0][0], why)]


def left_out_of(
    folder: str | Path, also: Collection[str] = (), there: Collection[str] | None = None
) -> list[LeftOut]:
    """The rows of a folder that do not count, by reason, the most frequent one first.

    Args:
        folder: what `label` has written.
        also: reasons of doubtful fits that count all the same.
        there: ids of the photographs that may count; None for all.

    Raises:
        UserError: for shards that cannot be read.
    """
    explained = {word: why for word, why in REASONS.values() if word} | QUARANTINE_REASONS
    explained[GONE] = "the photograph is no longer in its folder"
    found: dict[str, list[tuple[str, str]]] = {}
    for file in shard_files(folder).values():
        table = read_columns(file, ["id", "person", "reason"], ROWS)
        for name, person, reason in zip(*(column.to_pylist() for column in table.columns), strict=True):
            reason = GONE if there is not None and name not in there else reason
            if reason and reason not in also:
                found.setdefault(reason, []).append((name, person))
    groups = [
        group for word, those in found.items() for group in grouped(word, explained.get(word, ""), those)
    ]
    return sorted(groups, key=lambda group: -group.photographs)


def left_out_table(groups: Sequence[LeftOut], title: str = "left out") -> str:
    """The groups as lines of text, "" for none."""
    if not groups:
        return ""
    head = (title, "photographs", "of people", "such as", "why")
    rows = [head, *((g.reason, str(g.photographs), str(g.people), g.example, g.why) for g in groups)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"  {reason:<{widths[0]}}  {n:>{widths[1]}}  {people:>{widths[2]}}  {example:<{widths[3]}}  {why}".rstrip()
        for reason, n, people, example, why in rows
    )
