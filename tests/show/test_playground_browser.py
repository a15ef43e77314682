"""The playground in a real browser, in JupyterLab and in Voilà: load, turn, upload, drag a point, move a slider, take it
back, swap, download, in light and dark, on narrow and wide pages. In JupyterLab also what other notebooks have: a figure with
sliders, and a photograph whose points are dragged.

Needs the extra `browser` (selenium), and Chromium with its driver; without them it is skipped, and says so. With
$SCREENSHOTS, a folder, it leaves pictures of the page there. $PATIENCE is how many seconds a step may take, for machines
that are busy.
"""

import base64
import importlib.util
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
NOTEBOOK = "08_playground.ipynb"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
MISSING = [
    name
    for name, there in (
        ("selenium", importlib.util.find_spec("selenium")),
        ("Chromium", CHROMIUM),
        ("chromedriver", DRIVER),
        ("voila", importlib.util.find_spec("voila")),
    )
    if not there
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

PATIENCE = int(
    os.environ.get("PATIENCE", "300")
)  # seconds for anything that the page computes; more on a busy machine
SHOTS = os.environ.get("SCREENSHOTS")
SETTINGS = {
    # Every cell of the page is to be there, also outside of the window.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/apputils-extension/themes": {"theme": "JupyterLab Light"},
}
# Of other notebooks; it is run after the cells of this one.
FIGURES = """
from helpers.camera import Camera
from helpers.crop import authors_crop
from helpers.face_model import load
from helpers.landmarks import landmarks_for

mean, portrait = load("open", level=0), play.people[0].photo
square = authors_crop(portrait, landmarks_for(portrait))
lamps = show.pose_light(mean.mean_shape, mean.triangles, mean.mean_texture)
drag = show.pose_drag(mean, square.image[0], square.landmarks[0], Camera.default(224))
"""


@pytest.fixture(scope="module", params=["lab", "voila"])
def page(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    notebook = nbformat.read(ROOT / "notebooks" / NOTEBOOK, 4)
    if request.param == "lab":
        notebook.cells.append(nbformat.v4.new_code_cell(FIGURES))
    nbformat.write(notebook, folder / NOTEBOOK)
    with served(request.param, folder) as address, chromium(folder / "downloads") as driver:
        driver.get(address)
        if request.param == "lab":
            run_all(driver)
        yield Page(driver, folder, request.param)


@contextmanager
def served(kind, folder):
    """A server for the notebook in `folder`; gives the address of the page."""
    port = free_port()
    settings = folder / "settings"
    for name, content in SETTINGS.items():
        file = settings / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    command = {
        "lab": [
            "jupyterlab",
            "--no-browser",
            "--expose-app-in-browser",
            "--allow-root",
            f"--ServerApp.port={port}",
            "--IdentityProvider.token=",
            f"--ServerApp.root_dir={folder}",
        ],
        "voila": [
            "voila",
            NOTEBOOK,
            "--no-browser",
            f"--port={port}",
            "--template=playground",
            # As `make playground` has it, but without patience.
            "--MappingKernelManager.cull_idle_timeout=5",
            "--MappingKernelManager.cull_interval=1",
        ],
    }[kind]
    surroundings = {
        **os.environ,
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTER_CONFIG_PATH": str(ROOT / "assets" / "jupyter"),
        "JUPYTER_PATH": str(ROOT / "assets" / "voila"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    surroundings.pop("HELPERS_STATIC", None)
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, env=surroundings, stdout=log, stderr=log
        )
    try:
        base = f"http://127.0.0.1:{port}"
        ready = f"{base}/api" if kind == "lab" else f"{base}/static/voila.js"
        wait_until(lambda: answers(ready), "the server answers")
        yield f"{base}/lab/tree/{NOTEBOOK}?reset" if kind == "lab" else base
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


@contextmanager
def chromium(downloads):
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    downloads.mkdir()
    options = Options()
    for option in (
        "headless=new",
        "no-sandbox",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "window-size=1280,1400",
        "use-gl=angle",
        "use-angle=swiftshader",
        "enable-unsafe-swiftshader",
    ):
        options.add_argument(f"--{option}")
    options.binary_location = CHROMIUM
    # Voilà sends its page while it runs the notebook, for longer than the driver waits: what must be there is waited for.
    options.page_load_strategy = "none"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.set_script_timeout(PATIENCE)
        driver.execute_cdp_cmd(
            "Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)}
        )
        yield driver
    finally:
        driver.quit()


def run_all(driver):
    wait_until(
        lambda: driver.execute_script(
            "return Boolean(window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel) "
            "&& jupyterapp.shell.currentWidget.context.isReady"
        ),
        "JupyterLab has the notebook open",
    )
    driver.execute_async_script(
        "const done = arguments[0]; jupyterapp.commands.execute('notebook:run-all-cells').then(() => done(), () => done())"
    )


class Page:
    """What a reader does with the page."""

    def __init__(self, driver, folder, kind):
        self.driver, self.folder, self.downloads, self.kind = driver, folder, folder / "downloads", kind

    def all(self, css):
        return self.driver.find_elements("css selector", css)

    def wait_for(self, css, count=1):
        wait_until(lambda: len(self.all(css)) >= count, f"the page has {css}")
        found = self.all(css)[0]
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        return found

    def status(self):
        """The sentences that the page says now."""
        # In one step: a sentence is replaced while it is being read.
        texts = (
            "return [...document.querySelectorAll('.face-app [role=status]')].map(node => node.textContent)"
        )
        return " | ".join(self.driver.execute_script(texts))

    def says(self, text):
        wait_until(lambda: text in self.status(), f"the page says {text!r}", tell=self.status)

    def press(self, name):
        button = next(b for b in self.all(".face-app button") if b.text == name)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()

    def upload(self, path):
        self.wait_for('.face-bar input[type="file"]').send_keys(str(path))

    def view(self, script):
        """What JavaScript says of the viewer, `view`."""
        return self.driver.execute_script(f"const view = document.querySelector('.face-app').view; {script}")

    def face(self):
        """The face from the front, at rest, as numbers (H, W, 4)."""
        self.view("view.turning = false; view.yaw = view.pitch = 0; view.zoom = 1; view.draw();")
        before = None
        for _ in range(40):  # until nothing fades any more
            time.sleep(0.2)
            sent, sharp = self.view("return [view.canvas.toDataURL(), view.sharp]")
            if sharp and sent == before:
                break
            before = sent
        return np.asarray(
            Image.open(io.BytesIO(base64.b64decode(sent.split(",")[1]))).convert("RGBA")
        ).astype(int)

    def changes(self, before):
        """Wait until the face is visibly another one; returns it."""

        def another():
            now = self.face()
            return now.shape != before.shape or np.abs(now - before).mean() > 0.3

        wait_until(another, "another face", tell=self.status)
        return self.face()

    def slide(self, name, value):
        """Move the slider with this label, and let go."""
        self.driver.execute_script(
            """
            const range = [...document.querySelectorAll('.face-slider input')].find(each => each.ariaLabel === arguments[0]);
            range.value = arguments[1];
            range.dispatchEvent(new Event('input'));
            range.dispatchEvent(new Event('change'));
            """,
            name,
            value,
        )

    def resize(self, width, height=1000, dark=False):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def shot(self, name):
        if SHOTS:
            Path(SHOTS).mkdir(exist_ok=True)
            self.driver.save_screenshot(f"{SHOTS}/{self.kind}_{name}.png")


def test_the_page_opens_with_a_painted_face(page):
    page.resize(1600)
    page.wait_for(".face-dot", 68)
    page.says("Eileen Collins: a good fit")
    page.wait_for(".face-people button", 2)
    assert not page.all(".jupyter-widgets-error-widget"), "a widget could not be drawn"
    code = [cell for cell in page.all(".jp-InputArea-editor .cm-content") if "Playground()" in cell.text]
    assert bool(code) == (page.kind == "lab"), "Voilà hides the code"
    page.wait_for(".face-canvas")
    face = page.face()
    there = face[..., 3] > 128
    assert 0.15 < there.mean() < 0.7 and face[there][:, :3].std() > 20
    red, _, blue = face[there][:, :3].mean(0)
    assert red > blue + 15, "skin"
    page.press("clay")
    clay = page.face()[there][:, :3]
    assert np.abs(clay[:, 0] - clay[:, 2]).mean() < 12
    page.press("photograph")


def test_the_face_turns_by_itself_until_it_is_touched(page):
    from selenium.webdriver.common.action_chains import ActionChains

    page.face()
    page.press("turn by itself")
    first = page.view("return view.yaw")
    wait_until(lambda: abs(page.view("return view.yaw") - first) > 5, "it turns")
    canvas = page.wait_for(".face-canvas")
    ActionChains(page.driver).move_to_element(canvas).click_and_hold().move_by_offset(
        50, 0
    ).release().perform()
    held = page.view("return view.yaw")
    time.sleep(0.5)
    assert page.view("return view.yaw") == held and not page.view("return view.turning")


@pytest.mark.parametrize("width", [800, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_face_and_sliders_stand_side_by_side(page, width, dark):
    page.resize(width, dark=dark)
    if page.kind == "lab":
        # JupyterLab has a theme of its own, and side bars.
        theme = "JupyterLab Dark" if dark else "JupyterLab Light"
        page.driver.execute_script(
            "jupyterapp.commands.execute('apputils:change-theme', {theme: arguments[0]})", theme
        )
    want = "true" if dark else "false"
    wait_until(
        lambda: (
            page.driver.execute_script("return String(document.querySelector('.face-dark') !== null)") == want
        ),
        "the theme",
    )
    background = page.driver.execute_script(
        "return getComputedStyle(document.querySelector('.face-app')).backgroundColor"
    )
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == dark
    page.wait_for(".face-slider input")
    page.face()
    page.driver.execute_script("document.querySelector('.face-bar').scrollIntoView()")
    page.shot(f"{width}_{'dark' if dark else 'light'}")
    boxes = """return ['.face-canvas', '.face-slider', '.face-photo'].map(css => {
        const box = document.querySelector(css).getBoundingClientRect();
        return [box.left, box.right, box.top, box.bottom, window.innerHeight]; })"""
    face, slider, photo = page.driver.execute_script(boxes)
    room = page.driver.execute_script("return document.querySelector('.face-app').clientWidth")
    if room > 660:
        assert face[1] <= slider[0] or slider[1] <= face[0], "side by side"
        assert photo[1] <= face[0], "the photograph on the left"
        assert slider[2] < slider[4] and face[2] < face[4], "both to be seen without scrolling"
    if page.kind == "voila":
        assert face[1] - face[0] > 440


def test_sliders_move_the_face_and_undo_takes_it_back(page):
    page.resize(1600)
    fitted = page.face()
    page.slide("Width of the jaw", 12)
    wider = page.changes(fitted)
    page.slide("Tone", -20)
    darker = page.changes(wider)
    there = (fitted[..., 3] > 128) & (darker[..., 3] > 128)
    assert darker[there][:, :3].mean() < wider[there][:, :3].mean() - 8
    page.shot("sliders")
    page.press("Undo")
    wait_until(lambda: np.abs(page.face() - wider).mean() < 0.2, "the tone is back", tell=page.status)
    page.press("Undo")
    wait_until(lambda: np.abs(page.face() - fitted).mean() < 0.2, "the jaw is back", tell=page.status)


def test_pictures_follow_a_slider(page):
    follow = """
        const done = arguments[0], range = document.querySelector('.face-slider input'), begun = performance.now();
        let steps = 0, busy = 0;
        const go = () => {
            const from = performance.now();
            range.value = steps % 2 ? 5 : -5;
            range.oninput();
            busy += performance.now() - from;
            if (++steps < 30) requestAnimationFrame(go); else { range.value = 0; range.oninput(); done(busy / steps); }
        };
        go();
    """
    # What a step takes without drawing, which a browser without a graphics card does slowly.
    assert page.driver.execute_async_script(follow) < 33, "ms"


def test_people_are_swapped_and_morphed(page):
    first = page.face()
    page.slide("Morph", 100)
    second = page.changes(first)
    page.shot("morph")
    page.press("skin")
    page.changes(second)
    page.press("As fitted")
    wait_until(lambda: np.abs(page.face() - first).mean() < 0.2, "the first person is back", tell=page.status)
    page.all(".face-people button")[1].click()
    page.says("Grace Hopper: a good fit")
    page.changes(first)
    page.shot("second")
    page.all(".face-people button")[0].click()
    page.says("Eileen Collins: a good fit")


def test_a_wrong_file_gets_a_sentence(page, tmp_path):
    (tmp_path / "letter.jpg").write_text("Dear Sir, this is no photograph.")
    page.upload(tmp_path / "letter.jpg")
    page.says("letter.jpg: not an image")
    page.shot("wrong")


def test_an_upload_is_fitted(page, tmp_path):
    from helpers.photo import default_photos

    Image.open(default_photos()["astronaut"]).convert("RGB").crop((60, 0, 412, 352)).resize((704, 704)).save(
        tmp_path / "me.png"
    )
    with open(tmp_path / "me.png", "ab") as file:  # what comes after its end does not trouble a PNG
        file.write(bytes(11 * 2**20))  # but one message to the kernel holds 10 MiB at most
    page.upload(tmp_path / "me.png")
    # With a detector it is fitted at once; without one the points wait in the middle.
    wait_until(
        lambda: any(text in page.status() for text in ("me: a good fit", "drag the points")),
        "the photograph was looked at",
        tell=page.status,
    )
    page.wait_for(".face-people button", 3)
    page.shot("upload")


def test_a_released_point_is_fitted(page):
    from selenium.webdriver.common.action_chains import ActionChains

    page.all(".face-people button")[0].click()
    page.says("Eileen Collins: a good fit")
    chin = page.wait_for('.face-dot[data-point="8"]')
    before = float(chin.get_attribute("cy"))
    page.driver.execute_script("""
        window.stages = [];
        new MutationObserver(() => stages.push(document.querySelector('.face-stage').textContent))
            .observe(document.querySelector('.face-stage'), {childList: true, characterData: true, subtree: true});
    """)
    ActionChains(page.driver).move_to_element(chin).click_and_hold().move_by_offset(0, 6).move_by_offset(
        0, 6
    ).release().perform()
    after = float(page.wait_for('.face-dot[data-point="8"]').get_attribute("cy"))
    assert after > before + 2
    wait_until(
        lambda: "fitting" in page.driver.execute_script("return window.stages"),
        "it is fitted",
        tell=page.status,
    )
    page.says("Eileen Collins: a good fit")
    page.shot("dragged")
    page.press("Undo")
    wait_until(
        lambda: abs(float(page.all('.face-dot[data-point="8"]')[0].get_attribute("cy")) - before) < 0.1,
        "the point is back",
    )


def test_a_face_is_downloaded_and_turns_without_a_network(page):
    for kind in ("html", "npz"):
        page.wait_for(f'button[data-kind="{kind}"]').click()
        file = page.downloads / f"astronaut.{kind}"
        wait_until(file.exists, f"{file.name} is there", tell=page.status)
    numbers = np.load(io.BytesIO((page.downloads / "astronaut.npz").read_bytes()))
    assert numbers["alpha"].shape == (99,) and np.isfinite(numbers["alpha"]).all()
    with chromium(page.folder / "offline") as offline:
        offline.execute_cdp_cmd("Network.enable", {})
        offline.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
        )
        offline.get((page.downloads / "astronaut.html").as_uri())
        wait_until(
            lambda: offline.execute_script("return typeof view !== 'undefined' && view.fresh === 1"),
            "it is painted",
        )
        yaw = offline.execute_script("return view.yaw")
        wait_until(lambda: abs(offline.execute_script("return view.yaw") - yaw) > 3, "it turns")
        assert offline.execute_script("return performance.getEntriesByType('resource').length") == 0
        if SHOTS:
            offline.save_screenshot(f"{SHOTS}/{page.kind}_offline.png")


def test_a_figure_follows_its_sliders_and_a_pose_its_points(page):
    from selenium.webdriver.common.action_chains import ActionChains

    if page.kind == "voila":
        pytest.skip("the page alone has the playground only")
    picture = page.wait_for("img.widget-image")
    assert not page.all(".jupyter-widgets-error-widget") and picture.get_attribute("title")
    before = picture.get_attribute("src")
    handle = page.all(".widget-slider .noUi-handle")[0]
    ActionChains(page.driver).click_and_hold(handle).move_by_offset(15, 0).release().perform()
    wait_until(lambda: picture.get_attribute("src") != before, "the picture follows the slider")
    photo = "svg[role=application]:not(.face-photo)"
    chin = page.wait_for(f"{photo} circle:nth-of-type(9)")
    heads = page.all(f"{photo} + img")[0]
    before = heads.get_attribute("alt")
    ActionChains(page.driver).click_and_hold(chin).move_by_offset(0, 30).release().perform()
    wait_until(lambda: heads.get_attribute("alt") != before, "the pose follows the point")
    page.shot("figures")


def test_nothing_came_from_elsewhere_and_nothing_failed(page):
    text = page.driver.execute_script("return document.body.textContent")
    assert "Traceback" not in text and str(ROOT) not in page.status()
    asked = page.driver.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    outside = [url for url in asked if not url.startswith(("http://127.0.0.1", "blob:", "data:"))]
    assert asked and not outside
    if page.kind == "voila":
        links = page.driver.execute_script(
            "return [...document.querySelectorAll('a')].map(link => link.href)"
        )
        assert not links, "a page alone has nowhere to go"
    log = [entry["message"] for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
    # Voilà tries all extensions of JupyterLab that are installed, and says which do not suit it.
    known = ("favicon", "404", "The getter for the shared module is not a function")
    assert not [text for text in log if not any(word in text for word in known)], log


def test_a_closed_page_leaves_no_kernel(page):
    if page.kind == "lab":
        pytest.skip("JupyterLab keeps its kernels")
    log = page.folder / "server.log"
    assert "Culling 'idle'" not in log.read_text(), "the kernel of an open page stays"
    page.driver.get("about:blank")
    wait_until(lambda: "Culling 'idle'" in log.read_text(), "the kernel is gone")


def wait_until(true, what, seconds=PATIENCE, tell=lambda: ""):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.25)
    pytest.fail(f"not within {seconds} s: {what}. {tell()}")


def answers(address):
    try:
        return urllib.request.urlopen(address, timeout=2).status == 200
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def free_port():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]
