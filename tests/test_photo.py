"""Photographs of every kind become upright sRGB, or one line that says what is wrong."""

import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers import photo as photo_module
from helpers.errors import UserError
from helpers.photo import crop_face, default_photos, read_photo, stack_crops

H, W = 80, 100


@pytest.fixture(scope="module")
def picture():
    """Smooth, with a different colour in every corner: any turn or flip of it is another picture."""
    y, x = np.mgrid[:H, :W].astype(np.float32)
    return np.stack([x / (W - 1), y / (H - 1), 0.5 + 0.4 * np.sin(x / 9 + y / 13)], -1)


def as_bytes(picture):
    return (picture * 255 + 0.5).astype(np.uint8)


TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),  # stored so that turning it clockwise by 90° shows it upright
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_undone(tmp_path, picture, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(TURNS[orientation](as_bytes(picture)))
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    photo = read_photo(tmp_path / "a.png")
    assert photo.size == (H, W) and photo.name == "a"
    np.testing.assert_array_equal(photo.image, as_bytes(picture) / np.float32(255))


def test_kinds_of_colour(tmp_path, picture):
    rgb, grey = Image.fromarray(as_bytes(picture)), picture[..., 2]
    shown = {}

    def read(image, name, **options):
        image.save(tmp_path / name, **options)
        shown[name] = read_photo(tmp_path / name).image
        assert shown[name].dtype == np.float32 and shown[name].shape == (H, W, 3)
        assert shown[name].min() >= 0 and shown[name].max() <= 1
        return shown[name]

    assert np.abs(read(rgb, "rgb.jpg", quality=98) - picture).max() < 0.06
    assert np.abs(read(rgb.convert("CMYK"), "cmyk.tif") - picture).max() < 0.01
    assert np.abs(read(rgb.convert("CMYK"), "cmyk.jpg", quality=98) - picture).mean() < 0.02
    assert np.abs(read(rgb.quantize(256), "palette.png") - picture).mean() < 0.06
    grey16 = Image.fromarray((grey * 65535 + 0.5).astype(np.uint16))
    assert np.abs(read(grey16, "grey16.png") - grey[..., None]).max() < 1e-4
    assert np.abs(read(Image.fromarray(as_bytes(grey)), "grey.png") - grey[..., None]).max() < 0.003
    assert np.abs(read(Image.fromarray(grey), "float.tif") - grey[..., None]).max() < 1e-6
    assert np.abs(read(Image.fromarray(grey * 255), "float255.tif") - grey[..., None]).max() < 1e-2


def test_transparency_is_laid_over_white(tmp_path, picture):
    alpha = np.full((H, W, 1), 255, np.uint8)
    alpha[:, : W // 2] = 0
    Image.fromarray(np.concatenate([as_bytes(picture), alpha], -1)).save(tmp_path / "a.png")
    image = read_photo(tmp_path / "a.png").image
    assert (image[:, : W // 2] == 1).all()
    np.testing.assert_allclose(image[:, W // 2 :], picture[:, W // 2 :], atol=0.003)


def test_floating_point_rgb_and_16_bit_rgb_tiff(tmp_path, picture):
    import tifffile

    tifffile.imwrite(tmp_path / "f.tif", picture, photometric="rgb")
    np.testing.assert_allclose(read_photo(tmp_path / "f.tif").image, picture, atol=1e-6)
    tifffile.imwrite(tmp_path / "i.tif", (picture * 65535).astype(np.uint16), photometric="rgb")
    np.testing.assert_allclose(read_photo(tmp_path / "i.tif").image, picture, atol=0.005)
    picture = picture.copy()
    picture[3, 4] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", picture, photometric="rgb")
    with pytest.raises(UserError, match="not numbers"):
        read_photo(tmp_path / "nan.tif")


def test_unusable_files_give_one_line(tmp_path, picture):
    Image.fromarray(as_bytes(picture)).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    cases = {
        "page.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        "pointer.png": (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "git lfs pull",
        ),
        "text.jpg": (b"hello, I am no picture", "not an image"),
        "empty.jpg": (b"", "is empty"),
        "cut.jpg": (whole[: len(whole) // 2], "truncated"),
        "head.jpg": (whole[:20], "truncated"),
        "phone.heic": (b"\0\0\0\x18ftypheic" + b"\0" * 40, "HEIC"),
        "bad.tif": (b"II*\0" + b"\xff" * 40, "TIFF"),
    }
    for name, (data, cause) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=cause) as caught:
            read_photo(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    for path, cause in ((tmp_path / "none.jpg", "no such file"), (tmp_path, "folder")):
        with pytest.raises(UserError, match=cause):
            read_photo(path)


def test_what_is_no_file_is_said_before_it_is_opened(tmp_path):
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with pytest.raises(UserError, match="loop.png: cannot be read: Too many levels"):
        read_photo(tmp_path / "loop.png")
    with pytest.raises(UserError, match="cannot be read: File name too long"):
        read_photo(tmp_path / ("a" * 300 + ".png"))
    with pytest.raises(UserError, match="no such file"):
        read_photo("a\0.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(UserError, match="pipe.png: is a pipe"):
            read_photo(tmp_path / "pipe.png")


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_fewer_bits_stored_in_16(tmp_path, picture, bits):
    top = 2**bits - 1
    grey = np.round(picture[..., 0] * top).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_allclose(read_photo(tmp_path / "grey.png").image[..., 1], grey / top, atol=1e-6)


@pytest.mark.parametrize("orientation", TURNS)
def test_the_orientation_of_a_tiff_that_pillow_cannot_read(tmp_path, picture, orientation):
    import tifffile

    stored = np.ascontiguousarray(TURNS[orientation](picture.astype(np.float32)))
    tag = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "f.tif", stored, photometric="rgb", extratags=tag)
    np.testing.assert_allclose(read_photo(tmp_path / "f.tif").image, picture, atol=1e-6)


def test_the_preview_in_a_raw_file_is_not_taken_for_the_photograph(tmp_path, picture):
    import tifffile

    preview, sensor = as_bytes(picture), np.zeros((4 * H, 4 * W), np.uint16)
    for name, tags in (("photo.dng", [(50706, "B", 4, bytes([1, 4, 0, 0]), True)]), ("photo.nef", [])):
        with tifffile.TiffWriter(tmp_path / name) as file:
            file.write(preview, photometric="rgb", subifds=1, subfiletype=1, extratags=tags)
            file.write(sensor, photometric="minisblack", subfiletype=0)
    (tmp_path / "photo.raf").write_bytes(b"FUJIFILMCCD-RAW 0201" + b"\0" * 200)
    for name in ("photo.dng", "photo.nef", "photo.raf"):
        with pytest.raises(UserError, match=f"{name}: a camera's raw file"):
            read_photo(tmp_path / name)
    # Several pictures in one file are no raw file: the first is read.
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([preview, preview]), photometric="rgb")
    assert read_photo(tmp_path / "pages.tif").size == (H, W)


def test_heic(tmp_path, picture):
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    pillow_heif.from_pillow(Image.fromarray(as_bytes(picture))).save(tmp_path / "a.heic", quality=95)
    assert np.abs(read_photo(tmp_path / "a.heic").image - picture).mean() < 0.02


def test_too_small_and_too_large(tmp_path, monkeypatch):
    Image.new("RGB", (20, 20)).save(tmp_path / "small.png")
    with pytest.raises(UserError, match="20×20 px: too small"):
        read_photo(tmp_path / "small.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "enough.png")
    assert read_photo(tmp_path / "enough.png").size == (64, 64)
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")  # 50 kB on disk, 4.8 GB as floats
    with pytest.raises(UserError, match="million pixels"):
        read_photo(tmp_path / "bomb.png")
    monkeypatch.setattr(photo_module, "LARGEST_PIXELS", 1000)
    with pytest.raises(UserError, match="64×64 px: more than"):
        read_photo(tmp_path / "enough.png")


def test_default_photos_are_there():
    photos = default_photos()
    assert list(photos) == ["astronaut", "grace_hopper"]
    assert read_photo(photos["astronaut"]).size == (512, 512)
    assert read_photo(photos["grace_hopper"]).size == (600, 512)


def some_points(centre=(50, 40), half=(14, 20)):
    """68 points in a box of the given centre and half size, with its corners taken."""
    points = np.random.default_rng(0).uniform(-1, 1, (68, 2))
    points[0], points[1] = (-1, -1), (1, 1)
    return points * half + centre


def test_crop_holds_the_face_as_the_recipe_says(picture):
    crop = crop_face(picture, some_points(), 224)
    assert crop.image.shape == (1, 224, 224, 3) and crop.valid.shape == (1, 224, 224)
    low, high = crop.landmarks[0].amin(0), crop.landmarks[0].amax(0)
    assert torch.allclose((high - low).max(), torch.tensor(112.0), atol=1e-3)
    middle = (low + high) / 2
    assert torch.allclose(middle, torch.tensor([111.5, 111.5 + 0.06 * 224]), atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-50, 150), y=st.floats(-50, 150), half=st.floats(2, 200), size=st.sampled_from([64, 65, 224])
)
def test_crop_to_photo_and_back(x, y, half, size):
    points = some_points((x, y), (half * 0.8, half))
    crop = crop_face(np.ones((90, 70, 3), np.float32), points, size)
    photo = torch.as_tensor(points, dtype=torch.float32)[None]
    assert torch.allclose(crop.to_crop(photo), crop.landmarks, atol=2e-2)
    assert torch.allclose(crop.to_photo(crop.landmarks), photo, atol=2e-2)
    assert crop.image.isfinite().all() and 0 <= crop.valid.min() and crop.valid.max() <= 1
    assert torch.allclose(crop.image[crop.valid > 0], torch.tensor(1.0), atol=1e-4)
    assert (crop.image[crop.valid == 0] == 0).all()


@pytest.mark.parametrize("half", [15, 30, 57.3, 200, 410])  # from 3.7 times enlarged to 7.3 times shrunk
def test_a_dot_lands_where_its_point_goes(half):
    dot = np.array([401.3, 377.8])
    y, x = np.mgrid[:900, :800]
    sigma = max(2.0, half / 20)
    image = np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / (2 * sigma**2))[..., None].repeat(3, -1)
    points = some_points((395, 380), (half * 0.7, half))
    points[5] = dot
    crop = crop_face(image, points, 224)
    weight = crop.image[0, ..., 0].double().numpy() ** 2
    v, u = np.mgrid[:224, :224]
    centre = np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum()
    assert np.abs(centre - crop.landmarks[0, 5].numpy()).max() < 0.05


def test_ramps_stay_ramps_and_stripes_do_not_alias():
    y, x = np.mgrid[:400, :400].astype(np.float32)
    points = some_points((200, 200), (70, 80))
    crop = crop_face(np.stack([x, y, 0 * x], -1) / 400, points, 100)
    u = torch.arange(100.0)
    grid = torch.stack(torch.meshgrid(u, u, indexing="xy"), -1).view(1, -1, 2)
    expected = crop.to_photo(grid).view(100, 100, 2) / 400
    assert torch.allclose(crop.image[0, ..., :2], expected, atol=1e-4)
    stripes = np.repeat((x % 2)[..., None], 3, -1)
    inner = crop_face(stripes, points, 100).image[0, 5:-5, 5:-5]
    assert (inner - 0.5).abs().max() < 0.05


def test_beyond_the_edge_is_marked(picture):
    crop = crop_face(picture, some_points((5, 40), (14, 20)), 80)  # one photograph pixel a crop pixel
    outside = crop.to_photo(torch.tensor([[[20.0, 40.0]]]))[0, 0, 0]
    assert outside < -10 and crop.valid[0, 40, 20] == 0 and crop.valid[0, 40, 60] == 1
    share = crop.valid[0, 40].sum()
    edge = crop.to_crop(torch.tensor([[[-0.5, 0.0]]]))[0, 0, 0]
    assert torch.allclose(share, 80 - 0.5 - edge, atol=1e-3)


def test_stacking_and_wrong_arguments(picture):
    crop = crop_face(picture, some_points(), 64)
    both = stack_crops([crop, crop])
    assert len(both) == 2 and both.origin.shape == (2, 2) and both.scale.shape == (2,)
    assert both.to(torch.float64).image.dtype == torch.float64
    for bad in (np.zeros((68, 3)), np.full((68, 2), np.nan), np.zeros((68, 2))):
        with pytest.raises(ValueError, match="points"):
            crop_face(picture, bad)
    far = some_points()
    far[3] = 1e8
    with pytest.raises(ValueError, match="not of this photograph"):
        crop_face(picture, far)
    with pytest.raises(ValueError, match="image"):
        crop_face(picture[..., 0], some_points())
    with pytest.raises(ValueError, match="at least one"):
        stack_crops([])


def test_colour_profiles(tmp_path, picture):
    from PIL import ImageCms

    rgb = Image.fromarray(as_bytes(picture))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, profile in (("same.png", srgb), ("damaged.png", b"no profile at all")):
        rgb.save(tmp_path / name, icc_profile=profile)
        assert np.abs(read_photo(tmp_path / name).image - picture).max() < 0.01
    # A profile whose red, green and blue change places must be obeyed: the red column says where red lies.
    swapped = bytearray(srgb)
    at = swapped.find(b"rXYZ", 128)
    other = swapped.find(b"bXYZ", 128)
    swapped[at : at + 4], swapped[other : other + 4] = b"bXYZ", b"rXYZ"
    rgb.save(tmp_path / "swapped.png", icc_profile=bytes(swapped))
    assert np.abs(read_photo(tmp_path / "swapped.png").image - picture[..., ::-1]).mean() < 0.03
