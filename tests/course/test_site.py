"""The check of the built site notices what it is there for; the site itself is built where Sphinx is installed."""

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.course import api, search, site
from helpers.course.exercises import anchor
from helpers.face_model import load

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")


def made(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, body in files.items():
        (folder / name.replace("_", ".")).write_text(
            f"<html><body>{body}</body></html>" if name.endswith("html") else body
        )
    return site.check(folder)


@pytest.mark.parametrize(
    "body, said",
    [
        ('<a href="no.html">x</a>', "links to no.html, which is not there"),
        ('<a href="index.html#no">x</a>', "no such place"),
        ('<a href="#no">x</a>', "no such place"),
        ('<script src="https://cdn.example/x.js"></script>', "fetches https://cdn.example/x.js from outside"),
        ('<script src="//cdn.example/x.js"></script>', "from outside"),
        ('<link rel="stylesheet" href="https://fonts.example/a.css">', "from outside"),
        ('<link rel="preconnect" href="https://fonts.example">', "from outside"),
        ('<img alt="a" src="http://elsewhere.example/a.png">', "from outside"),
        ('<img alt="a" src="a.png">', "fetches a.png, which is not there"),
        ('<img alt="a" srcset="b.png 1x, https://elsewhere.example/a.png 2x">', "from outside"),
        ('<img src="data:image/png;base64,AA">', "lacks words"),
        ('<p style="background: url(https://elsewhere.example/a.png)">x</p>', "from outside"),
        ('<iframe src="https://elsewhere.example"></iframe>', "from outside"),
    ],
)
def test_the_check_notices(body, said, tmp_path):
    found = made(tmp_path, index_html=body)
    assert any(said in each for each in found), found


def test_the_check_is_content_with_what_is_right(tmp_path):
    body = '<a id="x" href="#x">x</a><a href="https://elsewhere.example">out</a><a href="b.html?q=1#y">b</a><img alt="a" src="data:image/png;base64,AA">'
    assert made(tmp_path, index_html=body, b_html='<p id="y">', a_css="p { color: red }") == []
    assert "from outside" in made(tmp_path, a_css='@import "https://fonts.example/a.css";')[0]
    assert site.check(tmp_path / "nothing") != []


def test_the_search_has_the_text_of_each_section(tmp_path):
    inner = '<section id="b"><h3>B<a class="headerlink" href="#b">¶</a></h3>\n<p>two <math>\\(x\\)</math></p></section>'
    main = (
        f'<section id="a"><h1>A</h1>\n<pre><i>f</i>(<b>y</b>)</pre>\n{inner}<script>no()</script></section>'
    )
    page = f'<html><body><p>around</p><article role="main">{main}</article></body></html>'
    assert search.sections(page) == [("a", "A", "f(y)"), ("b", "B", "two x")]
    (tmp_path / "_static").mkdir()
    (tmp_path / "notes.html").write_text(page)
    (tmp_path / "search.html").write_text("<html><body></body></html>")
    search.add_excerpts(tmp_path)
    texts = (tmp_path / "_static" / "search_texts.js").read_text().removeprefix("const SEARCH_TEXTS = ")
    assert json.loads(texts.removesuffix(";\n")) == {"notes.html": [["a", "A", "f(y)"], ["b", "B", "two x"]]}
    assert site.check(tmp_path) == [], "the search page finds its scripts"


def test_links_of_the_readme_fit_the_site():
    text = "[a](notebooks/00_a.ipynb), [c](CONTRIBUTING.md#rules), [code](helpers/pose), [L](LICENSE)"
    assert site.beside_notebooks(text) == "[a](00_a.ipynb), [c](contributing.md#rules), code, [L](LICENSE)"
    assert site.beside_notebooks("[c](../CHANGELOG.md)") == "[c](../changelog.md)"


def test_docstrings_are_read_as_they_are_written():
    """Names between backticks are code, and stars, bars and underscores are themselves."""
    lines = [
        "Turn `points` by R_x * p, |p| = 1; `Photo`s.",
        "",
        "a: one.  b: another that",
        "    goes on.",
        "",
        "- an item that",
        "  goes on",
        "",
        "Args:",
        "    a: one that",
        "        goes on.",
        "",
        ">>> 2 ** 3",
        "8",
        "",
        "It is written so:",
        "",
        "    a * b",
    ]
    assert api.as_rest(lines) == [
        "Turn ``points`` by R_x \\* p, \\|p\\| = 1; ``Photo``\\ s.",
        "",
        "a: one.  b: another that",
        "goes on.",
        *lines[4:15],
        "It is written so::",
        *lines[16:],
    ]


def test_every_public_name_of_a_room_has_its_place():
    from helpers import fitting, show

    page = api.page(fitting)
    for name in fitting.__all__:
        thing = getattr(fitting, name)
        kind = "autoclass" if isinstance(thing, type) else "autofunction" if callable(thing) else "py:data"
        assert f".. {kind}:: {name}\n" in page, name
    # The function has the module's name: links lead to the function.
    assert ".. automodule:: helpers.fitting.fit\n   :no-members:\n   :no-index:\n" in page
    assert ".. automodule:: helpers.fitting.landmark_term\n   :no-members:\n\n" in page
    assert "_task" not in page and "helpers.show.playground.person\n" in api.page(show)


def test_names_in_code_font_are_found():
    objects = {
        name: name
        for name in (
            "helpers.fitting",
            "helpers.fitting.fit",
            "helpers.fitting.settings.FitSettings.released",
        )
    }
    for text, expected in {
        "helpers.fitting.fit": "helpers.fitting.fit",
        "fitting.fit(image)": "helpers.fitting.fit",
        "helpers/fitting/": "helpers.fitting",
        "FitSettings.released": "helpers.fitting.settings.FitSettings.released",
        "fit": None,
        "torch.fit": None,
        "settings.FitSettings": None,
    }.items():
        assert api.find(text, objects) == expected, text


def test_pictures_get_their_words(tmp_path):
    (tmp_path / "a.html").write_text(
        '<img alt="../_images/12.png" src="_images/12.png" width="3"><img alt="b" src="b.png">'
    )
    site.describe(tmp_path, {"12": 'a "face" & more'})
    text = (tmp_path / "a.html").read_text()
    assert (
        text
        == '<img alt="a &quot;face&quot; &amp; more" src="_images/12.png" width="3"><img alt="b" src="b.png">'
    )


def test_the_site_is_built_with_formulas_stills_and_working_links(tmp_path):
    """The whole course, as `make site` builds it. The packages of the extra `site` are not needed for the tests."""
    for name in ("sphinx", "myst_nb", "furo"):
        pytest.importorskip(name)
    out = tmp_path / "site"
    assert site.build(ROOT, tmp_path / "source", out) == [] and site.check(out) == []
    page = (out / "01_morphable_model.html").read_text("utf-8")
    assert (
        "mathjax/tex-svg-full.js" in page
        and (out / "_static" / "mathjax" / "tex-svg-full.js").stat().st_size > 1e6
    )
    assert (
        '<script defer="defer" src="_static/copy_code.js' in page and (out / "_static/copy_code.js").exists()
    )
    notebook = nbformat.read(ROOT / "notebooks" / "01_morphable_model.ipynb", as_version=4)
    stills = [
        o
        for c in notebook.cells
        for o in c.get("outputs", [])
        if {"image/png", "image/jpeg"} & set(o.get("data", {}))
    ]
    assert page.count('src="_images/') >= len(stills) > 5
    offered = [out / link for link in re.findall(r'href="(_downloads/[^"]+\.ipynb)"', page)]
    solved = ["<summary>Solution</summary>" in path.read_text("utf-8") for path in offered]
    assert sorted(solved) == [False, True]
    rooms = {path.stem for path in (out / "api").glob("*.html")}
    assert rooms >= {"index", "camera", "fitting", "rendering", "show"}
    assert 'href="api/fitting.html#helpers.fitting.fit"' in (out / "04_fitting_energy.html").read_text(
        "utf-8"
    )
    assert 'id="helpers.fitting.fit"' in (out / "api" / "fitting.html").read_text("utf-8")


def test_the_first_page_has_a_head_to_turn_that_is_small_and_needs_nothing_from_outside(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "course.css").write_text("")
    (tmp_path / "index.md").write_text("# T\n\nWords.\n")
    site.add_head(ROOT, tmp_path)
    text = (tmp_path / "index.md").read_text()
    assert text.startswith("# T\n\n<figure") and text.endswith("\n\nWords.\n")
    # Where the script finds no WebGL, the picture that it would replace stays.
    assert made(tmp_path, index_html=text) == []
    script = (tmp_path / "_static" / "turning_head.js").read_text()
    assert len(script) < 1.5e6
    packed = re.search(r"showHead\((\{\"mesh.*\})\)", script)[1]
    assert not re.search(r"https?:|fetch\(|import\b|XMLHttp", script.replace(packed, ""))
    packed = json.loads(packed)
    corners = np.frombuffer(base64.b64decode(packed["mesh"]["triangles"]["data"]), np.uint16)
    vertices = np.frombuffer(base64.b64decode(packed["mesh"]["vertex"]["data"]), np.uint16)
    head = load("open", level=1).whole_head
    assert corners.max() == len(vertices) - 1
    # Cutting the mesh open for the paint leaves its triangles.
    assert np.array_equal(vertices[corners].reshape(-1, 3), head.triangles.numpy())


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")
@pytest.mark.parametrize("clipboard", [True, False])
def test_code_is_copied_by_a_button_on_a_page_opened_as_a_file(tmp_path, clipboard):
    pytest.importorskip("selenium")
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    code = "def f(x):\n    return x < 1  # ½"
    shown = f"<div class='highlight'><pre>{code.replace('<', '<span>&lt;</span>')}\n</pre></div>"
    printed = "<div class='output stream'><div class='highlight'><pre>1.5 mm</pre></div></div>"
    without = "" if clipboard else "Object.defineProperty(navigator, 'clipboard', { value: undefined });"
    script = Path(site.__file__).with_name(site.COPY_CODE).read_text("utf-8")
    (tmp_path / "page.html").write_text(
        f"<!doctype html><meta charset='utf-8'><style>{site.STYLE}</style>{shown}{printed}"
        f"<textarea></textarea><script>{without}\n{script}</script>",
        "utf-8",
    )
    options = webdriver.ChromeOptions()
    for option in ("headless=new", "no-sandbox", "no-first-run", "disable-background-networking"):
        options.add_argument(f"--{option}")
    options.binary_location = CHROMIUM
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        driver.get((tmp_path / "page.html").as_uri())
        (button,) = driver.find_elements(By.TAG_NAME, "button")  # none on what a cell has printed
        assert button.get_attribute("aria-label") == "Copy this code"
        # By the keyboard alone.
        driver.switch_to.active_element.send_keys(Keys.TAB)
        if driver.switch_to.active_element != button:  # a block that scrolls can have the focus, too
            driver.switch_to.active_element.send_keys(Keys.TAB)
        assert driver.switch_to.active_element == button
        assert button.value_of_css_property("opacity") == "1"
        button.send_keys(Keys.ENTER)
        WebDriverWait(driver, 20).until(lambda _: button.text == "Copied")
        assert driver.switch_to.active_element == button
        area = driver.find_element(By.TAG_NAME, "textarea")
        area.send_keys(Keys.CONTROL, "v")
        assert area.get_property("value") == code
        WebDriverWait(driver, 20).until(lambda _: button.text == "Copy")
    finally:
        driver.quit()


def test_a_still_is_known_by_the_hash_of_its_bytes(tmp_path):
    content = b"\x89PNG not really"
    output = new_output(
        "display_data",
        data={"image/png": base64.b64encode(content).decode()},
        metadata={"image/png": {"alt": "a face"}},
    )
    (tmp_path / "notebooks" / "pages").mkdir(parents=True)
    (tmp_path / "notebooks" / "exercises").mkdir()
    (tmp_path / "README.md").write_text("# T\n")
    nbformat.write(
        new_notebook(cells=[new_code_cell("1", outputs=[output])]), tmp_path / "notebooks" / "00_a.ipynb"
    )
    source = tmp_path / "source"
    source.mkdir()
    described = site.stage(tmp_path, source)
    assert described == {hashlib.sha256(content).hexdigest(): "a face"}
    assert "00_a" in (source / "index.md").read_text()


def test_a_page_offers_its_notebook_and_links_to_its_exercises():
    heading = "Exercise 1: Which side, and why?"
    link = f"[it](#{anchor(heading)})"
    cells = [
        new_markdown_cell("# T\n\nWhat?"),
        new_markdown_cell(f"### {heading}", id="exercise-1"),
        new_markdown_cell(f"## Exercises\n\n{link}", id="exercises"),
    ]
    none = new_notebook(cells=[new_markdown_cell("# T\n\nWhat?")])
    site.for_the_site(none, "00_a.ipynb")
    assert none.cells[0].source.endswith(
        "\n\n{download}`Download this notebook <with_solutions/00_a.ipynb>`."
    )
    one = new_notebook(cells=cells)
    site.for_the_site(one, "01_a.ipynb")
    whole, without = (
        "with its solutions <with_solutions/01_a.ipynb>",
        "without <without_solutions/01_a.ipynb>",
    )
    assert one.cells[0].source.endswith(f"{{download}}`{whole}` or {{download}}`{without}`.")
    assert one.cells[2].source.endswith("[it](#exercise-1-which-side-and-why)")


def test_slides_begin_at_headings_and_pictures(tmp_path, monkeypatch, capsys):
    from helpers.course import slides

    picture = new_output(
        "display_data",
        data={"image/png": base64.b64encode(b"\x89PNG").decode()},
        metadata={"image/png": {"alt": "a"}},
    )
    notebook = new_notebook(
        cells=[
            new_markdown_cell(
                "# T\n\nWhat?\n\n## Theory\n\n```\n## no heading\n```\nWords.\n\n### Finer\n\nWhat will be seen?"
            ),
            new_code_cell("x = 1"),
            new_code_cell("\n".join(f"y{i} = {i}" for i in range(9)), outputs=[picture]),
            new_markdown_cell("<details><summary>What to see</summary>\n\nThis.\n</details>\n\nOn."),
            new_markdown_cell("### Exercise 1: Fill in", id="exercise-1"),
            new_code_cell("stub = 1", id="exercise-1-stub"),
            new_markdown_cell("## Exercises", id="exercises"),
            new_markdown_cell("## Summary\n\nSo."),
        ]
    )
    path = tmp_path / "01_a.ipynb"
    nbformat.write(notebook, path)
    slides.arrange(notebook)
    got = [(cell.metadata.slideshow.slide_type, cell.source.splitlines()[:1]) for cell in notebook.cells]
    assert got == [
        ("slide", ["# T"]),
        ("slide", ["## Theory"]),
        ("slide", ["### Finer"]),
        ("-", ["x = 1"]),
        ("subslide", []),
        ("subslide", ["<details open><summary>What to see</summary>"]),
        ("-", ["On."]),
        ("skip", ["### Exercise 1: Fill in"]),
        ("skip", ["stub = 1"]),
        ("skip", ["## Exercises"]),
        ("slide", ["## Summary"]),
    ]
    monkeypatch.setattr(slides, "OUT", tmp_path / "slides")
    monkeypatch.setattr(slides, "bring", lambda folder: folder.mkdir())
    assert slides.main([str(path)]) == 0 and slides.main([]) == 2
    monkeypatch.setattr(slides, "bring", lambda folder: None)
    assert slides.main([str(tmp_path / "no.ipynb")]) == 1
    assert "no such notebook" in capsys.readouterr().err
    text = (tmp_path / "slides" / "01_a.slides.html").read_text("utf-8")
    assert text.count("<section>") >= 5 and "stub = 1" not in text
    fetched = site._Page(text).fetched
    assert set(fetched) >= {
        "reveal.js/dist/reveal.js",
        "reveal.js/dist/reveal.css",
        "mathjax/tex-svg-full.js",
    }
    assert (
        not any(site.OUTSIDE.match(target) for target in fetched)
        and "https://cdn" not in text
        and "unpkg" not in text
    )
