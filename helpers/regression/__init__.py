"""The regression network: a face in 198 numbers at a glance."""

from helpers.regression.augment import Augmentation, augment
from helpers.regression.data import PeopleSource, TensorSource
from helpers.regression.folder import FolderSource
from helpers.regression.loss import AsymmetricEuclideanLoss, asymmetric_euclidean_loss, huber_loss, l2_loss
from helpers.regression.network import build_network
from helpers.regression.network_file import load_network, save_network
from helpers.regression.predict import Network
from helpers.regression.settings import PRESETS, TrainSettings, settings_of
from helpers.regression.training import TrainResult, train

__all__ = [
    "PRESETS",
    "AsymmetricEuclideanLoss",
    "Augmentation",
    "FolderSource",
    "Network",
    "PeopleSource",
    "TensorSource",
    "TrainResult",
    "TrainSettings",
    "asymmetric_euclidean_loss",
    "augment",
    "build_network",
    "huber_loss",
    "l2_loss",
    "load_network",
    "save_network",
    "settings_of",
    "train",
]
