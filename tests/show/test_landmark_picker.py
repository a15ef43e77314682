"""Landmarks that are clicked on a scan: they lie on it where the click was, and are found by whoever reads the scan."""

import base64
import json
import shutil

import numpy as np
import pytest
import torch

from helpers.errors import UserError
from helpers.evaluation import Nearest, read_surface
from helpers.evaluation.scans import NOW_SEVEN
from helpers.face_model import load
from helpers.mesh_files import write_ply
from helpers.show.viewer import VIEWER, VIEWER_STYLE, pick_landmarks
from helpers.show.viewer.widget import HERE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
PAGE = """<!doctype html><meta charset="utf-8"><style>body { margin: 0; width: 700px } %STYLE%</style><div id="here"></div>
<script type="module">%VIEWER%
const state = %STATE%, heard = {};
for (const value of Object.values(state.mesh))
  if (value && value.type) value.data = new DataView(Uint8Array.from(atob(value.data), (c) => c.charCodeAt(0)).buffer);
window.state = state;
const drawn = FaceView.prototype._paint;
FaceView.prototype._paint = function () { window.view = this; drawn.call(this); };
render({ el: document.getElementById("here"), model: {
  get: (name) => state[name], save_changes() {},
  set(name, value) { state[name] = value; (heard[name] || []).forEach((each) => each()); },
  on(names, call) { names.split(" ").forEach((name) => (heard[name.replace("change:", "")] ||= []).push(call)); },
} });
</script>"""


@pytest.fixture
def scan(tmp_path, open3d):
    """A head that stands 1.6 m away, in metres, upside down; with the points that a reader would click on."""
    model = load("open", level=0)
    points = (
        model.mean_shape * torch.tensor([-1.0, -1.0, 1.0]) + torch.tensor([50.0, -200.0, 1600.0])
    ) / 1000
    write_ply(tmp_path / "scan.ply", points, model.triangles, points * 0 + 0.5)
    return tmp_path / "scan.ply", points[model.landmarks[list(NOW_SEVEN)]].numpy()


def test_seven_clicks_are_written_in_the_scans_unit_and_read_with_it(scan):
    path, points = scan
    view = pick_landmarks(path, unit="m")
    assert view.wanted[0] == "outer corner of the left eye" and len(view.wanted) == 7
    for count in range(1, 8):
        assert not (path.parent / "scan_landmarks.json").exists()
        view.picked = (1000 * points[:count]).tolist()
    assert view.said == "written: scan_landmarks.json"
    found = read_surface(path, unit="m").landmarks
    np.testing.assert_allclose(found[list(NOW_SEVEN)], 1000 * points, atol=1e-2)
    assert np.isfinite(found).all(1).sum() == 7
    view.picked = view.picked[:6]  # Undo: what was written stays until there are seven again
    view.picked = [*view.picked, (1000 * points[0]).tolist()]
    np.testing.assert_allclose(read_surface(path, unit="m").landmarks[54], 1000 * points[0], atol=1e-2)
    pick_landmarks(path, unit="m")  # may be called again


def test_what_cannot_be_picked_on_is_refused(scan, tmp_path):
    path, points = scan
    with pytest.raises(UserError, match=r"longest side is 0\.\d+ mm, which is no face"):
        pick_landmarks(path)
    np.savetxt(path.with_suffix(".txt"), points)
    with pytest.raises(UserError, match=r"has landmarks already, in scan\.txt"):
        pick_landmarks(path, unit="m")
    (tmp_path / "cloud.obj").write_text("".join(f"v {x} {y} {z}\n" for x, y, z in 1000 * points))
    with pytest.raises(UserError, match=r"cloud\.obj: has no triangles"):
        pick_landmarks(tmp_path / "cloud.obj")


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")
def test_a_click_in_a_browser_sets_the_point_below_it(scan, tmp_path):
    pytest.importorskip("selenium")
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    path, points = scan
    view = pick_landmarks(path, unit="m")
    mesh = {
        name: {"type": value["type"], "data": base64.b64encode(value["data"]).decode()}
        if isinstance(value, dict)
        else value
        for name, value in view.mesh.items()
    }
    state = {name: getattr(view, name) for name in ("mode", "about", "height", "wanted", "picked", "said")}
    state |= {"mesh": mesh, "coefficients": {}, "paint": {"byteLength": 0}}
    page = PAGE.replace("%STYLE%", VIEWER_STYLE).replace("%STATE%", json.dumps(state))
    page = page.replace("%VIEWER%", VIEWER + (HERE / "widget.js").read_text("utf-8"))
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    options = Options()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--use-gl=angle",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
    ):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, Service(DRIVER))
    try:
        driver.set_window_size(800, 700)
        driver.get((tmp_path / "page.html").as_uri())
        canvas = driver.find_element(By.TAG_NAME, "canvas")
        driver.execute_async_script(
            "const wait = () => window.view ? arguments[0]() : setTimeout(wait, 20); wait()"
        )
        driver.execute_script("view.yaw = 190; view.pitch = 178; view.draw()")  # the face was upside down
        off = []
        for number, point in enumerate(1000 * points):
            left, top, width, height = driver.execute_script(
                "const c = view.canvas; return [...view.placeOf(arguments[0]), c.clientWidth, c.clientHeight]",
                point.tolist(),
            )
            place = round(left - width / 2), round(top - height / 2)
            ActionChains(driver).move_to_element_with_offset(canvas, *place).click().perform()
            picked = driver.execute_script("return state.picked")
            assert len(picked) == number + 1
            off.append(np.linalg.norm(np.array(picked[-1]) - point))
        surface = read_surface(path, unit="m", with_landmarks=False)
        on_surface = Nearest(surface.vertices, surface.triangles)(np.array(picked))[0]
        assert np.linalg.norm(on_surface - picked, axis=1).max() < 0.01
        # A pixel is 0.6 mm; before the inner corners of the eyes lies the lid, which is what the click meets.
        assert np.median(off) < 1.0 and max(off) < 8.0, off
        assert len(driver.find_elements(By.CSS_SELECTOR, ".face-dots i")) == 7
        driver.save_screenshot(str(tmp_path / "picked.png"))
        ActionChains(driver).drag_and_drop_by_offset(canvas, 60, 0).perform()
        driver.find_element(By.TAG_NAME, "button").click()
        assert (
            len(driver.execute_script("return state.picked")) == 6
        )  # a drag sets no point, Undo takes one back
        assert "right corner of the mouth (7 of 7)" in driver.find_element(By.CLASS_NAME, "face-line").text
    finally:
        driver.quit()
