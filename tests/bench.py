"""`make bench`: how fast and how exact, each figure beside a peer measured in the same run.

Times are the best of several runs, because other work on the machine only ever adds. Compare ratios: the
milliseconds are this machine's. Writes build/bench.json, a list of {"name", "value", "unit", "peer", "ratio"};
`ratio` is peer over value for times (how many times faster than the peer), value over peer for errors.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from tqdm.auto import tqdm

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.datasets import known_faces
from helpers.evaluation import shape_rmse
from helpers.face_model import load
from helpers.files import write_in_one_step
from helpers.fitting import FitModel, fit
from helpers.pose import estimate_pose
from helpers.rasterizer import rasterize
from helpers.rendering import render

OUTPUT = Path(__file__).resolve().parents[1] / "build" / "bench.json"
BENCHES: dict[str, Callable[[], dict]] = {}


def bench(function: Callable[[], dict]) -> Callable[[], dict]:
    BENCHES[function.__name__] = function
    return function


def best(work: Callable[[], object], runs: int = 5) -> float:
    """Seconds of the fastest of `runs`, after one that warms up."""
    work()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def faster(value: float, unit: str, peer: float | None = None) -> dict:
    return {"value": value, "unit": unit, "peer": peer, "ratio": None if peer is None else peer / value}


@cache
def model(level: int):
    return load("open", level=level)


def turned_heads(batch: int) -> tuple[torch.Tensor, Pose]:
    """Vertices (B, V, 3) mm of one head and B poses."""
    generator = torch.Generator().manual_seed(0)
    rotation = torch.randn(batch, 3, generator=generator) * torch.tensor([0.1, 0.3, 0.1])
    pose = Pose(rotation, torch.tensor([[0.0, 0.0, 1000.0]]).repeat(batch, 1))
    return model(2).mean_shape.expand(batch, -1, -1), pose


def raster_against_open3d(batch: int) -> dict:
    """ms an image, against Open3D building its scene and casting one ray a pixel."""
    import numpy as np

    from helpers._open3d import open3d

    o3d = open3d()
    vertices, pose = turned_heads(batch)
    camera = Camera.default(224, batch=batch)
    in_camera = model_to_camera(vertices, pose)
    points, triangles = project(in_camera, camera), model(2).triangles
    ours = best(lambda: rasterize(points, triangles, (224, 224)), 10)
    v, u = np.meshgrid(np.arange(224), np.arange(224), indexing="ij")
    direction = np.stack([(u - 111.5) / 1000, (v - 111.5) / 1000, np.ones_like(u)], -1)
    rays = o3d.core.Tensor(np.concatenate([np.zeros_like(direction), direction], -1).astype(np.float32))
    faces = triangles.numpy().astype(np.uint32)

    def cast():
        for mesh in in_camera.numpy():
            scene = o3d.t.geometry.RaycastingScene()
            scene.add_triangles(mesh, faces)
            scene.cast_rays(rays)

    return faster(1e3 * ours / batch, "ms/image", 1e3 * best(cast, 3) / batch)


@bench
def raster_224_b1_vs_open3d() -> dict:
    return raster_against_open3d(1)


@bench
def raster_224_b16_vs_open3d() -> dict:
    return raster_against_open3d(16)


def pose_against_opencv(flag: str) -> dict:
    """µs a face for 10 000 faces with 1 px of noise, against OpenCV one face after the other."""
    import cv2
    import numpy as np

    n, points = 10_000, model(0).mean_shape[model(0).landmarks][None]
    generator = torch.Generator().manual_seed(1)
    rotation = torch.randn(n, 3, generator=generator) * torch.tensor([0.2, 0.4, 0.15])
    camera = Camera.default(224, batch=n)
    pose = Pose(rotation, torch.tensor([[0.0, 0.0, 1000.0]]).repeat(n, 1))
    pixels = project(model_to_camera(points, pose), camera)[..., :2]
    pixels = pixels + torch.randn(pixels.shape, generator=generator)
    ours = best(lambda: estimate_pose(pixels, points, camera, iterations=6), 3)
    matrix = np.array([[1000, 0, 111.5], [0, 1000, 111.5], [0, 0, 1]])
    corners, some = points[0].double().numpy() * [1, -1, -1], pixels[:500].double().numpy()

    def opencv():
        for observed in some:
            cv2.solvePnP(corners, observed, matrix, None, flags=getattr(cv2, flag))

    return faster(1e6 * ours / n, "µs/face", 1e6 * best(opencv, 3) / len(some))


@bench
def pose_10k_vs_cv2_iterative() -> dict:
    return pose_against_opencv("SOLVEPNP_ITERATIVE")


@bench
def pose_10k_vs_cv2_sqpnp() -> dict:
    return pose_against_opencv("SOLVEPNP_SQPNP")


def renders(level: int, size: int, batch: int = 16) -> dict:
    face = model(level)
    people = face.sample(batch, generator=torch.Generator().manual_seed(2))
    vertices, colours = face.shape(people.alpha), face.texture(people.beta)
    _, pose = turned_heads(batch)
    camera = Camera.default(size, focal=1000 * size / 224, batch=batch)
    with torch.no_grad():
        seconds = best(lambda: render(vertices, face.triangles, colours, pose, camera))
    return faster(batch / seconds, "images/s")


@bench
def renders_112_53k() -> dict:
    return renders(2, 112)


@bench
def renders_64_13k() -> dict:
    return renders(1, 64)


@cache
def fitting_scene():
    fit_model = FitModel(model(2))
    return fit_model, known_faces(fit_model.model, 16, seed=20)


@bench
def fit_one_224() -> dict:
    fit_model, faces = fitting_scene()
    return faster(best(lambda: fit(faces.image[:1], faces.landmarks[:1], fit_model), 5), "s/photo")


@bench
def fit_batch_224() -> dict:
    fit_model, faces = fitting_scene()
    alone = best(lambda: fit(faces.image[:1], faces.landmarks[:1], fit_model), 3)
    together = best(lambda: fit(faces.image, faces.landmarks, fit_model), 2) / 16
    return faster(together, "s/photo", alone)


@cache
def fit_errors() -> tuple[torch.Tensor, torch.Tensor]:
    """RMS errors (16,) mm of the fit and of the mean face, visible surface, similarity alignment, neutral shape."""
    fit_model, faces = fitting_scene()
    alpha = fit(faces.image, faces.landmarks, fit_model).alpha
    fitted, mean = (fit_model.model.shape(a) for a in (alpha, torch.zeros_like(alpha)))
    return shape_rmse(fitted, faces.neutral, faces.visible), shape_rmse(mean, faces.neutral, faces.visible)


@bench
def fit_error_mean_mm() -> dict:
    fitted, mean = (float(e.mean()) for e in fit_errors())
    return {"value": fitted, "unit": "mm", "peer": mean, "ratio": fitted / mean}


@bench
def fit_error_worst_fraction() -> dict:
    fitted, mean = fit_errors()
    return {"value": float((fitted / mean).max()), "unit": "of the mean face's", "peer": None, "ratio": None}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (default: all): {', '.join(BENCHES)}")
    names = parser.parse_args(arguments).names or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        parser.error(f"no bench named {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    rows = [{"name": name, **BENCHES[name]()} for name in tqdm(names, desc="bench", leave=False)]
    OUTPUT.parent.mkdir(exist_ok=True)
    write_in_one_step(OUTPUT, lambda file: file.write(json.dumps(rows, indent=1).encode()))
    width = max(len(row["name"]) for row in rows)
    print(f"{'':{width}}  {'ours':>9}  {'peer':>9}  {'ratio':>6}")
    for row in rows:
        peer, ratio = ("" if row[k] is None else f"{row[k]:.3g}" for k in ("peer", "ratio"))
        print(f"{row['name']:{width}}  {row['value']:9.3g}  {peer:>9}  {ratio:>6}  {row['unit']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
