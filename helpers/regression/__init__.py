"""The regression network: a face in 198 numbers at a glance."""

from helpers.regression.loss import AsymmetricEuclideanLoss, asymmetric_euclidean_loss

__all__ = ["AsymmetricEuclideanLoss", "asymmetric_euclidean_loss"]
