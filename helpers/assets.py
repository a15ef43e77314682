"""Where the files lie that come with the code: the face model, the network, the points of the default photographs."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
# In a checkout the files lie beside the package; a wheel carries them inside.
ASSETS = HERE / "_assets" if (HERE / "_assets").is_dir() else HERE.parent / "assets"
