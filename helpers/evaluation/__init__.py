"""How good a face is: in millimetres against a scan, and in telling people apart.

`shape_rmse` compares meshes whose vertices correspond; `scan_error` and `compare_protocols` those whose vertices do not, and
`realy_errors` those part by part; `recognition` scores pairs of coefficient vectors. numpy works on scans, torch on batches.
"""

from helpers.evaluation.bootstrap import Interval, bootstrap_interval, bootstrap_people
from helpers.evaluation.depth import DepthErrors, depth_errors, depth_map
from helpers.evaluation.icp import IcpResult, IcpSettings, Motion, best_motion, icp
from helpers.evaluation.labelled import Labelled, read_labelled, read_pairs
from helpers.evaluation.landmark_error import NORMALISERS, landmark_nme
from helpers.evaluation.outer_surface import outer_rmse, outer_surface
from helpers.evaluation.protocol import (
    MICC,
    NOW,
    PROTOCOLS,
    Protocol,
    ScanError,
    compare_protocols,
    error_map,
    micc_rmse,
    now_crop,
    scan_error,
)
from helpers.evaluation.realy import realy_errors, scan_parts
from helpers.evaluation.recognition import (
    REPRESENTATIONS,
    AllPairs,
    Pairs,
    Roc,
    Verification,
    Whitening,
    auc_interval,
    enough_for,
    make_pairs,
    rank_one,
    represent,
    roc,
    tar_at_far,
    verify,
)
from helpers.evaluation.regions import face_regions, normal_error, per_region
from helpers.evaluation.scans import find_scans, read_landmarks, read_surface
from helpers.evaluation.shape import align_similarity, shape_rmse
from helpers.evaluation.skin_tone import SKIN_TYPES, skin_type, typology_angle
from helpers.evaluation.surface import Nearest, Surface

__all__ = [
    "MICC",
    "NORMALISERS",
    "NOW",
    "PROTOCOLS",
    "REPRESENTATIONS",
    "SKIN_TYPES",
    "AllPairs",
    "DepthErrors",
    "IcpResult",
    "IcpSettings",
    "Interval",
    "Labelled",
    "Motion",
    "Nearest",
    "Pairs",
    "Protocol",
    "Roc",
    "ScanError",
    "Surface",
    "Verification",
    "Whitening",
    "align_similarity",
    "auc_interval",
    "best_motion",
    "bootstrap_interval",
    "bootstrap_people",
    "compare_protocols",
    "depth_errors",
    "depth_map",
    "enough_for",
    "error_map",
    "face_regions",
    "find_scans",
    "icp",
    "landmark_nme",
    "make_pairs",
    "micc_rmse",
    "normal_error",
    "now_crop",
    "outer_rmse",
    "outer_surface",
    "per_region",
    "rank_one",
    "read_labelled",
    "read_landmarks",
    "read_pairs",
    "read_surface",
    "realy_errors",
    "represent",
    "roc",
    "scan_error",
    "scan_parts",
    "shape_rmse",
    "skin_type",
    "tar_at_far",
    "typology_angle",
    "verify",
]
