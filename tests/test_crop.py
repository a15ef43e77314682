"""The authors' square: where it lies, and that points and camera follow it there and back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.crop import authors_crop, crop_face
from helpers.landmarks import Detection
from helpers.photo import default_photos, read_photo

GREY = np.full((60, 80, 3), 0.5, np.float32)


def face(low, high, box=None):
    """68 points that span the rectangle from `low` to `high`, with the detector's box given or the same."""
    points = np.random.default_rng(0).uniform(low, high, (68, 2))
    points[0], points[1] = low, high
    return Detection(np.float32([*low, *high] if box is None else box), points, 1.0, 0.0, "file")


def test_the_square_reaches_as_far_as_the_authors_factors_say():
    """Half the longer side is 50 px here, so each factor can be read off in the photograph."""
    crop = authors_crop(np.zeros((400, 400, 3)), face((160, 150), (240, 250)))
    edges = crop.to_photo(torch.tensor([[[-0.5, -0.5], [223.5, 223.5]]]))[0]
    expected = [[200 - 1.9255 * 50, 200 - 2.2591 * 50], [200 + 1.9423 * 50, 200 + 1.6087 * 50]]
    np.testing.assert_allclose(edges, expected, atol=1e-3)
    crop = authors_crop(np.zeros((400, 400, 3)), face((0, 0), (9, 9), box=(150, 170, 250, 230)), source="box")
    edges = crop.to_photo(torch.tensor([[[-0.5, -0.5], [223.5, 223.5]]]))[0]
    expected = [[200 - 1.785974 * 50, 200 - 1.951171 * 50], [200 + 1.8356 * 50, 200 + 1.670403 * 50]]
    np.testing.assert_allclose(edges, expected, atol=1e-3)


anywhere = st.tuples(st.floats(-60, 140), st.floats(-60, 120))


@settings(max_examples=60, deadline=None)
@given(
    anywhere,
    st.floats(3, 150),
    st.floats(0.3, 1.5),
    st.sampled_from(["landmarks", "box"]),
    st.sampled_from([64, 65, 224]),
)
def test_there_and_back(middle, half, aspect, source, size):
    """For faces of any size, anywhere, over the border too."""
    reach = np.array([half * aspect, half])
    found = face(middle - reach, middle + reach)
    crop = authors_crop(GREY, found, size, source)
    points = torch.as_tensor(found.points, dtype=torch.float32)[None]
    assert torch.allclose(crop.to_crop(points), crop.landmarks, atol=2e-2)
    assert torch.allclose(crop.to_photo(crop.to_crop(points)), points, atol=2e-3)
    assert (crop.landmarks > -0.5).all() and (crop.landmarks < size - 0.5).all()
    assert torch.allclose(crop.image[crop.valid > 0], torch.tensor(0.5), atol=1e-4)
    assert (crop.image[crop.valid == 0] == 0).all()
    # The share of the crop that is covered, against the overlap of two rectangles in the photograph.
    low, high = crop.to_photo(torch.tensor([[[-0.5, -0.5], [size - 0.5, size - 0.5]]]))[0].double()
    edge = torch.tensor([80, 60]) - 0.5
    overlap = (torch.minimum(high, edge) - torch.clamp(low, min=-0.5)).clamp(min=0).prod()
    assert float(crop.valid.double().mean()) == pytest.approx(float(overlap / (high - low).prod()), abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(-0.8, 0.8),
    st.floats(-60, 60),
    st.floats(500, 1500),
    st.floats(400, 2000),
    st.sampled_from([96, 224]),
)
def test_the_camera_follows(yaw, aside, distance, focal, size):
    """Project by the photograph's camera and move the pixels, or project by the crop's camera: the same."""
    double = torch.float64
    points = torch.randn(1, 68, 3, dtype=double, generator=torch.Generator().manual_seed(0)) * 40
    pose = Pose(
        torch.tensor([[0.1, yaw, -0.05]], dtype=double), torch.tensor([[aside, 20.0, distance]], dtype=double)
    )
    camera = Camera.default((60, 80), focal, dtype=double)
    in_camera = model_to_camera(points, pose)
    pixels = project(in_camera, camera)[..., :2]
    crop = authors_crop(GREY, Detection.from_points(pixels[0].numpy()), size).to(double)
    followed = crop.camera_of_crop(camera)
    assert followed.size == (size, size)
    assert torch.allclose(project(in_camera, followed)[..., :2], crop.to_crop(pixels), atol=1e-9)
    back = crop.camera_of_photo(followed, camera.size)
    assert back.size == camera.size
    assert torch.allclose(back.focal, camera.focal) and torch.allclose(
        back.principal_point, camera.principal_point
    )


def test_the_principal_point_leaves_the_middle():
    """A face at the photograph's edge is seen from aside; calling the crop's middle the camera's is an error."""
    crop = authors_crop(GREY, face((5, 5), (15, 15)))
    camera = crop.camera_of_crop(Camera.default((60, 80), 100.0))
    assert camera.focal[0] == pytest.approx(100 * float(crop.scale[0]))
    assert camera.principal_point[0, 0] > 224  # the photograph's middle lies outside of the crop
    assert torch.allclose(
        crop.to_photo(camera.principal_point[:, None])[0, 0], torch.tensor([39.5, 29.5]), atol=1e-3
    )


def test_a_dot_lands_where_its_point_goes():
    y, x = np.mgrid[:300, :260]
    dot = np.array([131.3, 147.8])
    image = np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / (2 * 3.0**2))[..., None].repeat(3, -1)
    crop = authors_crop(image, face((100, 100), (170, 180)))
    weight = crop.image[0, ..., 0].double().numpy() ** 2
    v, u = np.mgrid[:224, :224]
    centre = np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum()
    expected = crop.to_crop(torch.tensor(dot, dtype=torch.float32)[None, None])[0, 0]
    assert np.abs(centre - expected.numpy()).max() < 0.05


def test_photo_or_image_and_wrong_arguments():
    photo = read_photo(default_photos()["astronaut"])
    found = face((180, 70), (265, 180))
    one, other = authors_crop(photo, found, 64), authors_crop(photo.image, found, 64)
    assert torch.equal(one.image, other.image)
    narrow = crop_face(photo.image, found.points, 64)
    assert one.scale < narrow.scale * 1.1  # the authors' square is about as wide as ours
    with pytest.raises(ValueError, match="source"):
        authors_crop(photo, found, source="eyes")
    with pytest.raises(ValueError, match="span a face"):
        authors_crop(photo, face((50, 50), (50, 50)))
    with pytest.raises(ValueError, match="image"):
        authors_crop(GREY[..., 0], found)
