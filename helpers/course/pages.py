"""The pages that are made from tables in this folder: Markdown, each with a line that says so."""

from __future__ import annotations

from pathlib import Path

from helpers.course.contents import title_and_question
from helpers.course.exercises import of_notebook
from helpers.course.glossary import WORDS
from helpers.course.naive import PAIRS
from helpers.course.notation import ALIKE, SEVERAL, SYMBOLS
from helpers.course.paper import STEPS


def generated(root: Path) -> dict[str, str]:
    """File name and text of each generated page."""
    texts = {
        "exercises.md": exercises_page(root),
        "glossary.md": glossary_page(root),
        "licences.md": licences_page(),
        "naive_is_real.md": naive_page(root),
        "notation.md": notation_page(),
        "paper.md": paper_page(root),
    }
    return {
        name: f"<!-- Written by `make notebooks`; do not edit. -->\n{text.rstrip()}\n"
        for name, text in texts.items()
    }


def exercises_page(root: Path) -> str:
    """The chain, and all exercises with difficulty and minutes."""
    import json

    chain, rows, total = [], [], 0
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        title, _ = title_and_question("".join(json.loads(path.read_text("utf-8"))["cells"][0]["source"]))
        for n, each in enumerate(of_notebook(path), 1):
            row = [f"[{title}](../{path.name})", f"{n} · {each.title}"]
            rows.append([*row, each.after, each.difficulty, str(each.minutes)])
            total += each.minutes
            if each.link:
                chain.append([*row, f"`{each.name}`", " ".join(each.link.split())])
    return "\n".join(
        [
            "# Exercises",
            "",
            "Each stands in its notebook at the end of the part that it trains, and needs nothing from above. It has a stub, a check that says",
            "what it expected and what it got, hints that become plainer, and a folded solution.",
            "",
            "## The chain",
            "",
            "Together these are one program. Solve them in turn, and you have written the whole road yourself: a renderer, a pose, a fit, a",
            "pooled label and a loss. At the end one person's photographs go through all of them. Each exercise brings the solutions that it",
            "continues, so any of them can be left out.",
            "",
            markdown_table(["notebook", "exercise", "what you write", "its place"], chain),
            "",
            "## All",
            "",
            markdown_table(["notebook", "exercise", "at the end of", "difficulty", "minutes"], rows),
            "",
            f"Together about {total / 60:.0f} hours.",
            "",
            "The exercises are written in `notebooks/exercises/`, one file a notebook: the solution with the part that the stub leaves",
            "out, the check, and likely mistakes that the check must notice. `make notebooks` writes them into the notebooks, and",
            "`make test` runs every solution, stub and mistake. `.venv/bin/python -m helpers.course.handout FOLDER` writes all notebooks without",
            "solutions.",
        ]
    )


def markdown_table(head: list[str], rows: list[list[str]]) -> str:
    """A table; bars inside a cell are escaped."""
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    out += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(out)


def notation_page() -> str:
    """The table of symbols, by notebook."""
    rows = [
        [s.symbol, s.meaning, f"`{s.code}`", s.shape, s.unit, s.paper or "–", s.notebook] for s in SYMBOLS
    ]
    head = ["symbol", "meaning", "in `helpers`", "shape", "unit", "in the paper", "notebook"]
    return "\n".join(
        [
            "# Symbols",
            "",
            "The conventions hold everywhere: millimetres, radians unless degrees are named, colours from 0 to 1 in sRGB, vectors as",
            "rows, the batch first. The model has y up and z towards the viewer; the camera has y down and z forward.",
            "",
            "In a shape, B counts faces, V vertices, P points or people, N photographs, M residuals; H × W is the image. A name in",
            "round brackets is an argument. *As reported* means that the paper is widely cited for it; *authors' released code* means",
            "that it was read there. A dash marks what this course has added.",
            "",
            "The labels of the paper, $\\alpha$ and $\\beta$, lie within ±3, as the authors answered to who had asked; the fitter that they",
            "released keeps them within ±4.",
            "",
            "These letters stand in several notebooks:",
            "",
            markdown_table(
                ["letter", "what it stands for"], [[f"${letter}$", why] for letter, why in SEVERAL.items()]
            ),
            "",
            f"The same in all of them: {', '.join(f'${letter}$ {why}' for letter, why in ALIKE.items())}.",
            "",
            markdown_table(head, rows),
        ]
    )


def glossary_page(root: Path) -> str:
    """The words of the course in alphabetical order."""
    rows = [
        [f"**{word}**", entry[0], _notebook_link(entry[1], root)]
        for word, entry in sorted(WORDS.items(), key=lambda i: i[0].lower())
    ]
    return "# Words\n\n" + markdown_table(["word", "meaning", "explained in"], rows)


def paper_page(root: Path) -> str:
    """What the paper does, and where it is here."""
    rows = []
    for step in STEPS:
        functions = ", ".join(f"`{name}`" for name in step.functions)
        tests = ", ".join(f"`{name.replace('::*', '')}`" for name in step.tests)
        rows.append(
            [
                step.what,
                step.source,
                f"{_notebook_link(step.notebook, root)}, *{step.heading}*",
                functions,
                tests,
            ]
        )
    return "\n".join(
        [
            "# From the paper to the code",
            "",
            "The paper is A. T. Tran, T. Hassner, I. Masi, G. Medioni: *Regressing Robust and Discriminative 3D Morphable Models with a",
            "very Deep Neural Network*, CVPR 2017, [arXiv:1612.04904](https://arxiv.org/abs/1612.04904). *Reported* is what it is widely",
            "cited for; *authors' code* is what was read in the code that they released; *authors' answer* is what they wrote to who had",
            "asked. Names of functions are below `helpers`, names of tests below `tests/`.",
            "",
            "The fitter that they released is by its README an implementation of Blanz and Vetter (2003) and of Romdhani (2005), of which",
            '"a modified version was used to generate training data" for the paper. So what was read in it is told of *the released fitter*.',
            "",
            markdown_table(["in the paper", "source", "notebook and part", "functions", "tests"], rows),
        ]
    )


