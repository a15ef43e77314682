"""Which functions of the notebooks stand beside which of `helpers`, and how near they come.

`tests/course/test_naive_is_real.py` takes the functions out of the notebooks and compares them on random inputs: their values, and
the slopes of a random sum of their values.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """One step: functions of a notebook (or of its exercises' solutions), and what does the same in `helpers`.

    Attributes:
        notebook: its number.
        step: what is computed.
        functions: names in the notebook.
        real: dotted names of what does the same.
        within: how far values may be apart, absolute, in units of the value.
        slopes_within: the same for slopes; None where no slope is asked for: whole numbers, counts, what is itself a slope, and
            what numpy computes.
        unit: of the value.
    """

    notebook: str
    step: str
    functions: tuple[str, ...]
    real: tuple[str, ...]
    within: float
    slopes_within: float | None
    unit: str = ""


# One row a line.
# fmt: off
PAIRS = (
    Pair("01", "move a head onto another", ("turned_onto", "all_turned_onto"), ("helpers.face_model.alignment.align_onto",), 1e-8, 1e-8, "mm"),
    Pair("01", "a face from its numbers", ("shape_by_loops", "shape_by_tensors"), ("helpers.face_model.MorphableModel.shape",), 1e-8, 1e-8, "mm"),
    Pair("02", "project a point", ("project_one",), ("helpers.camera.model_to_camera", "helpers.camera.project"), 1e-8, 1e-8, "px, mm"),
    Pair("02", "barycentric weights", ("weights_one",), ("helpers.rasterizer.reference.surface_weights",), 1e-9, 1e-9),
    Pair("02", "z-buffer", ("z_buffer", "z_buffer_tensor"), ("helpers.rasterizer.rasterize",), 1e-2, None, "mm of depth"),
    Pair("02", "values of pixels", ("mix",), ("helpers.rasterizer.interpolate",), 1e-9, 1e-9),
    Pair("02", "weights in perspective (exercise)", ("perspective",), ("helpers.rasterizer.reference.surface_weights",), 1e-9, 1e-9),
    Pair("02", "a mesh with colours (exercise)", ("own_renderer",), ("helpers.rasterizer.rasterize", "helpers.rasterizer.interpolate"), 1e-4, 1e-3),
    Pair("02b", "normals of vertices", ("normals_by_loop",), ("helpers.rendering.vertex_normals",), 1e-9, 1e-9),
    Pair("02b", "spherical harmonics", ("basis_by_hand",), ("helpers.lighting.sh_basis",), 1e-9, 1e-9),
    Pair("02b", "light on dull skin", ("shade_by_hand",), ("helpers.lighting.shade",), 1e-9, 1e-9),
    Pair("02b", "light on shiny skin", ("phong_by_hand",), ("helpers.lighting.shade_phong",), 1e-9, 1e-9),
    Pair("02b", "colour transform", ("colour_by_hand",), ("helpers.lighting.ColourTransform",), 1e-9, 1e-9),
    Pair("02b", "the whole renderer", ("my_render",), ("helpers.rendering.render",), 1e-4, 1e-3),
    Pair("02b", "an edge on a row of pixels", ("by_area",), ("helpers.rendering.antialias",), 1e-9, 1e-9),
    Pair("03", "project all landmarks", ("project_all",), ("helpers.camera.model_to_camera", "helpers.camera.project"), 1e-8, 1e-8, "px"),
    Pair("03", "Jacobian of a pose", ("jacobian_by_hand",), ("helpers.pose.pose_jacobian",), 1e-8, None, "px"),
    Pair("03", "pose by Gauss–Newton", ("gauss_newton",), ("helpers.pose.estimate_pose",), 1e-4, 1e-4, "rad, mm"),
    Pair("03", "linear start (exercise)", ("own_pose",), ("helpers.pose.scaled_orthographic_pose",), 1e-6, 1e-6, "mm"),
    Pair("03", "mirrored labels (exercise)", ("mirror_points",), ("helpers.pose.MIRRORED",), 1e-9, 1e-9, "px"),
    Pair("04", "residual of a pixel", ("one_pixel",), ("helpers.fitting.pixel_term.look_at_points",), 1e-4, 1e-4),
    Pair("04", "row of a landmark", ("landmark_row",), ("helpers.fitting.landmark_term.landmark_rows",), 1e-2, None, "px"),
    Pair("04", "row of a pixel", ("pixel_row",), ("helpers.fitting.pixel_term.pixel_rows",), 1e-3, None),
    Pair("04b", "how far the residual hangs together", ("correlation_by_hand",), ("helpers.fitting.residual_correlation.residual_noise",), 1e-9, 1e-9),
    Pair("04b", "confidence of a fit", ("confidence_by_hand",), ("helpers.fitting.confidence.fit_confidence",), 1e-5, 1e-3),
    Pair("05", "pool one person", ("pooled_by_hand",), ("helpers.pooling.pool",), 1e-9, 1e-9),
    Pair("05", "pool all people", ("pooled_at_once",), ("helpers.pooling.pool",), 1e-9, 1e-9),
    Pair("05", "cosines within and between people", ("cosines",), ("helpers.evaluation.compare_methods.spread",), 1e-5, None),
    Pair("05", "label by confidences (exercise)", ("own_label",), ("helpers.pooling.pool",), 1e-6, 1e-6),
    Pair("05", "prior once (exercise)", ("product",), ("helpers.pooling.pool",), 1e-9, 1e-9),
    Pair("06", "asymmetric Euclidean loss", ("loss_by_hand", "loss_by_tensors"), ("helpers.regression.asymmetric_euclidean_loss",), 1e-9, 1e-9),
    Pair("06", "loss of a batch (exercise)", ("own_loss",), ("helpers.regression.asymmetric_euclidean_loss",), 1e-9, 1e-9),
    Pair("06", "its gradient", ("gradient_by_hand",), ("helpers.regression.asymmetric_euclidean_loss",), 1e-9, None),
    Pair("07", "best motion of known pairs", ("motion_by_loop",), ("helpers.evaluation.best_motion",), 1e-9, None, "mm"),
    Pair("07", "nearest vertices", ("nearest_by_loops", "nearest_by_table"), ("helpers.evaluation.Nearest",), 0, None),
    Pair("07", "ICP", ("icp_by_hand",), ("helpers.evaluation.icp",), 1e-8, None, "mm"),
    Pair("07", "rates of a threshold", ("rates_by_loop",), ("helpers.evaluation.roc",), 1e-12, None),
    Pair("07", "error within the crop (exercise)", ("crop_rmse",), ("helpers.evaluation.scan_error",), 1e-6, None, "mm"),
    Pair("07", "right accepts (exercise)", ("tar_at",), ("helpers.evaluation.tar_at_far",), 1e-6, None),
    Pair("07", "step along the normals (exercise)", ("plane_step",), ("helpers.evaluation.icp",), 1e-6, None, "rad, mm"),
    Pair("09", "label photographs", ("label_in_memory",), ("helpers.labelling.label",), 1e-3, None, "σ"),
)
# fmt: on


def notebook_path(number: str, root: Path) -> Path:
    """The notebook with a number such as "02" or "02b"."""
    return next((root / "notebooks").glob(f"{number}_*.ipynb"))


def code_of(number: str, root: Path) -> tuple[list[ast.stmt], dict[str, ast.FunctionDef]]:
    """The import statements and the functions of a notebook, and of the solutions of its exercises."""
    import nbformat
    from IPython.core.inputtransformer2 import TransformerManager

    from helpers.course.exercises import of_notebook

    path = notebook_path(number, root)
    cells = nbformat.read(path, as_version=4).cells
    sources = [
        c.source for c in cells if c.cell_type == "code" and "exercise" not in c.metadata.get("tags", [])
    ]
    sources += [source for each in of_notebook(path) for source in (each.given, each.answer)]
    imports, functions = [], {}
    for source in sources:
        for statement in ast.parse(TransformerManager().transform_cell(source)).body:
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                imports.append(statement)
            elif isinstance(statement, ast.FunctionDef):
                functions.setdefault(statement.name, statement)
    return imports, functions


def take(number: str, names: tuple[str, ...], root: Path, **given) -> list:
    """Functions of a notebook, with all that it imports and the functions that they call.

    Args:
        number: of the notebook.
        names: of the functions.
        root: of the checkout.
        given: variables that the functions see.

    Raises:
        LookupError: the notebook has no such function.
    """
    imports, functions = code_of(number, root)
    missing = [name for name in names if name not in functions]
    if missing:
        raise LookupError(f"notebook {number} has no function {', '.join(missing)}")
    space: dict = {}
    exec(compile(ast.Module(imports, []), f"imports of notebook {number}", "exec"), space)
    space.update(given)
    wanted, seen = list(names), set(given)
    chosen = []
    while wanted:
        name = wanted.pop()
        if name in functions and name not in seen:
            seen.add(name)
            chosen.append(functions[name])
            wanted += [node.id for node in ast.walk(functions[name]) if isinstance(node, ast.Name)]
    # Every function in the order of the notebook, since defaults are computed when it is defined.
    order = list(functions)
    for function in sorted(chosen, key=lambda f: order.index(f.name)):
        exec(compile(ast.Module([function], []), f"{function.name} of notebook {number}", "exec"), space)
    return [space[name] for name in names]
