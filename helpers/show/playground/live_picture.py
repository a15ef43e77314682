"""A picture that changes, with words for those who cannot see it: ipywidgets' own has no alternative text."""

from __future__ import annotations

import anywidget
import traitlets

SCRIPT = """
function render({ model, el }) {
  const image = document.createElement("img");
  image.className = "face-view";
  image.alt = model.get("about");
  image.width = image.height = model.get("size");
  let url = null;
  function draw() {
    const old = url;
    url = URL.createObjectURL(new Blob([model.get("value")], { type: "image/jpeg" }));
    image.src = url;
    if (old) URL.revokeObjectURL(old);
  }
  model.on("change:value", draw);
  if (model.get("value").byteLength) draw();
  el.append(image);
  return () => { model.off("change:value", draw); if (url) URL.revokeObjectURL(url); };
}
export default { render };
"""
LOOK = ".face-view { display: block; flex: 0 0 auto; max-width: none; margin: 2px; border-radius: 4px; }"


class LivePicture(anywidget.AnyWidget):
    """A square picture.

    Attributes:
        value: the picture as JPEG.
        about: what it shows, in words.
        size: px on the page.
    """

    _esm, _css = SCRIPT, LOOK
    value = traitlets.Bytes(b"").tag(sync=True)
    about = traitlets.Unicode("").tag(sync=True)
    size = traitlets.Int(256).tag(sync=True)
