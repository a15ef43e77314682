"""Excerpts for the site's search: the words around each hit, from a file of the site's own.

Sphinx finds the pages. It takes their excerpts from the pages themselves, which a browser fetches from a server only; here they come from a
script, so that a site that is opened as a file has them, too.
"""

from __future__ import annotations

import json
from pathlib import Path

from bs4 import BeautifulSoup  # of Jupyter's nbconvert, and of furo

HERE = Path(__file__).parent
TEXTS, SCRIPT = "search_texts.js", "search.js"
NO_TEXT = "script, style, .headerlink, nav, .toctree-wrapper"


def add_excerpts(out: Path) -> None:
    """Write what the search page reads, and have it read.

    Args:
        out: the folder of a site that Sphinx has built.
    """
    pages = {
        path.relative_to(out).as_posix(): found
        for path in sorted(out.rglob("*.html"))
        if (found := sections(path.read_text("utf-8")))
    }
    static, page = out / "_static", out / "search.html"
    texts = json.dumps(pages, ensure_ascii=False, separators=(",", ":"))
    (static / TEXTS).write_text(f"const SEARCH_TEXTS = {texts};\n", "utf-8")
    (static / SCRIPT).write_bytes((HERE / SCRIPT).read_bytes())
    scripts = "".join(f'<script src="_static/{name}"></script>\n' for name in (TEXTS, SCRIPT))
    page.write_text(page.read_text("utf-8").replace("</body>", f"{scripts}</body>"), "utf-8")


def sections(page: str) -> list[tuple[str, str, str]]:
    """Anchor, heading and text of each section of a page, as a reader sees them; a section within another is not part of its text.

    Args:
        page: HTML, as Sphinx writes it.
    """
    main = BeautifulSoup(page, "html.parser").select_one('[role="main"]')
    if main is None:
        return []
    for node in main.select(NO_TEXT):
        node.decompose()
    found = []
    for section in reversed(main.select("section[id]")):  # the inner ones first
        section.extract()
        title = section.find(["h1", "h2", "h3", "h4", "h5", "h6"])
        heading = plain(title.extract().get_text()) if title else ""
        found.append((str(section["id"]), heading, plain(section.get_text())))
    return found[::-1]


def plain(text: str) -> str:
    """Text on one line, formulas without their brackets."""
    for bracket in (r"\(", r"\)", r"\[", r"\]"):
        text = text.replace(bracket, "")
    return " ".join(text.split())