def naive_page(root: Path) -> str:
    """Which function of a notebook is which of `helpers`."""
    rows = []
    for pair in PAIRS:
        unit = f" {pair.unit}" if pair.unit else ""
        slopes = "–" if pair.slopes_within is None else f"{pair.slopes_within:.0e}"
        names = [
            ", ".join(f"`{name.removeprefix('helpers.')}`" for name in group)
            for group in (pair.functions, pair.real)
        ]
        rows.append(
            [_notebook_link(pair.notebook, root), pair.step, *names, f"{pair.within:.0e}{unit}", slopes]
        )
    return "\n".join(
        [
            "# Written by hand, and real",
            "",
            "A notebook writes each step in its plainest form first. That form and the fast one in `helpers` are the same function:",
            "`tests/course/test_naive_is_real.py` takes the left one out of the notebook, calls both on random inputs, and compares their",
            "values and the slopes of a random sum of them. A dash stands where no slope is asked for: whole numbers, counts, what is itself",
            "a slope, and what numpy computes.",
            "",
            markdown_table(
                ["notebook", "step", "in the notebook", "in `helpers`", "values within", "slopes within"],
                rows,
            ),
        ]
    )


def _notebook_link(number: str, root: Path) -> str:
    """A link to a notebook, or its number where it is not there yet."""
    found = next((root / "notebooks").glob(f"{number}_*.ipynb"), None)
    return f"[{number}](../{found.name})" if found else number


FACE_ENCODER_LICENCE = (
    "## The face encoder",
    "",
    "`helpers.face_encoder` reads dlib_face_recognition_resnet_model_v1.dat, and no other file of the package face_recognition_models.",
    "Its author, Davis King, publishes it in [dlib-models](https://github.com/davisking/dlib-models) under CC0 1.0, and writes there:",
    "“anyone can do whatever they want with these model files as I've released them into the public domain”. The package's LICENSE is",
    "CC0 too. The file is his, byte for byte; its SHA-256 is checked. The architecture is that of dlib's example",
    "dnn_face_recognition_ex.cpp, which is in the public domain.",
    "",
    "CC0 gives what the author has to give. It does not give the rights of the people in the training photographs, about 3 million of",
    "7485 people from FaceScrub, VGG Face and the web: he claims none over them, and the photographs are not to be had",
    "([issues 10](https://github.com/davisking/dlib-models/issues/10) and [42](https://github.com/davisking/dlib-models/issues/42)).",
    "Nor is the network fair: “the model is definitely biased towards generally good looking american celebrities (e.g. white middle",
    "aged adults)” (issue 42).",
)


def licences_page() -> str:
    """Whose work is used, and under which licence; the face models of others with the way to them."""
    from helpers.face_model import how_to_get

    parts = [
        ["code and notebooks", "MIT, [LICENSE](../../LICENSE)", "yes"],
        [
            "open face model, `assets/open_face_model/`",
            "CC0, made from MakeHuman data, which are CC0; means of surveys are cited in its model card",
            "yes",
        ],
        [
            "trained network, `assets/network/`",
            "MIT, trained on renderings of the open face model only",
            "yes",
        ],
        [
            "default photographs, NASA's of Eileen Collins and the US Navy's of Grace Hopper",
            "works of the US government, public domain",
            "come with scikit-image and matplotlib",
        ],
        [
            "face detector, extra `landmarks`",
            "dlib: Boost. Its model of the 68 points was trained on 300-W: not for commercial use",
            "comes from PyPI",
        ],
        [
            "face encoder, weights of dlib's face recognition network, extra `landmarks`",
            "CC0; see below",
            "comes from PyPI",
        ],
        [
            "second detector, extra `clnf`",
            "pyclnf: CC BY-NC. Its model files: OpenFace's licence, not for commercial use",
            "no, bring your own",
        ],
        ["MathJax and reveal.js, in the web site and slides only", "Apache-2.0, MIT", "come from PyPI"],
    ]
    models = [
        [s.title, f"`{s.name}`", s.what, s.licence, "ask" if s.by_request else "fetch", f"<{s.page}>"]
        for s in how_to_get()
    ]
    return "\n".join(
        [
            "# Licences",
            "",
            "Nothing that may not be passed on is in this repository.",
            "",
            markdown_table(["what", "licence", "in the repository"], parts),
            "",
            "The course works without a detector: the default photographs have their points stored, and `--landmarks` takes points from",
            "a file.",
            "",
            *FACE_ENCODER_LICENCE,
            "",
            "## Face models of others",
            "",
            "None is in this repository. `helpers.face_model.load` takes the name in the second column once its file lies in",
            "`~/face_models` or in a folder of `$FACE_MODELS`. The licences are named in a few words: what counts is the text on the page.",
            "",
            markdown_table(["model", "name", "what is in it", "licence", "how", "page"], models),
        ]
    )
