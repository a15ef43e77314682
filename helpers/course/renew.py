"""Everything that is generated, as text, beside what is stored."""

from __future__ import annotations

from pathlib import Path

from helpers.course import ROOT
from helpers.course.contents import renew_time, table, with_table
from helpers.course.exercises import renew as renew_exercises
from helpers.course.links import renew_links, titles_in
from helpers.course.predictions import fold


def renew(root: Path = ROOT) -> list[Path]:
    """Write what is out of date; returns the files written."""
    from helpers.files import write_in_one_step

    written = []
    for path, text in outdated(root).items():
        path.parent.mkdir(exist_ok=True)
        write_in_one_step(path, lambda file, text=text: file.write(text.encode()))
        written.append(path)
    return written


def outdated(root: Path = ROOT) -> dict[Path, str]:
    """The files whose stored text is not the generated one, with the generated one."""
    made = {**notebooks(root / "notebooks"), root / "README.md": readme(root), **pages(root)}
    return {path: text for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text}


def readme(root: Path) -> str:
    """The README's text, with its table of notebooks as they are."""
    return with_table((root / "README.md").read_text("utf-8"), table(root / "notebooks"))


def notebooks(folder: Path) -> dict[Path, str]:
    """Each notebook's text, with its exercises, links, promised time and folded answers as they should be."""
    import nbformat

    titles, made = titles_in(folder), {}
    for path in sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        renew_exercises(notebook, path)
        renew_links(notebook, path, titles)
        renew_time(notebook, path)
        fold(notebook)
        made[path] = nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
    return made


def pages(root: Path) -> dict[Path, str]:
    """The generated pages, in notebooks/pages."""
    from helpers.course.pages import generated

    return {root / "notebooks" / "pages" / name: text for name, text in generated(root).items()}
