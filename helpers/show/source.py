"""The code that runs, as it is: never a pasted copy."""

from __future__ import annotations

import inspect
import textwrap


def source(thing, *, docstring: bool = True) -> None:
    """Show source in the notebook, or print it outside of one.

    Args:
        thing: a function, class or Warp kernel.
        docstring: False leaves it out, where the notebook's own text has said it already.
    """
    code, where = source_text(thing, docstring=docstring)
    from IPython import get_ipython

    if get_ipython() is None:
        print(code)
        return
    from IPython.display import publish_display_data

    markdown = f"`{where}`\n\n```python\n{code}\n```"
    publish_display_data({"text/markdown": markdown, "text/plain": f"# {where}\n{code}"})


def source_text(thing, *, docstring: bool = True) -> tuple[str, str]:
    """The source that `source` shows.

    Returns:
        The code, and the dotted name, such as "helpers.pose.estimate_pose".

    Raises:
        ValueError: `thing` has no Python source.
    """
    # A Warp kernel keeps its Python function in `func`; decorators keep theirs in `__wrapped__`.
    function = inspect.unwrap(getattr(thing, "func", thing))
    try:
        code = textwrap.dedent(inspect.getsource(function)).rstrip()
    except (TypeError, OSError) as error:
        raise ValueError(f"{thing!r} has no Python source to show") from error
    if not docstring:
        code = _without_docstring(code)
    return code, f"{function.__module__}.{function.__qualname__}"


def _without_docstring(code: str) -> str:
    import ast

    definition = ast.parse(code).body[0]
    if (
        not isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        or ast.get_docstring(definition) is None
        or len(definition.body) < 2
    ):
        return code
    doc = definition.body[0]
    lines = code.splitlines()
    del lines[doc.lineno - 1 : doc.end_lineno]
    while not lines[doc.lineno - 1].strip():
        del lines[doc.lineno - 1]
    return "\n".join(lines)
