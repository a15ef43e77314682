"""Synthetic photographs a second, against bare renders of the same faces."""

from __future__ import annotations

import torch

from helpers.datasets import Nuisances, SyntheticPeople
from helpers.rendering import render
from tests.bench.registry import bench, best, faster, model


def streamed(size: int, nuisances: Nuisances, batch: int = 64) -> dict:
    """ms a photograph, from its number to pixels and truth; the peer only draws faces that are shaped already."""
    heads = model(1)
    people = SyntheticPeople(heads, batch, 1, size=size, nuisances=nuisances)
    indices = torch.arange(batch)
    truth = people.batch(indices)
    albedo = heads.texture(truth.coefficients.beta)
    with torch.no_grad():
        bare = best(
            lambda: render(truth.vertices, heads.triangles, albedo, truth.pose, truth.camera, truth.light), 3
        )
        whole = best(lambda: people.batch(indices), 3)
    return faster(1e3 * whole / batch, "ms/image", 1e3 * bare / batch)


@bench
def people_64_vs_render() -> dict:
    return streamed(64, Nuisances())


@bench
def people_112_vs_render() -> dict:
    return streamed(112, Nuisances())


@bench
def people_112_photographs_vs_render() -> dict:
    return streamed(112, Nuisances.photographs())
