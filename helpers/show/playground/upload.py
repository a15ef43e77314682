"""A button that takes a file from the reader's computer, in parts: ipywidgets' own sends a file in one message, and
beyond Jupyter's limit of 10 MiB a message the connection to the kernel breaks without a word."""

from __future__ import annotations

from collections.abc import Callable

import anywidget
import traitlets

from helpers.show.playground.person import LARGEST_FILE

PART = 1_000_000  # bytes

SCRIPT = """
function render({ model, el }) {
  el.classList.add("face-upload");
  const input = document.createElement("input");
  input.type = "file";
  input.accept = "image/*";
  input.setAttribute("aria-label", model.get("label"));
  const button = document.createElement("button");
  button.className = "jupyter-button widget-button face-upload-button";
  button.textContent = model.get("label");
  const note = document.createElement("span");
  note.setAttribute("role", "status");
  el.append(button, input, note);

  async function send(file) {
    const part = model.get("part"), largest = model.get("largest");
    if (file.size > largest) {
      const mb = (bytes) => Math.round(bytes / 1e6);
      note.textContent = `${file.name}: ${mb(file.size)} MB: at most ${mb(largest)} MB: save a smaller version`;
      return;
    }
    const parts = Math.max(1, Math.ceil(file.size / part));
    for (let number = 0; number < parts; number++) {
      note.textContent = `sending ${file.name} …`;
      const bytes = await file.slice(number * part, (number + 1) * part).arrayBuffer();
      model.send({ name: file.name, number, parts }, undefined, [bytes]);
    }
    note.textContent = "";
    input.value = "";
  }
  button.onclick = () => input.click();
  input.onchange = () => input.files.length && send(input.files[0]);
  el.ondragover = (event) => { event.preventDefault(); el.classList.add("face-over"); };
  el.ondragleave = () => el.classList.remove("face-over");
  el.ondrop = (event) => {
    event.preventDefault();
    event.stopPropagation();
    el.classList.remove("face-over");
    if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  };
}
export default { render };
"""
LOOK = """
.face-upload { display: flex; gap: 8px; align-items: center; flex-wrap: wrap; border-radius: 4px; padding: 2px 0;
  color: var(--jp-ui-font-color1, #24292f); font-size: var(--jp-widgets-font-size, 13px); }
.face-upload input[type="file"] { position: absolute; width: 1px; height: 1px; opacity: 0; overflow: hidden; }
.face-upload-button { width: auto !important; padding: 0 12px !important; }
.face-upload.face-over { outline: 2px dashed var(--jp-brand-color1, #0072B2); }
"""


class PhotoUpload(anywidget.AnyWidget):
    """A button for files.

    Attributes:
        label: what stands on it.
        largest: bytes; files beyond are refused in the browser.
        part: bytes of each message.
    """

    _esm, _css = SCRIPT, LOOK
    label = traitlets.Unicode("Upload a photograph").tag(sync=True)
    largest = traitlets.Int(LARGEST_FILE).tag(sync=True)
    part = traitlets.Int(PART).tag(sync=True)

    def __init__(self, on_file: Callable[[str, bytes], None], **options):
        """Make the button.

        Args:
            on_file: is called with name and content of each file that the reader chooses or drops.
            options: of the widget.
        """
        super().__init__(**options)
        self._on_file, self._parts = on_file, []
        self.on_msg(self._take)

    def _take(self, _, content: dict, buffers) -> None:
        """One part of a file; what came before is thrown away where a new file begins."""
        number, parts = content.get("number"), content.get("parts")
        if number == 0:
            self._parts = []
        if number != len(self._parts) or not buffers:
            self._parts = []
            return
        self._parts.append(bytes(buffers[0]))
        if len(self._parts) == parts:
            data, self._parts = b"".join(self._parts), []
            self._on_file(str(content.get("name", "upload")), data)
