"""The executed course as a web site in build/site: `make site`. No notebook is executed, and nothing is fetched.

The notebooks are shown as they are stored. Formulas are drawn by MathJax from a file of the site's own. At the end every link
inside the site is followed, and every page is searched for anything that a browser would fetch from another host.
"""

from __future__ import annotations

import base64
import hashlib
import html
import importlib
import io
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from helpers.course import ROOT
from helpers.course.api import write_pages
from helpers.course.exercises import anchor
from helpers.course.handout import stripped
from helpers.course.search import add_excerpts

TITLE = "From a photograph to a 3D face"
PAGES = (
    "notation",
    "glossary",
    "paper",
    "after",
    "naive_is_real",
    "exercises",
    "own_data",
    "own_scans",
    "teacher",
    "troubleshooting",
    "elsewhere",
    "licences",
)
TOP_PAGES = (
    "CONTRIBUTING.md",
    "CHANGELOG.md",
)  # of the top folder; on the site their names are in small letters
FIRST_FACE = "voila/voila/templates/playground/static/first_face.webp"  # of the assets
# Below the title of the first page. Its picture turns by itself; where the browser has WebGL 2, the head itself comes in its place.
HEAD = """<figure class="turning-head">
<img src="_static/turning_head.webp" width="420" height="420" alt="A painted head that turns to both sides: the first photograph's, fitted">
<figcaption>The first photograph of this page as a head: the shape is the fit's, the colours are the photograph's.</figcaption>
</figure>
<script src="_static/turning_head.js" defer></script>
"""
DOWNLOADS = ("with_solutions", "without_solutions")  # folders of what Sphinx reads
COPY_CODE = "copy_code.js"  # here, and of the site
MATHJAX = "sphinx-mathjax-offline"
# Tags and attributes by which a page makes the browser fetch something, without a click.
FETCHES = {
    ("script", "src"),
    ("img", "src"),
    ("img", "srcset"),
    ("source", "src"),
    ("source", "srcset"),
    ("iframe", "src"),
    ("video", "src"),
    ("video", "poster"),
    ("audio", "src"),
    ("embed", "src"),
    ("object", "data"),
    ("input", "src"),
}
FETCHED_RELATIONS = {
    "stylesheet",
    "icon",
    "shortcut",
    "preload",
    "prefetch",
    "modulepreload",
    "manifest",
    "apple-touch-icon",
    "dns-prefetch",
    "preconnect",
}
# Room for lines of code and wide tables, and long names that may break.
STYLE = """.content { width: 52em; }
table.docutils td code { overflow-wrap: anywhere; white-space: normal; }
details { margin-bottom: 1rem; }
ul.search .context { margin: 0.35rem 0 0.35rem 1rem; font-size: var(--font-size--small); overflow-wrap: anywhere; }
ul.search .context a { display: block; }
.highlight { position: relative; }
.copy-code { position: absolute; top: 0.3rem; right: 0.3rem; padding: 0.1rem 0.5rem; font: inherit; font-size: 0.75rem; cursor: pointer; opacity: 0; color: var(--color-foreground-primary); background: var(--color-background-primary); border: 1px solid var(--color-foreground-border); border-radius: 0.2rem; }
.highlight:hover > .copy-code, .copy-code:focus { opacity: 1; }
@media (hover: none) { .copy-code { opacity: 1; } }
@media print { .copy-code { display: none; } }
mark { background: var(--color-highlighted-background); color: inherit; }
.turning-head { float: right; width: min(45%, 22rem); margin: 0 0 1rem 1.5rem; }
.turning-head img, .turning-head canvas { display: block; width: 100%; height: auto; aspect-ratio: 1; }
.turning-head figcaption { font-size: var(--font-size--small); color: var(--color-foreground-secondary); }
@media (max-width: 46em) { .turning-head { float: none; width: 100%; max-width: 22rem; margin: 0 auto 1rem; } }
"""
OUTSIDE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
CSS_FETCH = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])\s*((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)


def main() -> int:
    """Build the site and check it; complaints go to stderr and make the exit status 1."""
    try:
        for name in ("furo", "myst_nb", "sphinx"):
            importlib.import_module(name)
        mathjax()
    except ModuleNotFoundError as error:
        print(f"{error.name} is missing: .venv/bin/pip install -e .[site]", file=sys.stderr)
        return 1
    out = ROOT / "build" / "site"
    found = build(ROOT, ROOT / "build" / "site-source", out) + check(out)
    for complaint in found:
        print(complaint, file=sys.stderr)
    if not found:
        print(
            f"{out.relative_to(ROOT)}/index.html: {len(list(out.rglob('*.html')))} pages, all links inside lead somewhere, nothing comes from outside"
        )
    return 1 if found else 0


def build(root: Path, source: Path, out: Path) -> list[str]:
    """Build the pages of the course.

    Args:
        root: of the checkout.
        source: a folder for what Sphinx reads; what is in it is deleted.
        out: the folder of the site; what is in it is deleted.

    Returns:
        Sphinx's warnings, a line each.
    """
    # Not a plain import: types are checked where the packages of the extra `site` are not installed, too.
    Sphinx = importlib.import_module("sphinx.application").Sphinx
    for folder in (source, out):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    descriptions = stage(root, source)
    add_head(root, source)
    (source / "_static" / "mathjax").mkdir()
    shutil.copy(mathjax(), source / "_static" / "mathjax")
    warnings = io.StringIO()
    app = Sphinx(
        source,
        None,
        out,
        out.parent / "site-trees",
        "html",
        confoverrides=settings(source),
        status=None,
        warning=warnings,
        freshenv=True,
    )
    app.build()
    describe(out, descriptions)
    add_excerpts(out)
    text = re.sub(r"\x1b\[[0-9;]*m", "", warnings.getvalue())
    return [line for line in text.splitlines() if line.strip()]


def settings(source: Path) -> dict:
    """What would stand in conf.py."""
    return {
        "project": TITLE,
        "html_title": TITLE,
        "html_theme": "furo",
        "author": "the authors of the course",
        "extensions": ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "helpers.course.api"],
        "autoclass_content": "both",  # what the arguments are stands at __init__
        "autodoc_inherit_docstrings": False,  # torch's and ipywidgets' are of their own pages
        "autodoc_member_order": "bysource",
        "autodoc_preserve_defaults": True,
        "autodoc_typehints_format": "short",
        "napoleon_custom_sections": ["Source"],
        "napoleon_numpy_docstring": False,
        "napoleon_use_ivar": True,
        "python_maximum_signature_line_length": 100,
        "nb_execution_mode": "off",
        "nb_merge_streams": True,
        "myst_enable_extensions": ["dollarmath", "amsmath"],
        "myst_heading_anchors": 3,
        "mathjax_path": "mathjax/tex-svg-full.js",
        "mathjax3_config": {"options": {"enableMenu": False}},
        "html_static_path": [str(source / "_static")],
        "html_css_files": ["course.css"],
        "html_js_files": [(COPY_CODE, {"defer": "defer"})],
        "highlight_language": "none",
        "html_show_sourcelink": False,
        "html_copy_source": False,
        "html_show_sphinx": False,
        "html_show_search_summary": False,  # it fetches; see helpers.course.search
        "html_theme_options": {"top_of_page_buttons": []},
        # A notebook's first heading is its title, and exercises begin with a third-level one.
        # Annotations name classes without their module, and two rooms may have a class of one name.
        "suppress_warnings": ["myst.header", "ref.python"],
        "exclude_patterns": ["_static", *DOWNLOADS],
    }


