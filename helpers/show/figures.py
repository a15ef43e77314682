"""Pictures in a notebook: as PNG, with words for those who cannot see them."""

from __future__ import annotations

import base64
import io
from functools import cache
from pathlib import Path

import numpy as np

from helpers.show.on_cpu import on_cpu
from helpers.show.style import DETECTED, MODELLED, style


def figure(width: float = 7.0, height: float = 3.5, **subplots):
    """A matplotlib figure in the style of the course.

    It belongs to no window and to no notebook hook: it shows only where `picture` shows it.

    Args:
        width: inches.
        height: inches.
        subplots: options of `Figure.subplots`.

    Returns:
        (figure, axes), as `plt.subplots` returns them.
    """
    from matplotlib.figure import Figure

    style()
    made = Figure(figsize=(width, height))
    return made, made.subplots(**subplots)


def picture(image, *, alt: str, width: int | None = None) -> None:
    """Show one picture; outside of a notebook nothing is shown.

    Args:
        image: an array (H, W, 3) or (H, W), 0 to 1 or bytes, or a matplotlib figure.
        alt: what the picture shows, in words; it is stored with the picture and read out by screen readers.
        width: px on the page; None shows every pixel.

    Raises:
        ValueError: there are no words, or `image` is no image.
    """
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError("picture needs alt: say in words what is to be seen")
    kind, data = encoded(image)
    try:
        from IPython import get_ipython
        from IPython.display import publish_display_data
    except ImportError:
        return
    if get_ipython() is None:
        return
    about = {"alt": " ".join(alt.split())}
    if width is not None:
        about["width"] = int(width)
    content = {kind: base64.b64encode(data).decode(), "text/plain": about["alt"]}
    publish_display_data(content, metadata={kind: about})


# A notebook holds its pictures in itself; above this size a photograph's noise is not worth its bytes.
MOST_PNG_BYTES = 50_000
JPEG_QUALITY = 85  # without thinning out the colours, which would smear thin lines and letters


def encoded(image) -> tuple[str, bytes]:
    """(MIME type, bytes) of a figure or an array: PNG, or JPEG where a PNG would be large (photographs)."""
    data = png_bytes(image)
    if hasattr(image, "savefig"):
        return "image/png", _few_colours(data)
    if len(data) <= MOST_PNG_BYTES:
        return "image/png", data
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(as_bytes(image)).convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return "image/jpeg", buffer.getvalue()


def png_bytes(image) -> bytes:
    """A figure or an array as PNG; the same input gives the same bytes."""
    buffer = io.BytesIO()
    if hasattr(image, "savefig"):
        # matplotlib would write its version into the file.
        image.savefig(buffer, format="png", metadata={"Software": None})
    else:
        from PIL import Image

        _with_palette(Image.fromarray(as_bytes(image))).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _with_palette(image):
    """An RGB image of at most 256 colours as one byte a pixel, which takes a third of the room; others as they are."""
    from PIL import Image

    if image.mode != "RGB" or image.getcolors(256) is None:
        return image
    small = image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    if np.array_equal(np.asarray(small.convert("RGB")), np.asarray(image)):
        return small
    small = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return small if np.array_equal(np.asarray(small.convert("RGB")), np.asarray(image)) else image


def _few_colours(png: bytes, off: int = 16) -> bytes:
    """A chart's PNG with a palette of 256 colours, a third of the size; as it was where a colour would be off by more.

    A chart has a few colours and the mixtures at their edges; a figure with a photograph in it has many, and stays.
    """
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    small = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    if np.abs(np.asarray(small.convert("RGB")).astype(int) - np.asarray(image)).max() > off:
        return png
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def as_array(values) -> np.ndarray:
    """A tensor of any device, or anything that numpy takes, as an array."""
    return np.asarray(on_cpu(values))


def as_bytes(image) -> np.ndarray:
    """An image as uint8.

    Args:
        image: (H, W, 3) or (H, W), array or tensor, with a batch dimension of one or none: 0 to 1, bool, or uint8 already.

    Raises:
        ValueError: the shape is another, or a value is not finite.
    """
    array = as_array(image)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ValueError(f"image must be (H, W, 3) or (H, W), got {array.shape}")
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if not np.isfinite(array).all():
        raise ValueError("image has values that are not finite numbers")
    return (np.clip(array, 0, 1) * 255 + 0.5).astype(np.uint8)


# A page of the course gives a picture about 830 px, and shows wider ones smaller, letters too.
SMALLEST_LETTERS = 13  # px
WIDEST = 1250  # px: at two thirds of its size a picture can still be read
LETTERS_PER_WIDTH = 1 / 60  # letters of 14 px where the picture is shown 830 px wide


def row(images, titles=None, *, alt: str, height: int = 224) -> None:
    """Show images side by side, each under its title, in as many rows as they need on a page.

    The arguments are those of `tile` and `picture`.
    """
    picture(tile(images, titles, height=height, widest=WIDEST), alt=alt)


