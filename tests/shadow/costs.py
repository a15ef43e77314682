"""python -m tests.shadow.costs GUARD: what a GPU is asked for, counted on its shadow, as one line of JSON.

For each piece of work the launches of kernels, torch's and Warp's, and how often the host waits.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.shadow import guard


def main(library: str) -> None:
    """Count, and print."""
    guard.load(Path(library))
    from tests.shadow import device

    device.install()
    from helpers.camera import project
    from helpers.fitting import FitModel, FitSettings, fit
    from helpers.pose import estimate_pose
    from helpers.rasterizer import rasterize
    from helpers.regression import Augmentation, TensorSource, train
    from helpers.rendering import antialias
    from tests.regression.pictures import FEW
    from tests.shadow import scenes

    def cost(work: Callable[[], object], again: bool = True) -> dict[str, int]:
        if again:  # what is kept is made the first time
            work()
        device.LAUNCHES.clear()
        device.WAITS.clear()
        work()
        return {"launches": sum(device.LAUNCHES.values()), "waits": sum(device.WAITS.values())}

    def of_one_more(work: Callable[[int], object], few: int) -> dict[str, int]:
        one, other = (cost(lambda n=n: work(n)) for n in (few, few + 1))
        return {name: other[name] - one[name] for name in one}

    model = FitModel(scenes.model_on("cuda"))

    def fitted(photographs: int = 2, **changes: object) -> None:
        fit(*scenes.photographs("cuda", photographs), model, settings=replace(FitSettings(), **changes))

    def with_level(iterations: int) -> None:
        first, second, *rest = FitSettings().schedule
        fitted(schedule=(first, second._replace(iterations=iterations), *rest))

    def trained(steps: int) -> None:
        def source(n: int) -> TensorSource:
            return TensorSource(
                scenes.uniform(n, 32, 32, 3, device="cpu"), scenes.uniform(n, 198, device="cpu")
            )

        settings = replace(FEW, steps=steps, validate_every=100, augmentation=Augmentation())
        with tempfile.TemporaryDirectory() as folder:
            train(source(8), source(4), settings, folder, device="cuda")

    def smoothed(images: int) -> None:
        scene = scenes.posed("cuda", images)
        points = project(scenes.model_to_camera(scene.vertices, scene.pose), scene.camera)
        raster = rasterize(points, scene.triangles, scene.camera.size)
        antialias(points.new_ones(images, *scene.camera.size, 3), points, scene.triangles, raster)

    def posed(faces: int) -> None:
        scene = scenes.posed("cuda", faces)
        points = scene.vertices[:, scene.model.landmarks]
        seen = project(scenes.model_to_camera(points, scene.pose), scene.camera)[..., :2]
        contour = points[:, :17, None].expand(-1, -1, 3, -1)
        estimate_pose(seen, points, scene.camera, far_side="slide", contour=contour)

    found = {
        "fit": cost(fitted),
        "one more photograph": of_one_more(fitted, 2),
        "an iteration on pixels": of_one_more(with_level, 4),
        "an iteration on landmarks": of_one_more(lambda n: fitted(landmark_iterations=n), 9),
        "a training step": of_one_more(trained, 2),
        "one more image with smooth silhouettes": of_one_more(smoothed, 2),
        "one more pose of a turned face": of_one_more(posed, 2),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