def stage(root: Path, source: Path) -> dict[str, str]:
    """Lay out what Sphinx reads.

    Args:
        root: of the checkout.
        source: an empty folder.

    Returns:
        The descriptions of the pictures in outputs, by the hash of their bytes.
    """
    import nbformat

    descriptions = {}
    for folder in DOWNLOADS:
        (source / folder).mkdir()
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                for kind, about in output.get("metadata", {}).items():
                    if kind in ("image/png", "image/jpeg") and about.get("alt"):
                        content = base64.b64decode(output["data"][kind])
                        descriptions[hashlib.sha256(content).hexdigest()] = about["alt"]
        for folder, text in zip(DOWNLOADS, (path.read_text("utf-8"), stripped(path)), strict=True):
            (source / folder / path.name).write_text(text, "utf-8")
        for_the_site(notebook, path.name)
        nbformat.write(notebook, source / path.name)
    shutil.copytree(root / "notebooks" / "pages", source / "pages")
    shutil.copytree(
        root / "notebooks" / "exercises", source / "exercises", ignore=shutil.ignore_patterns("__pycache__")
    )
    (source / "assets").mkdir()
    for picture in (root / "assets").glob("*.*"):
        if picture.suffix in (".jpg", ".png"):
            shutil.copy(picture, source / "assets")
    for name in ("LICENSE", "CITATION.cff"):
        if (root / name).exists():
            shutil.copy(root / name, source)
    for name in TOP_PAGES:
        if (root / name).exists():
            text = beside_notebooks((root / name).read_text("utf-8"))
            (source / name.lower()).write_text(text, "utf-8")
    for page in (source / "pages").glob("*.md"):
        page.write_text(beside_notebooks(page.read_text("utf-8").replace("](../../", "](../")), "utf-8")
    notebooks = [path.stem for path in sorted(source.glob("*.ipynb"))]
    pages = [f"pages/{name}" for name in PAGES if (source / "pages" / f"{name}.md").exists()]
    pages += [Path(name.lower()).stem for name in TOP_PAGES if (root / name).exists()]
    text = beside_notebooks((root / "README.md").read_text("utf-8"))
    code = write_pages(source)[:1]
    contents = {"Notebooks": notebooks, "To look things up": pages, "The code": code}
    lists = [_contents(caption, names) for caption, names in contents.items()]
    (source / "index.md").write_text("\n".join([text, *lists]), "utf-8")
    (source / "_static").mkdir()
    (source / "_static" / "course.css").write_text(STYLE, "utf-8")
    shutil.copy(Path(__file__).with_name(COPY_CODE), source / "_static")
    return descriptions


