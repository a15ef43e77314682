"""What notebooks show: described in words, the same each time, and legible to all."""

import argparse
import io
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import camera, show
from helpers.show import figures
from helpers.show.course_map import BESIDE, STEPS, road_figure
from helpers.show.source import source_text
from helpers.show.style import STEP_COLOURS, mm_colours


@pytest.fixture
def shown(monkeypatch):
    """What a notebook would have received: a list of (data, metadata)."""
    IPython = pytest.importorskip("IPython")
    received = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())

    def publish(data, metadata=None):
        received.append((data, metadata))

    monkeypatch.setattr("IPython.display.publish_display_data", publish)
    return received


def decode(data):
    import base64

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB"))


def test_pictures_come_with_words(shown):
    image = np.random.default_rng(0).random((5, 7, 3))
    show.picture(image, alt="noise,\n in colour", width=300)
    data, metadata = shown.pop()
    assert metadata == {"image/png": {"alt": "noise, in colour", "width": 300}}
    np.testing.assert_array_equal(decode(data), (image * 255 + 0.5).astype(np.uint8))
    assert data["text/plain"] == "noise, in colour"
    figure, axes = show.figure()
    axes.plot([0, 1])
    show.picture(figure, alt="a line")
    assert decode(shown.pop()[0]).shape[1] > 400
    for alt in ("", "  ", None):
        with pytest.raises(ValueError, match="alt"):
            show.picture(image, alt=alt)
    assert not shown


@pytest.mark.slow
def test_large_photographs_are_stored_as_jpeg_and_drawings_never(shown):
    noise = np.random.default_rng(0).random((300, 300, 3))
    show.picture(noise, alt="much noise")
    data, metadata = shown.pop()
    assert metadata == {"image/jpeg": {"alt": "much noise"}} and "image/png" not in data
    kind, stored = figures.encoded(noise)
    assert kind == "image/jpeg" and len(stored) < len(figures.png_bytes(noise)) / 1.5
    assert np.asarray(Image.open(io.BytesIO(stored))).shape == (300, 300, 3)
    figure, axes = show.figure(12, 12)
    axes.imshow(noise, interpolation="nearest")
    show.picture(figure, alt="a drawing of noise")
    assert "image/png" in shown.pop()[0]


