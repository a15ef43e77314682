"""Which photographs are fitted in one go. The batches depend on the source and the configuration alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from helpers.labelling.crop_source import CropSource
from helpers.labelling.labeller import Batch
from helpers.labelling.store import Store


def batches_of(store: Store, done: set[int], source: CropSource) -> Iterator[Batch]:
    """The batches of all shards that are not done, in order.

    Photographs that are fitted alone are taken as they come, and a batch never reaches into the next shard. Fitted jointly,
    people are dealt out whole, whatever shards their photographs are in: a batch belongs to the shard of its first one.

    Args:
        store: of the rows.
        done: numbers of shards.
        source: of the photographs.
    """
    configuration = store.configuration
    if configuration.joint:
        for number, places in enumerate(joint_groups(source, configuration.batch)):
            if any(place // configuration.shard not in done for place in places):
                yield Batch(places[0] // configuration.shard, number, tuple(places))
        return
    for shard in range(store.shards):
        if shard not in done:
            places = store.places(shard)
            for number, first in enumerate(range(0, len(places), configuration.batch)):
                yield Batch(shard, number, tuple(places[first : first + configuration.batch]))


def joint_groups(source: CropSource, most: int) -> Iterator[list[int]]:
    """Photographs of whole people, together at most `most`; a person with more is cut into even groups, each for itself.

    Args:
        source: of the photographs.
        most: photographs that are in memory at once.

    Yields:
        Places in the source.
    """
    together: list[int] = []
    for places in people_of(source).values():
        if together and len(together) + len(places) > most:
            yield together
            together = []
        if len(places) <= most:
            together = together + list(places)
            continue
        groups = -(-len(places) // most)
        yield from (list(places[k::groups]) for k in range(groups))
    if together:
        yield together


def people_of(source: CropSource) -> dict[str, Sequence[int]]:
    """Person → places of the photographs, in the order in which the people come."""
    found: dict[str, list[int]] = {}
    for place in range(len(source)):
        found.setdefault(source.name(place)[1], []).append(place)
    return dict(found)