def add_head(root: Path, source: Path) -> None:
    """Put a head to turn on the first page.

    Args:
        root: of the checkout.
        source: as `stage` leaves it.
    """
    from helpers.course.cover import turning_head
    from helpers.show.viewer import VIEWER_STYLE

    static, index = source / "_static", source / "index.md"
    title, rest = index.read_text("utf-8").split("\n", 1)
    index.write_text(f"{title}\n\n{HEAD}\n{rest}", "utf-8")
    shutil.copy(root / "assets" / FIRST_FACE, static / "turning_head.webp")
    (static / "turning_head.js").write_bytes(turning_head())
    with (static / "course.css").open("a", encoding="utf-8") as style:
        style.write(VIEWER_STYLE)


def for_the_site(notebook, name: str) -> None:
    """Offer a notebook for download below its title, and name exercises in links as the site's pages do.

    Args:
        notebook: is changed.
        name: of its file.
    """
    whole, without = (f"{folder}/{name}" for folder in DOWNLOADS)
    offer = f"{{download}}`Download this notebook <{whole}>`."
    for cell in notebook.cells:
        if cell.id == "exercises":
            offer = f"Download this notebook {{download}}`with its solutions <{whole}>` or {{download}}`without <{without}>`."
            for head in re.findall(
                r"^### (Exercise .+)$", "\n".join(c.source for c in notebook.cells), re.MULTILINE
            ):
                cell.source = cell.source.replace(f"](#{anchor(head)})", f"](#{slug(head)})")
    if notebook.cells and notebook.cells[0].cell_type == "markdown":
        notebook.cells[0].source += f"\n\n{offer}"