def test_pictures_outside_of_a_notebook_do_nothing(capsys):
    show.picture(np.zeros((4, 4)), alt="black")
    show.road()
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_in_a_real_kernel():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    cell = nbformat.v4.new_code_cell(
        "import numpy as np\nfrom helpers import show, camera\nshow.picture(np.ones((3, 3)), alt='white')\n"
        "show.source(camera.project)"
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbclient.NotebookClient(notebook, timeout=60).execute()
    first, second = cell["outputs"]
    assert first["metadata"] == {"image/png": {"alt": "white"}} and decode(first["data"]).min() == 255
    assert second["data"]["text/markdown"].startswith("`helpers.camera.project`\n\n```python\ndef project(")


def test_images_of_every_kind():
    grey = np.array([[0.0, 1.0], [0.5, 2.0]])
    np.testing.assert_array_equal(figures.as_bytes(grey), [[0, 255], [128, 255]])
    assert figures.as_bytes(torch.ones(1, 2, 3, 3, requires_grad=True)).shape == (2, 3, 3)
    assert figures.as_bytes(grey > 0.6).max() == 255
    for bad in (np.zeros((2, 2, 5)), np.zeros((2, 4, 4, 3)), np.full((2, 2), np.nan)):
        with pytest.raises(ValueError, match="image"):
            figures.as_bytes(bad)


def test_rows(shown):
    show.row([np.zeros((50, 40, 3)), np.ones((10, 10))], ["a", "b"], alt="two", height=100)
    image = decode(shown.pop()[0])
    assert image.shape == (124, 80 + 6 + 100, 3)
    assert (image[30:, 5:75] == 0).all() and (image[30:, 90:] == 255).all()
    assert image[:24].min() < 100  # the titles are there
    with pytest.raises(ValueError, match="titles"):
        show.tile([np.zeros((5, 5))], ["a", "b"])
    with pytest.raises(ValueError, match="at least one"):
        show.tile([])


@pytest.mark.parametrize(
    "number, width, rows", [(3, 320, 1), (6, 150, 1), (6, 320, 2), (7, 320, 3), (5, 900, 5)]
)
def test_titles_can_be_read_on_a_page(number, width, rows):
    """However large the pictures are, letters are 11 px or more where a page shows the tile 832 px wide."""
    titles = [f"H{i}" for i in range(number)]
    panels, H = [np.full((100, width, 3), 0.5)] * number, 100
    page = figures.tile(panels, titles, height=H, widest=figures.WIDEST)
    columns = -(-number // rows)
    assert page.shape[1] == columns * (width + 6) - 6
    top = (page.shape[0] + 6) // rows - 6 - H
    for i in range(number):  # each panel below its own title
        y, x = (i // columns) * (top + H + 6), (i % columns) * (width + 6)
        assert (page[y + top : y + top + H, x : x + width] == 128).all()
        letters = np.flatnonzero((page[y : y + top, x : x + width] < 128).any(axis=(1, 2)))
        capital = 0.73  # height of an H, in sizes of the font
        assert len(letters) / capital >= 11 * max(1, page.shape[1] / 832) - 1, (
            "an H is as high as its size asks"
        )
    assert figures.tile(panels, height=H).shape == (H, number * (width + 6) - 6, 3), "by itself in one row"


def test_a_long_title_stays_above_its_own_panel():
    title, panels = "a title of many words", [np.full((100, w, 3), 0.5) for w in (150, 1000)]
    page = figures.tile(panels, [title, ""], height=100)
    assert (page[:20, 156:] == 255).all() and (page[:20, :150] < 128).any()


def test_charts_are_packed_and_look_the_same():
    figure, axes = show.figure(5, 3)
    axes.plot([0, 1, 2], [0, 3, 1], label="a line")
    axes.legend()
    whole, (kind, packed) = figures.png_bytes(figure), figures.encoded(figure)
    assert kind == "image/png" and len(packed) < 0.6 * len(whole)
    before, after = (
        np.asarray(Image.open(io.BytesIO(b)).convert("RGB")).astype(int) for b in (whole, packed)
    )
    assert np.abs(before - after).max() <= 16
    # Too many colours for a palette: nothing is changed.
    axes.imshow(np.random.default_rng(0).random((60, 60, 3)), extent=(0, 2, 0, 3))
    assert figures.encoded(figure)[1] == figures.png_bytes(figure)


def test_same_picture_same_bytes():
    assert figures.png_bytes(road_figure("fit")) == figures.png_bytes(road_figure("fit"))


@pytest.mark.parametrize("size", [100, 224, 500])
def test_landmarks_sit_on_their_pixels(size):
    points = np.array([[20.0, 30.0], [70.4, 55.5]])
    drawn = show.draw_landmarks(np.full((size, size, 3), 0.5), points, colour="#00FF00")
    zoom = len(drawn) / size
    # Pure green on grey; weigh pixels by how much greener than red they are.
    weight = np.clip(drawn[..., 1].astype(float) - drawn[..., 0], 0, None)
    y, x = np.mgrid[: len(drawn), : len(drawn)]
    first = x < 45 * zoom
    for point, part in ((points[0], first), (points[1], ~first)):
        at = np.array([(x * weight * part).sum(), (y * weight * part).sum()]) / (weight * part).sum()
        assert np.abs((at + 0.5) / zoom - 0.5 - point).max() < 0.5
    pair = show.draw_landmarks(np.full((size, size, 3), 0.5), points, torch.tensor(points)[None] + 3)
    assert pair.shape == drawn.shape
    with pytest.raises(ValueError, match="as many"):
        show.draw_landmarks(np.zeros((size, size, 3)), points, points[:1])


def test_source_is_the_code_that_runs(shown):
    show.source(camera.model_to_camera)
    text = shown.pop()[0]["text/markdown"]
    assert "turned = points @ pose.rotation.transpose(1, 2)" in text and text.count("```") == 2
    code, where = source_text(camera.Pose.yaw_pitch_roll, docstring=False)
    assert where == "helpers.camera.Pose.yaw_pitch_roll"
    assert code.startswith("def yaw_pitch_roll(self)") and '"""' not in code and "R = self.rotation" in code
    assert source_text(camera.model_to_camera) == source_text(camera.model_to_camera)
    with pytest.raises(ValueError, match="no Python source"):
        show.source(len)


def test_road(shown):
    show.road("pose")
    data, metadata = shown.pop()
    alt = metadata["image/png"]["alt"]
    assert all(name in alt for name in [*STEPS, *BESIDE]) and alt.endswith("Lit: pose.")
    show.road(["landmarks", "pose"])
    show.road()
    pictures = [decode(data), *(decode(d) for d, _ in shown)]
    assert all((a != b).any() for a, b in combinations(pictures, 2))
    with pytest.raises(ValueError, match="no step"):
        show.road("lunch")


def test_road_text_stays_in_its_boxes():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patches import FancyBboxPatch

    figure = road_figure("fit")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axes = figure.axes[0]
    boxes = [p.get_window_extent() for p in axes.patches if isinstance(p, FancyBboxPatch)]
    page = figure.bbox
    for text in axes.texts:
        if not text.get_text():
            continue
        extent = text.get_window_extent()
        assert page.x0 <= extent.x0 and extent.x1 <= page.x1 and page.y0 <= extent.y0 and extent.y1 <= page.y1
        for box in boxes:
            if box.contains(*((extent.p0 + extent.p1) / 2)):
                assert box.x0 < extent.x0 and extent.x1 < box.x1, text.get_text()


def test_steps_keep_distinct_colours_for_the_colour_blind():
    """Colours of the seven steps differ for normal sight and for the two common kinds of colour blindness."""
    from matplotlib.colors import to_rgb

    # Viénot, Brettel and Mollon 1999, on linear RGB.
    protan = np.array([[0.1124, 0.8876, 0], [0.1124, 0.8876, 0], [0.0040, -0.0040, 1]])
    deutan = np.array([[0.2928, 0.7072, 0], [0.2928, 0.7072, 0], [-0.0223, 0.0223, 1]])
    for matrix in (np.eye(3), protan, deutan):
        seen = {name: matrix @ np.array(to_rgb(STEP_COLOURS[name])) ** 2.2 for name in STEPS}
        for a, b in combinations(seen, 2):
            assert np.linalg.norm(seen[a] - seen[b]) > 0.05, (a, b)


def test_millimetre_scale_is_fixed():
    low, high = mm_colours(0.0), mm_colours(4.0)
    np.testing.assert_allclose(mm_colours([-1.0, 9.0]), [low, high])
    np.testing.assert_allclose(mm_colours(0.0, signed=True), [1, 1, 1], atol=0.05)
    figure, axes = show.figure()
    assert show.mm_colourbar(figure, axes).vmax == 4


def test_meshes_are_stills_where_nothing_is_live(shown, monkeypatch):
    from helpers.face_model import load
    from helpers.show.mesh import STATIC, _in_a_live_kernel, viewer

    model = load("open", level=0)
    monkeypatch.setattr("IPython.get_ipython", lambda: argparse.Namespace(kernel=object()))
    monkeypatch.setenv(STATIC, "1")
    assert not _in_a_live_kernel()
    show.mesh(model.mean_shape, model.triangles, alt="the mean face, grey", yaws=(0, 50))
    (_, metadata), image = shown[0], decode(shown[0][0])
    assert len(shown) == 1 and metadata["image/png"]["alt"] == "the mean face, grey"
    front, side = image[:, :224], image[:, 230:]
    assert image.shape == (224, 454, 3) and np.ptp(front[112, 112].astype(int)) < 10  # clay is grey
    # From the front a face is as good as mirror-symmetric, but for the light; turned it is not.
    there = (front < 250).any(-1)
    assert (
        (there != there[:, ::-1]).mean()
        < 0.02
        < (((side < 250).any(-1)) != ((side < 250).any(-1))[:, ::-1]).mean()
    )
    assert 0.2 < there.mean() < 0.7

    monkeypatch.delenv(STATIC)
    assert _in_a_live_kernel()
    live = viewer(model.mean_shape, model.triangles, torch.full_like(model.mean_shape, 0.5), lit=False)
    packed = live.mesh
    assert live.mode == "plain" and not packed["closed"]
    mean = np.frombuffer(packed["mean"]["data"], np.float32).reshape(-1, 3)
    assert np.array_equal(mean, model.mean_shape.numpy())
    assert np.array_equal(
        np.frombuffer(packed["triangles"]["data"], np.uint16), model.triangles.flatten().numpy()
    )


@pytest.mark.slow
def test_computing_does_not_load_what_shows():
    code = (
        "import sys, helpers.photo, helpers.crop, helpers.landmarks, helpers.mesh_files, helpers.commands.fit\n"
        "loaded = {'IPython', 'matplotlib', 'open3d', 'anywidget', 'dlib', 'helpers.show'} & set(sys.modules)\n"
        "sys.exit(', '.join(loaded) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_pictures_of_a_fit_at_work():
    from helpers.camera import Camera
    from helpers.datasets import known_faces
    from helpers.face_model import load
    from helpers.fitting import FitModel, FitSettings, fit

    fit_model = FitModel(load("open", level=0))
    model = fit_model.model
    person = model.sample(1, generator=torch.Generator().manual_seed(0))
    faces = show.portraits(model.shape(person.alpha), model.triangles, model.texture(person.beta), size=96)
    assert len(faces) == 1 and faces[0].shape == (96, 96, 3)
    assert faces[0][0, 0].min() == 1 and faces[0][48, 48].max() < 0.95  # white around a face
    known = known_faces(model, 1, max_yaw=5.0)
    states = []
    settings = FitSettings(schedule=((2.0, 3, 500),))
    result = fit(
        known.image,
        known.landmarks,
        fit_model,
        settings=settings,
        on_iteration=lambda progress: states.append(progress.state),
    )
    painted = show.state_overlay(torch.zeros(224, 224, 3), fit_model, states[0], Camera.default(224))
    assert 0.02 < (painted.sum(-1) > 0).float().mean() < 0.9
    drawing = show.energy_figure(result)
    lines = {line.get_label(): line for line in drawing.axes[0].get_lines()}
    assert {"landmarks", "pixels", "coefficients", "light"} <= set(lines)
    assert len(lines["pixels"].get_xdata()) == 3 + settings.skin_iterations
    shapes = [lines[name].get_marker() for name in ("landmarks", "pixels", "coefficients", "light")]
    assert len(set(shapes)) == 4, "told apart without colour"
