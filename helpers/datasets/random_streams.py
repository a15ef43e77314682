"""Random numbers that belong to one photograph, whatever is drawn before, after or beside it.

A dataset that is drawn while it is read must give photograph 1 234 567 the same numbers alone, in a batch of 64, or
after a restart on another machine. One generator for all cannot do that. So every photograph has its own, keyed by
(seed, person, photograph): a counter-based generator (Philox, Salmon et al. 2011) takes such a key as it is, and
different keys never meet.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

OF_THE_PERSON = 0xFFFFFFFF  # in the place of the photograph's number: what all photographs of a person share


def generator_of(seed: int, person: int, photo: int = OF_THE_PERSON) -> np.random.Generator:
    """The generator of one photograph, or of what belongs to the person.  person, photo: 0 to 2³² − 1."""
    key = np.array([seed & 0xFFFFFFFFFFFFFFFF, person << 32 | photo], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


class Draws:
    """Numbers for B photographs, handed out from the left.

    uniform (B, U) from 0 to 1 and normal (B, N): drawn on the CPU, then moved to `device`, so that a seed gives the
    same photographs on every device.
    """

    def __init__(self, generators: list[np.random.Generator], uniforms: int, normals: int, device="cpu"):
        self.uniforms = np.empty((len(generators), uniforms), np.float32)
        self.normals = np.empty((len(generators), normals), np.float32)
        for row, generator in enumerate(generators):
            generator.random(out=self.uniforms[row], dtype=np.float32)
            generator.standard_normal(out=self.normals[row], dtype=np.float32)
        self.uniforms, self.normals = (torch.from_numpy(v).to(device) for v in (self.uniforms, self.normals))
        self._used = {"uniforms": 0, "normals": 0}

    def _take(self, kind: str, shape: tuple[int, ...]) -> Tensor:
        table, start = getattr(self, kind), self._used[kind]
        stop = start + int(np.prod(shape))
        if stop > table.shape[1]:
            raise ValueError(f"only {table.shape[1]} {kind} were drawn, {stop} are wanted")
        self._used[kind] = stop
        return table[:, start:stop].reshape(-1, *shape)

    def share(self, *shape: int) -> Tensor:
        """(B, …) uniform from 0 to 1."""
        return self._take("uniforms", shape)

    def between(self, low: float, high: float, *shape: int) -> Tensor:
        """(B, …) uniform from low to high."""
        return low + (high - low) * self.share(*shape)

    def within(self, limit: float, *shape: int) -> Tensor:
        """(B, …) uniform within ± limit."""
        return self.between(-limit, limit, *shape)

    def normal(self, sigma: float, *shape: int) -> Tensor:
        """(B, …) normal with mean 0 and standard deviation sigma."""
        return self._take("normals", shape) * sigma