def slug(heading: str) -> str:
    """The place of a heading on a page of the site, which is also that of GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def beside_notebooks(text: str) -> str:
    """A text of the top folder with links as they are on the site, where the notebooks lie beside it."""
    text = text.replace("](notebooks/", "](")
    for name in TOP_PAGES:
        text = re.sub(rf"\]\(((?:\.\./)?){re.escape(name)}", rf"](\1{name.lower()}", text)
    # Folders are no pages.
    return re.sub(r"\[([^\]]+)\]\((?:helpers|tests|\.ci|\.devcontainer)[^)]*\)", r"\1", text)


def _contents(caption: str, names: list[str]) -> str:
    lines = "\n".join(names)
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```\n"


def mathjax() -> Path:
    """The file of MathJax that has everything, fonts too. It comes with a package from PyPI."""
    from importlib.metadata import files

    return next(Path(file.locate()) for file in files(MATHJAX) or () if file.name == "tex-svg-full.js")


def describe(out: Path, descriptions: dict[str, str]) -> None:
    """Give the pictures of outputs their descriptions, which Sphinx leaves out.

    Args:
        out: the folder of the site.
        descriptions: as `stage` returns them.
    """

    def described(match: re.Match) -> str:
        words = descriptions.get(Path(match["src"]).stem)
        if words is None:
            return match.group()
        plain = re.sub(r'\salt="[^"]*"', "", match.group())
        return plain.replace("<img", f'<img alt="{html.escape(words)}"', 1)

    for page in out.rglob("*.html"):
        text = page.read_text("utf-8")
        page.write_text(re.sub(r'<img\b[^>]*?\bsrc="(?P<src>[^"]+)"[^>]*>', described, text), "utf-8")


class _Page(HTMLParser):
    """What a page links to, what it makes the browser fetch, its anchors, and its pictures without words."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.without_alt: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        got = dict(attrs)
        self.anchors.update(value for name, value in attrs if name in ("id", "name") and value)
        if tag == "a" and got.get("href"):
            self.links.append(got["href"])
        if (
            tag == "link"
            and got.get("href")
            and FETCHED_RELATIONS & set((got.get("rel") or "").lower().split())
        ):
            self.fetched.append(got["href"])
        for name, value in attrs:
            if (tag, name) in FETCHES and value:
                self.fetched += (
                    [part.split()[0] for part in value.split(",") if part.strip()]
                    if name == "srcset"
                    else [value]
                )
            if name == "style" and value:
                self.fetched += CSS_FETCH.findall(value)
        if tag == "img" and not (got.get("alt") or "").strip():
            self.without_alt.append(got.get("src") or "")


def check(out: Path) -> list[str]:
    """Links that lead nowhere, things fetched from outside, pictures without words: a line each."""
    pages = {path: _Page(path.read_text("utf-8")) for path in sorted(out.rglob("*.html"))}
    found = [] if pages else [f"{out}: no pages"]
    for path, page in pages.items():
        here = path.relative_to(out)
        for target in page.fetched:
            if OUTSIDE.match(target):
                found.append(f"{here}: fetches {target} from outside")
            elif not target.startswith("data:") and not _leads_to(path, target, out).exists():
                found.append(f"{here}: fetches {target}, which is not there")
        for target in page.links:
            if OUTSIDE.match(target) or re.match(r"(?:mailto|data|javascript):", target):
                continue
            there = _leads_to(path, target, out)
            anchor = unquote(urlsplit(target).fragment)
            if not there.exists():
                found.append(f"{here}: links to {target}, which is not there")
            elif anchor and there in pages and anchor not in pages[there].anchors:
                found.append(f"{here}: links to {target}, but that page has no such place")
        found += [f"{here}: a picture lacks words: {name}" for name in page.without_alt]
    for path in sorted(out.rglob("*.css")):
        found += [
            f"{path.relative_to(out)}: fetches {target} from outside"
            for target in CSS_FETCH.findall(path.read_text("utf-8"))
        ]
    return found


def _leads_to(page: Path, target: str, out: Path) -> Path:
    where = unquote(urlsplit(target).path)
    there = page if not where else (out / where.lstrip("/") if where.startswith("/") else page.parent / where)
    there = there.resolve()
    return there / "index.html" if there.is_dir() else there


if __name__ == "__main__":
    sys.exit(main())
