"""Landmarks of a scan, set by clicks on it and written beside its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from helpers.errors import UserError
from helpers.evaluation.scans import NOW_SEVEN, UNITS, landmarks_beside, read_surface, write_landmarks
from helpers.pose.points68 import NAMES
from helpers.show.viewer.packing import packed_mesh
from helpers.show.viewer.widget import FaceViewer
from helpers.show.views import CLAY


def pick_landmarks(path: str | Path, unit: str = "mm", **options) -> FaceViewer:
    """A scan to turn, on which seven landmarks are to be clicked: corners of the eyes and of the mouth, and the base of the nose.

    The seventh click writes them as STEM_landmarks.json beside the scan, in its unit, where `read_surface` and `evaluate` find
    them; Undo and other clicks write them anew, once there are seven again. Drag turns the scan any way up, Ctrl and the wheel bring it closer.

    Args:
        path: of the scan, .ply or .obj, with triangles.
        unit: of its coordinates, one of `helpers.evaluation.scans.UNITS`.
        options: of the widget.

    Returns:
        The view; display it. `picked` has the points in mm.

    Raises:
        UserError: what `read_surface` raises; for a scan without triangles; and where another file beside it has landmarks, which
            would be read in place of these.
    """
    path = Path(path)
    file = path.with_name(f"{path.stem}_landmarks.json")
    there = landmarks_beside(path)[0] if path.is_file() else None
    if there is not None and there[0] != file:
        raise UserError(
            f"{path}: has landmarks already, in {there[0].name}: move that file away to pick others"
        )
    scan = read_surface(path, unit=unit, with_landmarks=False)
    if scan.triangles is None:
        raise UserError(f"{path}: has no triangles, so there is no surface to click on")
    vertices = torch.from_numpy(scan.vertices).float()
    mesh = packed_mesh(vertices, torch.from_numpy(scan.triangles), torch.tensor(CLAY).expand_as(vertices))
    low, high = scan.vertices.min(0), scan.vertices.max(0)
    # Unlike the model's meshes, a scan may lie anywhere, and be open or closed.
    mesh |= {"pivot": ((low + high) / 2).tolist(), "view": 1.1 * float((high - low).max()), "closed": False}
    view = FaceViewer(
        mesh=mesh, wanted=[NAMES[k] for k in NOW_SEVEN], about=f"{path.name}: click on landmarks", **options
    )

    def write(change: dict) -> None:
        if len(change["new"]) == len(NOW_SEVEN):
            write_landmarks(file, np.array(change["new"]) / UNITS[unit])
            view.said = f"written: {file.name}"

    view.observe(write, "picked")
    return view
