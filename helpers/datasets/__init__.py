"""Faces to learn and to test on. Known truth first: rendered people whose every number is known."""

from helpers.datasets.known_faces import KnownFaces, known_faces
from helpers.datasets.nuisances import Nuisances
from helpers.datasets.synthetic_people import PeopleBatch, SyntheticPeople

__all__ = ["KnownFaces", "Nuisances", "PeopleBatch", "SyntheticPeople", "known_faces"]
