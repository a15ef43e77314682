"""The playground in a real browser, in JupyterLab and in Voilà: load, upload, fit, drag a point, move a slider, swap,
morph, guess, download.

Needs the extra `browser` (selenium), and Chromium with its driver; without them it is skipped, and says so. With
$SCREENSHOTS, a folder, it leaves pictures of the page there; with $DARK it asks for the dark theme. $PATIENCE is how many
seconds a step may take, for machines that are busy.
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
    os.environ.get("PATIENCE", "120")
)  # seconds for anything that the page computes; more on a busy machine
DARK, SHOTS = os.environ.get("DARK"), os.environ.get("SCREENSHOTS")
SETTINGS = {
    # Every cell of the page is to be there, also outside of the window.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/apputils-extension/themes": {"theme": "JupyterLab Dark" if DARK else "JupyterLab Light"},
}


@pytest.fixture(scope="module", params=["lab", "voila"])
def page(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, folder)
    with served(request.param, folder) as address, chromium(folder / "downloads") as driver:
        driver.get(address)
        if request.param == "lab":
            run_all(driver)
        yield Page(driver, folder / "downloads", request.param)


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
            f"--theme={'dark' if DARK else 'light'}",
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

    def __init__(self, driver, downloads, kind):
        self.driver, self.downloads, self.kind = driver, downloads, kind

    def all(self, css):
        return self.driver.find_elements("css selector", css)

    def wait_for(self, css, count=1):
        wait_until(lambda: len(self.all(css)) >= count, f"the page has {css}")
        found = self.all(css)[0]
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        return found

    def status(self):
        """All sentences that the panels say now."""
        # In one step: a sentence is replaced while it is being read.
        texts = "return [...document.querySelectorAll('span[role=status]')].map(node => node.textContent)"
        return " | ".join(self.driver.execute_script(texts))

    def says(self, text):
        wait_until(lambda: text in self.status(), f"the page says {text!r}", tell=self.status)

    def press(self, name):
        button = next(b for b in self.all("button") if b.text == name)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()

    def upload(self, path):
        self.wait_for('.face-upload input[type="file"]').send_keys(str(path))

    def picture(self, about):
        """The address of a panel's picture, which is another one for every picture."""
        return self.wait_for(f'img[alt="{about}"]').get_attribute("src")

    def pixels(self, about):
        """A panel's picture, as numbers."""
        self.wait_for(f'img[alt="{about}"]')
        read = """
            const done = arguments[1], image = [...document.images].find(image => image.alt === arguments[0]);
            fetch(image.src).then(answer => answer.arrayBuffer())
                .then(bytes => done(btoa(String.fromCharCode(...new Uint8Array(bytes))))).catch(() => done(""));
        """
        data = []

        def came():  # it does not where a picture is replaced while it is read
            data[:] = [self.driver.execute_async_script(read, about)]
            return data[0]

        wait_until(came, f"the picture: {about}", tell=self.status)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data[0])))).astype(int)

    def changes(self, about, before):
        """Wait until a panel's picture is visibly another one; returns it."""
        wait_until(
            lambda: np.abs(self.pixels(about) - before).max() > 20,
            f"another picture: {about}",
            tell=self.status,
        )
        return self.pixels(about)

    def slider(self, name):
        """The handle of the slider that is to be seen with this label, ready for keys."""
        rows = [row for row in self.all(".widget-slider") if row.is_displayed()]
        row = next(row for row in rows if row.find_element("css selector", ".widget-label").text == name)
        handle = row.find_element("css selector", ".noUi-handle")
        self.driver.execute_script(
            "arguments[0].scrollIntoView({block: 'center'}); arguments[0].focus()", handle
        )
        return handle

    def shot(self, name):
        if SHOTS:
            Path(SHOTS).mkdir(exist_ok=True)
            self.driver.save_screenshot(f"{SHOTS}/{self.kind}{'_dark' if DARK else ''}_{name}.png")


def test_the_page_opens_with_everything_on_it(page):
    page.wait_for(".face-dot", 68)
    page.wait_for(".face-download button", 4)
    page.wait_for("canvas")  # k3d
    assert not page.all(".jupyter-widgets-error-widget"), "a widget could not be drawn"
    assert not page.all(
        '[data-mime-type="application/vnd.jupyter.error"], .jp-RenderedText[data-mime-type*="stderr"]'
    )
    code = [
        cell
        for cell in page.all(".jp-InputArea-editor .cm-content, .highlight pre")
        if "Playground()" in cell.text
    ]
    assert bool(code) == (page.kind == "lab"), "Voilà hides the code"
    page.wait_for(".face-points")
    page.shot("1_open")


def test_a_wrong_file_gets_a_sentence(page, tmp_path):
    (tmp_path / "letter.jpg").write_text("Dear Sir, this is no photograph.")
    page.upload(tmp_path / "letter.jpg")
    page.says("letter.jpg: not an image")
    page.wait_for(".face-points")
    page.shot("2_wrong")


def test_an_upload_is_fitted(page, tmp_path):
    from helpers.photo import default_photos

    Image.open(default_photos()["astronaut"]).convert("RGB").crop((60, 0, 412, 352)).resize((704, 704)).save(
        tmp_path / "me.png"
    )
    with open(tmp_path / "me.png", "ab") as file:  # what comes after its end does not trouble a PNG
        file.write(bytes(11 * 2**20))  # but one message to the kernel holds 10 MiB at most
    page.upload(tmp_path / "me.png")
    wait_until(lambda: "me: " in page.status(), "the photograph has arrived", tell=page.status)
    if "not fitted yet" in page.status():  # with a detector; without one the points wait in the middle
        page.press("Fit")
        page.says("me: fitted, confidence")
    page.wait_for(".face-points")
    page.shot("3_upload")


