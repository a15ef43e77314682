"""Faces to learn and to test on. Known truth first: rendered people whose every number is known."""

from helpers.datasets.known_faces import KnownFaces, known_faces

__all__ = ["KnownFaces", "known_faces"]
