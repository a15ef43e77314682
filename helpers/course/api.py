"""The site's pages on `helpers`: one for each room, made of the docstrings of its public names.

This module is an extension of Sphinx, too. It reads docstrings, in which names stand between single backticks, as
reStructuredText; and wherever on the site a name of `helpers` stands in code font, it makes a link of it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import helpers

FOLDER = "api"
# Where a docstring's own text must not be read as markup: stars, bars, a name's last underscore, what looks like an address.
MARKUP = re.compile(r"[*|\\]|(?<=\w)_(?!\w)|(?<=\w):(?=:\w)")
SECTION = re.compile(r"\s*(Args|Attributes|Returns|Yields|Raises|Source|Examples?|Notes?):\s*$")
NEVER_LINKED = ("reference", "title", "desc_signature")


def write_pages(source: Path) -> list[str]:
    """Write a page for each room, and an index of them.

    Args:
        source: the folder of the site's sources; the pages go into its folder "api".

    Returns:
        The names of the pages, the index first.
    """
    folder = source / FOLDER
    folder.mkdir()
    rooms = [importlib.import_module(f"helpers.{name}") for name in _public(helpers)]
    for room in rooms:
        (folder / f"{_last(room)}.rst").write_text(page(room), "utf-8")
    (folder / "index.rst").write_text(index(rooms), "utf-8")
    return [f"{FOLDER}/index", *(f"{FOLDER}/{_last(room)}" for room in rooms)]


def index(rooms: list[ModuleType]) -> str:
    """The page that lists the rooms, as reStructuredText: the conventions, and a line on each."""
    lines = [_title("The rooms of helpers", "="), _automodule("helpers")]
    lines.append(".. list-table::\n   :widths: 25 75\n")
    for room in rooms:
        about = (inspect.getdoc(room) or "").partition("\n\n")[0].replace("\n", " ")
        lines.append(f"   * - :doc:`{room.__name__} <{_last(room)}>`\n     - {as_rest([about])[0]}")
    names = "\n".join(f"   {_last(room)}" for room in rooms)
    return "\n".join([*lines, f"\n.. toctree::\n   :hidden:\n\n{names}\n"])


def page(room: ModuleType) -> str:
    """A room's page as reStructuredText: what it exports, and then, module by module, what else is public in it."""
    shown: set[int] = set()
    lines = [_title(room.__name__, "="), _automodule(room.__name__), *_entries(room, shown)]
    for module in _modules(room):
        entries = _entries(module, shown)
        lines += [_title(module.__name__, "-"), _automodule(module.__name__), *entries]
    return "\n".join(lines)


def _modules(room: ModuleType) -> list[ModuleType]:
    """The public modules in a room, and in the folders of it."""
    found = []
    for name in _public(room) if hasattr(room, "__path__") else ():
        module = importlib.import_module(f"{room.__name__}.{name}")
        found += [module, *_modules(module)]
    return found


def _public(package: ModuleType) -> list[str]:
    return [each.name for each in pkgutil.iter_modules(package.__path__) if not each.name.startswith("_")]


def _entries(module: ModuleType, shown: set[int]) -> list[str]:
    """Sphinx's directives for what is public in a module and not in `shown`, to which it is added."""
    exported = getattr(module, "__all__", None)
    lines, elsewhere = [], []
    for name in vars(module) if exported is None else exported:
        thing = getattr(module, name)
        own = exported is not None or getattr(thing, "__module__", None) == module.__name__
        if name.startswith("_") or not own or inspect.ismodule(thing) or id(thing) in shown:
            continue
        home = str(getattr(thing, "__module__", None) or module.__name__).split(".")
        if home[0] == "helpers" and home[1:2] != module.__name__.split(".")[1:2] and home[1][:1] != "_":
            elsewhere.append(f"``helpers.{home[1]}.{name}``")  # it has its place on the page of its room
            continue
        shown.add(id(thing))
        if inspect.isclass(thing):
            lines.append(f".. autoclass:: {name}\n   :members:\n")
        elif callable(thing) and inspect.isroutine(inspect.unwrap(thing)):
            lines.append(f".. autofunction:: {name}\n")
        elif exported is not None:
            value = repr(thing)
            lines.append(f".. py:data:: {name}\n" + (f"   :value: {value}\n" if len(value) < 60 else ""))
    if elsewhere:
        lines.insert(0, f"Also here, from other rooms: {', '.join(elsewhere)}.\n")
    return [f".. currentmodule:: {module.__name__}\n", *lines] if lines else []


