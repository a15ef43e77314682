"""Photographs: reading them in any common form. The square that the fit looks at is cut out in `helpers.crop`."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
import struct
import warnings
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from helpers.crop import FaceCrop, crop_face, stack_crops
from helpers.errors import UserError
from helpers.files import A_FOLDER, why_unreadable

__all__ = ["FaceCrop", "Photo", "crop_face", "default_photos", "photo_of_bytes", "read_photo", "stack_crops"]

# Under this many pixels along the shorter side a face has too few to be measured.
SMALLEST_SIDE = 64
# A picture is kept with all its pixels, as 12 bytes each. Past this it is refused before it is decoded:
# a small file can claim to hold billions of pixels (a "decompression bomb").
LARGEST_PIXELS = 64_000_000
# What may be white in pixels of more than 8 bits: cameras store 8, 10, 12 and 14 bits in 16 as well.
WHITE_LEVELS = (255, 1023, 4095, 16383, 65535)

DAMAGED = "truncated or damaged: copy or download it again"

# First bytes and tags by which files are told apart (TIFF 6.0, DNG 1.7, ISO 23008-12).
PNG = b"\x89PNG\r\n\x1a\n"
TIFF = (b"II*\0", b"MM\0*")
RAW = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0")  # Olympus, Panasonic
HEIC = tuple(
    b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
)
SUBFILE_TYPE, SUB_IFDS, DNG_VERSION = 254, 330, 50706


@dataclass(frozen=True)
class Photo:
    """A photograph, upright.

    Attributes:
        image: (H, W, 3) float32, sRGB, 0 to 1.
        path: The file.
        name: The file's name without its ending.
    """

    image: np.ndarray
    path: Path
    name: str

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.image.shape[:2]
        return height, width


def default_photos() -> dict[str, Path]:
    """Find the two photographs of the course in the installed packages.

    Both are works of the US government, in the public domain: Eileen Collins (NASA; scikit-image) and
    Grace Hopper (US Navy; matplotlib).

    Returns:
        Name → file.

    Raises:
        UserError: A file is not there.
    """
    photos = {
        "astronaut": _folder_of("skimage") / "data" / "astronaut.png",
        "grace_hopper": _folder_of("matplotlib") / "mpl-data" / "sample_data" / "grace_hopper.jpg",
    }
    if not photos["grace_hopper"].is_file():  # distributions of Linux keep matplotlib's data elsewhere
        import matplotlib

        photos["grace_hopper"] = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    for name, path in photos.items():
        if not path.is_file():
            raise UserError(
                f"default photograph {name}: not at {path}: reinstall scikit-image and matplotlib"
            )
    return photos


def _folder_of(package: str) -> Path:
    """Where a package is installed, which is not imported for it."""
    found = importlib.util.find_spec(package)
    places = (found.submodule_search_locations if found else None) or [package]
    return Path(next(iter(places)))


def read_photo(path: str | Path) -> Photo:
    """Read a photograph as upright sRGB from 0 to 1.

    The EXIF rotation is applied, an embedded colour profile converted to sRGB, transparency laid over white;
    grey, palette, CMYK, 16-bit and floating-point pictures are converted; of several frames the first is read.
    HEIC is read where the package pillow-heif is installed.

    Args:
        path: The file.

    Returns:
        The photograph.

    Raises:
        UserError: It cannot be read; one line that names the file and the cause.
    """
    path = Path(path)
    reason = why_unreadable(path)
    if reason is not None:
        advice = ": name the photographs in it" if reason == A_FOLDER else ""
        raise UserError(f"{path}: {reason}{advice}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return photo_of_bytes(data, path)


def photo_of_bytes(data: bytes, path: str | Path) -> Photo:
    """Read a photograph as `read_photo` does, from the bytes of a picture that lay in a larger file.

    Args:
        data: The picture's bytes.
        path: What to call it.

    Returns:
        The photograph.

    Raises:
        UserError: As `read_photo`.
    """
    path = Path(path)
    try:
        image = _decode(data)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise UserError(
            f"{path}: {width}×{height} px: too small, at least {SMALLEST_SIDE} px a side are needed"
        )
    return Photo(image, path, path.stem)


def _decode(data: bytes) -> np.ndarray:
    with warnings.catch_warnings(), _readers_silent():
        warnings.simplefilter("ignore")  # Pillow warns about large pictures and odd EXIF; both are dealt with
        if _is_raw(data):
            raise UserError(
                "a camera's raw file, of which only a small preview could be read: develop it and save it as JPEG"
            )
        if data[4:12] in HEIC:
            _let_pillow_read_heic()
        if data.startswith(PNG):
            _check_png(data)
        try:
            picture = Image.open(io.BytesIO(data))
        except Image.DecompressionBombError as error:
            raise UserError(_too_large()) from error
        except Exception as error:  # broken headers raise many kinds
            if data[:4] in TIFF:
                return _decode_tiff(data)
            raise UserError(_what_it_is_instead(data)) from error
        if picture.width * picture.height > LARGEST_PIXELS:
            raise UserError(_too_large(f"{picture.width}×{picture.height} px"))
        try:
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
        except Exception as error:
            raise UserError(DAMAGED) from error
        return _to_rgb(picture)


@contextlib.contextmanager
def _readers_silent() -> Generator[None, None, None]:
    """Nothing is logged by the readers of pictures: tifffile has a line for each broken tag, and one error tells enough."""
    loggers = [logging.getLogger(name) for name in ("PIL", "tifffile")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _check_png(data: bytes) -> None:
    """Raises UserError where the checksum of a part is wrong, which Pillow passes over in the part with the pixels."""
    place = len(PNG)
    while data[place + 4 : place + 8] not in (b"IEND", b""):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if len(data) < end + 4 or zlib.crc32(data[place + 4 : end]) != int.from_bytes(
            data[end : end + 4], "big"
        ):
            raise UserError(DAMAGED)
        place = end + 4


def _to_rgb(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith("I") or picture.mode == "F":
        return _from_numbers(np.asarray(picture))
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        picture_rgb = Image.new("RGBA", layer.size, "white")
        picture_rgb.alpha_composite(layer)
        return _to_float(picture_rgb.convert("RGB"))
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "CMYK"):
        try:
            given, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, given, srgb, outputMode="RGB")
            if converted is not None:  # as it is where it was not asked to change the picture itself
                return _to_float(converted)
        except (ImageCms.PyCMSError, OSError):
            pass  # a damaged profile: read the numbers as sRGB
    return _to_float(picture.convert("RGB"))


def _to_float(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, np.float32) / np.float32(255)


def _from_numbers(values: np.ndarray) -> np.ndarray:
    """Pixels that are not bytes, (H, W) or (H, W, C): the white level is guessed from the type and the range."""
    if not np.isfinite(values).all():
        raise UserError("has pixels that are not numbers")
    top = values.max()
    if values.dtype.kind == "f" and top <= 1.5:
        white = 1.0
    else:
        # A type of one or two bytes has a largest value; the others end where the picture does.
        small = values.dtype.kind in "iu" and values.dtype.itemsize <= 2
        largest = np.iinfo(values.dtype).max if small else max(top, WHITE_LEVELS[-1])
        white = next((level for level in WHITE_LEVELS if top <= level < largest), largest)
    image = np.clip(values.astype(np.float32) / np.float32(white), 0, 1)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise UserError(f"has pixels of shape {values.shape}: expected grey or RGB")
    if image.shape[2] == 4:
        image = image[..., :3] * image[..., 3:] + 1 - image[..., 3:]
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def _decode_tiff(data: bytes) -> np.ndarray:
    """TIFF kinds that Pillow does not know, such as floating-point RGB."""
    import tifffile  # comes with scikit-image

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            if page.imagewidth * page.imagelength > LARGEST_PIXELS:
                raise UserError(_too_large(f"{page.imagewidth}×{page.imagelength} px"))
            turned = page.tags.get("Orientation")
            return _from_numbers(_upright(page.asarray(), 1 if turned is None else turned.value))
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            "a TIFF file that is damaged or of an unknown kind: save it as PNG or JPEG"
        ) from error


def _upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels (H, W, …) turned by the EXIF orientation 1 to 8; unknown ones leave them as they are."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values


def _is_raw(data: bytes) -> bool:
    """Whether it is the raw file of a camera. Most are TIFF files whose first picture is a small preview."""
    if data[:4] in RAW or data[:8] == b"FUJIFILM" or data[4:12] == b"ftypcrx ":
        return True
    if data[:4] not in TIFF:
        return False
    if data[8:10] == b"CR":  # Canon's CR2
        return True
    tags = _first_tags(data)
    # DNG has a tag for its version. NEF, ARW and others mark the first picture as a reduced one and list the real ones.
    return DNG_VERSION in tags or (tags.get(SUBFILE_TYPE, 0) & 1 == 1 and SUB_IFDS in tags)


def _first_tags(data: bytes) -> dict[int, int]:
    """Tag -> value, or the place of the value, in the first directory of a TIFF file; what is cut off is left out."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4) if len(data) >= 8 else (0,)
    if not 8 <= start <= len(data) - 2:
        return {}
    (count,) = struct.unpack_from(order + "H", data, start)
    rows = range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12)
    tags = {}
    for row in rows:
        tag, kind = struct.unpack_from(order + "HH", data, row)
        (tags[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, row + 8)
    return tags


def _let_pillow_read_heic() -> None:
    """Through the package pillow-heif, where it is installed."""
    with contextlib.suppress(ImportError):
        pillow_heif = importlib.import_module("pillow_heif")
        pillow_heif.register_heif_opener()


def _too_large(size: str = "") -> str:
    claim = f"{size}: " if size else ""
    return f"{claim}more than {LARGEST_PIXELS // 1_000_000} million pixels: save a smaller version"


def _what_it_is_instead(data: bytes) -> str:
    head = data[:512].lstrip().lower()
    if not data:
        return "is empty"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the image itself: run git lfs pull"
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page, not an image: download the image itself"
    if data[4:12] in HEIC:
        if importlib.util.find_spec("pillow_heif") is None:
            return "a HEIC photograph: install its reader with `pip install pillow-heif`, or save it as JPEG"
        return "a HEIC photograph that is truncated or damaged: copy or download it again"
    if head.startswith((b"\xff\xd8", b"\x89png", b"gif8")):
        return DAMAGED
    return "not an image (JPEG, PNG, TIFF, WebP, BMP and GIF are read)"
