"""How long it takes to measure one face against a scan."""

from __future__ import annotations

import numpy as np
import torch

from helpers._open3d import open3d
from helpers.evaluation import Surface, micc_rmse
from tests.bench.registry import bench, best, faster, model


@bench
def icp_rmse_one() -> dict:
    """Seconds for alignment and 3DRMSE of one face of 53.9 thousand vertices, against Open3D's own ICP and distances.

    Open3D's registration runs on the same crop, from points to points, for as many rounds as its defaults allow.
    """
    heads = model(2)
    shapes = heads.shape(heads.sample(2, torch.Generator().manual_seed(0)).alpha)
    face, scan = (Surface.of(shape, heads.triangles, heads.landmarks) for shape in shapes)
    o3d = open3d()
    crop = scan.vertices[np.linalg.norm(scan.vertices - scan.nose, axis=1) <= 95.0]
    clouds = [o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points)) for points in (crop, face.vertices)]

    def peer() -> None:
        found = o3d.pipelines.registration.registration_icp(*clouds, max_correspondence_distance=30.0)
        moved = o3d.geometry.PointCloud(clouds[0]).transform(found.transformation)
        float(np.sqrt(np.mean(np.square(moved.compute_point_cloud_distance(clouds[1])))))

    return faster(best(lambda: micc_rmse(face, scan), 3), "s", best(peer, 3))