def _automodule(name: str) -> str:
    """A module's docstring. Where a function has the module's name, as helpers.fitting.fit, links lead to the function."""
    package, _, last = name.rpartition(".")
    hidden = package and not inspect.ismodule(getattr(importlib.import_module(package), last))
    return f".. automodule:: {name}\n   :no-members:\n" + ("   :no-index:\n" if hidden else "")


def _title(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def _last(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def as_rest(lines: list[str]) -> list[str]:
    """A docstring as reStructuredText: names between single backticks become code, and nothing else is markup.

    Examples (`>>>`) and what is indented below a line that ends in a colon and an empty one stay as they are. Outside of
    sections such as Args, the further lines of a paragraph may be indented.
    """
    out: list[str] = []
    example, block, section, above = False, None, None, None  # each but the first: how far a line is indented
    listed = False  # whether the paragraph is an item of a list, whose further lines are indented anyway
    for number, line in enumerate(lines):
        if not line.strip():
            out.append(line)
            example, above = False, None
            continue
        indent = len(line) - len(line.lstrip())
        example = example or line.lstrip().startswith(">>>")
        block = None if block is not None and indent <= block else block
        section = None if section is not None and indent <= section else section
        if example or block is not None:
            out.append(line)
            continue
        if above is None:
            listed = line.lstrip().startswith("- ")
        elif section is None and indent > above and not listed:
            line, indent = " " * above + line.lstrip(), above
        above = indent
        if SECTION.match(line):
            section = indent
        out.append(_without_markup(line))
        below = lines[number + 1 : number + 3]
        if line.rstrip().endswith(":") and len(below) == 2 and not below[0].strip():
            if len(below[1]) - len(below[1].lstrip()) > indent:
                out[-1], block = out[-1].rstrip() + ":", indent
    return out


def _without_markup(line: str) -> str:
    code = re.split(r"(`+)(.+?)\1", line)  # text, ticks, code, text, ticks, code … text
    code[0::3] = [MARKUP.sub(r"\\\g<0>", text) for text in code[0::3]]
    code[1::3] = [f"``{name}``" for name in code[2::3]]
    # Code must end at a blank or a full stop: an invisible one comes between it and a letter.
    code[2::3] = ["\\ " if text[:1].isalnum() else "" for text in code[3::3]]
    return "".join(code)


def find(name: str, objects: dict[str, Any]) -> Any:
    """What a text in code font names, or None.

    Args:
        name: "helpers.fitting.fit", the same without `helpers` or with arguments behind it, "FitSettings.released", or a folder
            "helpers/fitting/".
        objects: by dotted name.
    """
    dotted = name.partition("(")[0].strip("/").replace("/", ".")
    if "." not in dotted:
        return None
    known = objects.get(dotted) or objects.get(f"helpers.{dotted}")
    if known is None and dotted[0].isupper():  # a class, which other rooms may have under the same name
        found = [thing for full, thing in objects.items() if full.endswith(f".{dotted}")]
        known = found[0] if len(found) == 1 else None
    return known


def setup(app) -> dict:
    """Called by Sphinx: read docstrings as they are written here, and make links of names."""
    # Before napoleon, which reads Args and Returns.
    app.connect("autodoc-process-docstring", _read, priority=400)
    app.connect("doctree-resolved", _link_names)
    return {"parallel_read_safe": True}


def _read(app, what, name, thing, options, lines) -> None:
    lines[:] = as_rest(lines)


def _link_names(app, document, page) -> None:
    """Sphinx's links of names in code font, wherever they do not stand in one already."""
    make_link = importlib.import_module("sphinx.util.nodes").make_refnode
    objects = app.env.get_domain("py").objects
    for code in [node for node in document.findall() if node.tagname == "literal"]:
        there = find(code.astext(), objects)
        if there is not None and not _within(code, NEVER_LINKED):
            link = make_link(app.builder, page, there.docname, there.node_id, code.deepcopy())
            code.parent.replace(code, link)


def _within(node, kinds: tuple[str, ...]) -> bool:
    while node.parent is not None:
        node = node.parent
        if node.tagname in kinds:
            return True
    return False