def test_a_point_is_dragged(page):
    from selenium.webdriver.common.action_chains import ActionChains

    chin = page.wait_for('.face-dot[data-point="8"]')
    before = float(chin.get_attribute("cy"))
    ActionChains(page.driver).move_to_element(chin).click_and_hold().move_by_offset(0, 12).move_by_offset(
        0, 12
    ).release().perform()
    after = float(page.wait_for('.face-dot[data-point="8"]').get_attribute("cy"))
    assert 15 < after - before < 33
    others = [float(dot.get_attribute("cy")) for dot in page.all(".face-dot")]
    page.says("me: points moved: press Fit.")
    assert len(others) == 68
    page.driver.execute_script("""
        const bar = document.querySelector('.widget-hprogress .progress-bar'), image = document.querySelector('img[alt^="the photograph with"]');
        window.seen = {far: [], pictures: 0};
        new MutationObserver(() => seen.far.push(parseFloat(bar.style.width))).observe(bar, {attributes: true});
        new MutationObserver(() => seen.pictures++).observe(image, {attributes: true, attributeFilter: ['src']});
    """)
    page.press("Fit")
    page.says("me: fitted, confidence")
    seen = page.driver.execute_script("return seen")
    far = [share for share in seen["far"] if share > 0]
    assert len(set(far)) > 3 and far == sorted(far) and far[-1] == 100, "the bar tells how far the fit is"
    assert seen["pictures"] > 3, "the face is seen on its way"
    page.wait_for(".face-points")
    page.shot("4_dragged")


def test_a_slider_moves_the_face(page):
    from selenium.webdriver.common.keys import Keys

    about = "the face as the sliders make it"
    page.wait_for(".widget-slider .noUi-handle")
    fitted = page.pixels(about)
    page.shot("5_slider_before")
    for name in ("likeness ×", "α 1, σ"):
        page.slider(name).send_keys(Keys.END)
        page.changes(about, fitted)
        page.shot("6_slider")
        page.press("as fitted")
        wait_until(lambda: np.array_equal(page.pixels(about), fitted), "the picture is as it was")
    page.slider("likeness ×").send_keys(Keys.ARROW_RIGHT)


def test_an_identity_is_swapped(page):
    about = "a face mixed from both photographs"
    before = page.pixels(about)
    page.press("swap identity")
    page.changes(about, before)
    page.shot("9_swap")
    page.press("back")
    wait_until(lambda: np.array_equal(page.pixels(about), before), "the face is back")


def test_one_person_becomes_another(page):
    from selenium.webdriver.common.keys import Keys

    about = "the face between the two"
    before = page.pixels(about)
    page.slider("share").send_keys(Keys.HOME)
    first = page.changes(about, before)
    page.slider("share").send_keys(Keys.END)
    page.changes(about, first)
    page.shot("10_morph")


def test_the_network_is_asked(page):
    about = "network"
    page.says("me: guessed in")  # it followed the fit
    before = page.pixels(about)
    # Of the buttons with this name, that of the panel.
    page.driver.execute_script("""
        const named = (text) => (button) => button.textContent.trim() === text;
        let panel = [...document.querySelectorAll('button')].find(named('Guess'));
        while (![...panel.querySelectorAll('button')].some(named('second photograph'))) panel = panel.parentElement;
        [...panel.querySelectorAll('button')].find(named('second photograph')).click();
    """)
    page.says("grace_hopper: guessed in")
    page.changes(about, before)
    page.driver.execute_script("""
        window.asked = false;
        new MutationObserver(() => { asked ||= document.body.textContent.includes('grace_hopper: guessing') })
            .observe(document.body, {subtree: true, childList: true, characterData: true});
    """)
    page.press("Guess")
    wait_until(lambda: page.driver.execute_script("return asked"), "the button asks", tell=page.status)
    page.says("grace_hopper: guessed in")
    page.shot("11_guess")


def test_a_face_is_downloaded(page):
    page.wait_for(".face-download button", 4)
    for kind in ("ply", "glb", "png", "npz"):
        page.wait_for(f'.face-download button[data-kind="{kind}"]').click()
        wait_until(
            lambda kind=kind: (page.downloads / f"me.{kind}").exists(),
            f"me.{kind} is there",
            tell=page.status,
        )
    page.shot("7_download")
    numbers = np.load(io.BytesIO((page.downloads / "me.npz").read_bytes()))
    assert numbers["alpha"].shape == (99,) and np.isfinite(numbers["alpha"]).all()
    assert (page.downloads / "me.ply").read_bytes()[:4] == b"ply\n" and (
        page.downloads / "me.glb"
    ).read_bytes()[:4] == b"glTF"
    assert Image.open(page.downloads / "me.png").width > 1000


def test_nothing_came_from_elsewhere_and_nothing_failed(page):
    page.wait_for("canvas")
    time.sleep(1 if SHOTS else 0)
    page.shot("8_live")
    text = page.driver.execute_script("return document.body.textContent")
    assert (
        "Traceback" not in text
        and str(ROOT) not in page.status()
        and not re.search(r"(?:^|\s)/\w+/", page.status())
    )
    asked = page.driver.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    outside = [url for url in asked if not url.startswith(("http://127.0.0.1", "blob:", "data:"))]
    assert asked and not outside
    log = [entry["message"] for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
    # Voilà tries all extensions of JupyterLab that are installed, and says which do not suit it.
    known = ("favicon", "404", "The getter for the shared module is not a function")
    assert not [text for text in log if not any(word in text for word in known)], log


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
