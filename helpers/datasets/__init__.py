"""Faces to learn and to test on. Known truth first: rendered people whose every number is known; then photographs."""

from helpers.datasets.foreign_people import ForeignPeople
from helpers.datasets.known_faces import KnownFaces, known_faces
from helpers.datasets.nuisances import Nuisances
from helpers.datasets.photo_folder import PhotoFolder
from helpers.datasets.photo_records import PhotoRecords
from helpers.datasets.photo_source import PhotoEntry, PhotoSource, Unreadable
from helpers.datasets.synthetic_people import PeopleBatch, SyntheticPeople

__all__ = [
    "ForeignPeople",
    "KnownFaces",
    "Nuisances",
    "PeopleBatch",
    "PhotoEntry",
    "PhotoFolder",
    "PhotoRecords",
    "PhotoSource",
    "SyntheticPeople",
    "Unreadable",
    "known_faces",
]
