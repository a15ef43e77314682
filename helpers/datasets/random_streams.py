"""Random numbers that belong to one quantity of one photograph, whatever is drawn before, after or beside them.

A data set that is drawn while it is read must give photograph 1 234 567 the same numbers alone, in a batch of 64, or
after a restart on another machine; and a new quantity, or one that is left out, must not change the others. One
generator for all cannot do that. So every quantity has a stream of its own, addressed by (seed, person, photograph, name).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

OF_THE_PERSON = 0xFFFFFFFF  # in the place of the photograph's number: what all photographs of a person share


class RandomStreams:
    """Named streams of random numbers for B photographs.

    A counter-based generator (Philox) computes each number from a key and a counter. The key is (seed, person,
    photograph); the name selects a section of the counter, 2¹⁹² blocks long. So different streams never meet.
    The numbers are drawn on the CPU: a seed gives the same photographs on every device.

    Args:
        seed: of the data set; its last 64 bits count.
        person: B numbers of persons, 0 to 2³² − 1.
        photo: B numbers of photographs of these persons, 0 to 2³² − 2; None for what belongs to the persons.
        device: where the numbers are returned.

    Source:
        Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (2011).

    >>> both = RandomStreams(seed=0, person=[4, 9], photo=[1, 1]).normal("expression", 7)
    >>> alone = RandomStreams(seed=0, person=[9], photo=[1]).normal("expression", 7)
    >>> torch.equal(both[1], alone[0])
    True
    """

    def __init__(self, seed: int, person: Sequence[int], photo: Sequence[int] | None = None, device="cpu"):
        photo = [OF_THE_PERSON] * len(person) if photo is None else photo
        low = [p << 32 | n for p, n in zip(person, photo, strict=True)]
        self._keys = np.array([(seed & 0xFFFFFFFFFFFFFFFF, number) for number in low], np.uint64)
        self._philox = np.random.Philox()
        self._generator = np.random.Generator(self._philox)
        self._state = self._philox.state
        self._state |= {"buffer_pos": len(self._state["buffer"]), "has_uint32": 0}  # nothing left over
        self._names: set[str] = set()
        self.device = device

    def __len__(self) -> int:
        return len(self._keys)

    def uniform(self, name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers of the stream `name`.

        Args:
            name: of the quantity.
            *shape: of the numbers for one photograph.
            low: limit.
            high: limit.

        Returns:
            (B, *shape) float32.

        Raises:
            ValueError: if the stream has been drawn before: it would give the same numbers again.
        """
        return low + (high - low) * self._draw(name, shape, self._generator.random)

    def within(self, name: str, limit: float, *shape: int) -> Tensor:
        """`uniform` within ± limit."""
        return self.uniform(name, *shape, low=-limit, high=limit)

    def normal(self, name: str, *shape: int, sigma: float = 1.0) -> Tensor:
        """Normal numbers of the stream `name` with mean 0 and standard deviation sigma; otherwise as `uniform`."""
        return sigma * self._draw(name, shape, self._generator.standard_normal)

    def _draw(self, name: str, shape: tuple[int, ...], draw: Callable) -> Tensor:
        if name in self._names:
            raise ValueError(
                f"the stream {name!r} has been drawn already; give each quantity a name of its own"
            )
        self._names.add(name)
        section = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
        counter = np.array([0, 0, 0, section], np.uint64)
        numbers = np.empty((len(self._keys), *shape), np.float32)
        for key, row in zip(self._keys, numbers.reshape(len(self._keys), -1), strict=True):
            # Setting the state of one generator takes a tenth of the time of making another.
            self._state["state"] = {"counter": counter, "key": key}
            self._philox.state = self._state
            draw(out=row, dtype=np.float32)
        return torch.from_numpy(numbers).to(self.device)