def tile(images, titles=None, height: int = 224, gap: int = 6, widest: int | None = None) -> np.ndarray:
    """Images of any size side by side on white.

    Args:
        images: each as `as_bytes` takes it.
        titles: of each, or None.
        height: of each, px.
        gap: between images, px.
        widest: px; what is wider is broken into rows of as many images each. None keeps one row.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: there is no image, or the titles are not as many.
    """
    from PIL import Image

    panels = []
    for image in images:
        panel = Image.fromarray(as_bytes(image)).convert("RGB")
        width = max(1, round(panel.width * height / panel.height))
        panels.append(panel.resize((width, height), Image.Resampling.LANCZOS))
    if not panels:
        raise ValueError("tile needs at least one image")
    if titles is not None and len(titles) != len(panels):
        raise ValueError(f"{len(panels)} images need as many titles, got {len(titles)}")

    for n_rows in range(1, len(panels) + 1):
        columns = -(-len(panels) // n_rows)  # in rows as even as can be
        lines = [panels[i : i + columns] for i in range(0, len(panels), columns)]
        width = max(sum(panel.width for panel in line) + gap * (len(line) - 1) for line in lines)
        if widest is None or width <= widest:
            break
    largest = letter_size(width)
    top = round(24 / SMALLEST_LETTERS * largest) if titles is not None else 0
    words = [""] * len(panels) if titles is None else [str(title) for title in titles]
    size = min(letters_that_fit(title, p.width, largest) for title, p in zip(words, panels, strict=True))
    page = Image.new("RGB", (width, len(lines) * (height + top) + gap * (len(lines) - 1)), "white")
    for i, line in enumerate(lines):
        left, above = 0, i * (height + top + gap)
        for panel, title in zip(line, words[i * columns :], strict=False):
            page.paste(panel, (left, above + top))
            write(page, (left + panel.width / 2, above + top / 2), title, size)
            left += panel.width + gap
    return np.asarray(page)


def letter_size(width: int) -> int:
    """The size (px) of letters that can be read on a picture of this width (px), wherever the page shows it."""
    return max(SMALLEST_LETTERS, round(width * LETTERS_PER_WIDTH))


def letters_that_fit(text: str, width: float, size: int) -> int:
    """The largest size up to `size` (px) at which a text is at most `width` px wide, or the smallest in use."""
    while size > SMALLEST_LETTERS and _font(size).getlength(text) > width:
        size -= 1
    return size


@cache
def _font(size: int):
    """The font that matplotlib brings: Pillow's own lacks most letters."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def write(
    page, at, text: str, size: int = 13, colour: str = "#24292F", anchor: str = "mm", edge: int = 0
) -> None:
    """Write on a Pillow image in the font that matplotlib brings.

    Args:
        page: the image.
        at: (x, y) px, of the anchor.
        text: what to write.
        size: of the letters, px.
        colour: of the letters.
        anchor: which point of the text lies there, in Pillow's two letters.
        edge: pixels of white around each letter, to be read on any ground.
    """
    from PIL import ImageDraw

    ImageDraw.Draw(page).text(
        at, text, fill=colour, font=_font(size), anchor=anchor, stroke_width=edge, stroke_fill="white"
    )


def captioned(image, text: str) -> np.ndarray:
    """An image (H, W, 3) with a line of text on its lower edge: a new uint8 array."""
    from PIL import Image

    page = Image.fromarray(as_bytes(image))
    write(page, (page.width / 2, page.height - 12), text, size=13, edge=2)
    return np.asarray(page)


def draw_landmarks(
    image, points, others=None, *, colour: str = DETECTED, other_colour: str = MODELLED, height=448
):
    """Draw landmarks on an image as dots.

    Args:
        image: (H, W, 3).
        points: (68, 2) px.
        others: a second set of points (68, 2), as rings; each is joined to its partner by a thin line.
        colour: of the dots.
        other_colour: of the rings.
        height: px, about: a whole number of times the image, at least once.

    Returns:
        A new uint8 array (H, W, 3).

    Raises:
        ValueError: `others` are not as many as `points`.
    """
    from PIL import Image, ImageDraw

    array = as_bytes(image)
    zoom = max(1, round(height / array.shape[0]))
    fine = 3 * zoom  # drawn larger and shrunk, for smooth dots
    page = Image.fromarray(array).convert("RGB")
    page = page.resize((page.width * fine, page.height * fine), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(page)
    radius = 3 * max(2.0, 0.0065 * array.shape[0] * zoom)

    def place(p):  # pixel centres are at integers
        return (as_array(p).reshape(-1, 2) + 0.5) * fine - 0.5

    def circle(x, y, r, **how):
        draw.ellipse([x - r, y - r, x + r, y + r], **how)

    at = place(points)
    if others is not None:
        to = place(others)
        if len(to) != len(at):
            raise ValueError(f"points and others must be as many, got {len(at)} and {len(to)}")
        for a, b in zip(at, to, strict=True):
            draw.line([*a, *b], fill=other_colour, width=3)
            circle(*b, radius * 1.35, outline=other_colour, width=4)
    for x, y in at:
        circle(x, y, radius, fill=colour, outline="#10302A", width=2)
    return np.asarray(page.resize((page.width // 3, page.height // 3), Image.Resampling.LANCZOS))
