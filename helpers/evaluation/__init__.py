"""How good a face is, in millimetres."""

from helpers.evaluation.shape import align_similarity, shape_rmse

__all__ = ["align_similarity", "shape_rmse"]
