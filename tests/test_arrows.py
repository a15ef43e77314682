"""Imports between the rooms of `helpers` point one way: each room may take from those listed before it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HELPERS = Path(__file__).parents[1] / "helpers"
ROOMS = (
    # for all
    *("errors", "reasons", "assets", "files", "progress"),
    *("_warp", "_roma", "device", "_open3d", "_torchvision"),
    *("mesh_normals", "obj_files", "ply_files", "mesh_files", "alignment"),
    # the method, in the order of the course
    *("face_model", "camera", "lighting", "rasterizer", "rendering", "crop", "photo", "landmarks", "pose"),
    *("fitting", "painting", "pooling", "datasets", "labelling", "face_encoder", "regression", "evaluation"),
    # what people see, and what builds the course
    *("show", "commands", "__main__", "model_builder", "course"),
)
# Nothing takes from these.
ENDS = ("commands", "model_builder", "course")


def imports(file: Path) -> set[str]:
    """Modules of `helpers` that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return {name for name in found if name.startswith("helpers.")}


def room_of(file: Path) -> str:
    return file.relative_to(HELPERS).parts[0].removesuffix(".py")


def test_every_room_has_its_place():
    rooms = {room_of(file) for file in HELPERS.rglob("*.py")} - {"__init__"}
    assert rooms == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_no_arrow_points_back(room):
    allowed = set(ROOMS[: ROOMS.index(room)]) - set(ENDS) | {room, "__version__"}
    if room == "__main__":
        allowed.add("commands")
    wrong = {
        f"{file.relative_to(HELPERS)} imports {name}"
        for file in HELPERS.rglob("*.py")
        if room_of(file) == room
        for name in imports(file)
        if name.split(".")[1] not in allowed
    }
    assert not wrong


@pytest.mark.slow
def test_what_computes_needs_no_screen():
    """matplotlib, IPython, open3d and the widgets are loaded by whoever shows something, not by what computes; torch's compiler by nobody."""
    rooms = [f"helpers.{room}" for room in ROOMS[: ROOMS.index("show")]]
    unwanted = ("IPython", "matplotlib", "open3d", "ipywidgets", "anywidget", "torch._dynamo")
    code = f"import sys, {', '.join(rooms)}; print([m for m in {unwanted} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HELPERS.parent)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
