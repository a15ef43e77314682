"""Networks: their shapes and weights, their file, their fast form, and torchvision beside a CPU build of torch."""

import subprocess
import sys

import pytest
import torch

from helpers import _torchvision
from helpers.crop import FaceCrop, authors_crop
from helpers.errors import UserError
from helpers.landmarks import stored_points
from helpers.photo import default_photos, read_photo
from helpers.regression import build_network, load_network, save_network
from helpers.regression.network import IMAGE_MEAN, IMAGE_STD
from helpers.regression.network_file import eight_bits
from helpers.regression.predict import for_speed, resized


@pytest.mark.slow
def test_torchvision_loads_in_a_fresh_process():
    code = "from helpers._torchvision import torchvision as t; print(t().models.resnet18().fc.out_features)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.strip() == "1000", done.stderr


def test_other_troubles_of_torchvision_are_one_line(monkeypatch):
    for trouble, word in (
        (ImportError("no module"), "pip install"),
        (RuntimeError("built for another torch"), "goes with torch"),
    ):

        def fail(trouble=trouble):
            raise trouble

        monkeypatch.setattr(_torchvision, "_imported", fail)
        _torchvision.torchvision.cache_clear()
        with pytest.raises(UserError, match=word):
            _torchvision.torchvision()
    monkeypatch.undo()
    _torchvision.torchvision.cache_clear()


@pytest.mark.parametrize(
    ("name", "millions"), [("small", 0.3), ("resnet18", 11.2), ("resnet50", 23.5), ("resnet101", 42.5)]
)
def test_networks_say_as_many_numbers_as_asked(name, millions):
    network = build_network(name, 7).eval()
    with torch.inference_mode():
        assert network(torch.rand(2, 64, 64, 3)).shape == (2, 7)
    assert network.outputs == 7
    # Known sizes of the backbones without their 1000 classes, in millions of parameters.
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.03)
    assert network.backbone.fc.weight.std() < 0.02  # so that the first guess is near the mean face


def test_a_mean_image_is_taken_from_bgr_bytes_and_kept_in_the_file(tmp_path):
    network = build_network("small", 3, window=0.5).eval()
    images = torch.rand(4, 64, 64, 3)
    network.set_mean_image(images)
    cut = images[:, 16:48, 16:48, [2, 1, 0]].permute(0, 3, 1, 2)
    torch.testing.assert_close(network(images), network.backbone(255 * cut - 255 * cut.mean(0)))
    save_network(tmp_path / "network.pt", network, "small", 64)
    again = load_network(tmp_path / "network.pt").module
    torch.testing.assert_close(again.mean_image, network.mean_image, atol=1.0, rtol=0)
    with pytest.raises(ValueError, match="mean image has 32 px"):
        network(torch.rand(1, 40, 40, 3))


def test_colours_are_brought_in_order_inside():
    network = build_network("small", 3).eval()
    image = torch.rand(2, 40, 40, 3)
    by_hand = torch.stack([(image[..., c] - IMAGE_MEAN[c]) / IMAGE_STD[c] for c in range(3)], 1)
    assert torch.allclose(network(image), network.backbone(by_hand), atol=1e-5)


def test_a_window_leaves_the_rim_out():
    torch.manual_seed(0)
    network = build_network("small", 3, window=0.6).eval()
    image = torch.rand(1, 40, 40, 3)
    other = image.clone()
    other[:, :8], other[:, 32:], other[:, :, :8], other[:, :, 32:] = 0, 0, 0, 0
    assert torch.equal(network(image), network(other))
    other[:, 9, 9] = 1 - other[:, 9, 9]
    assert not torch.equal(network(image), network(other))


def test_small_treats_every_image_alone():
    network = build_network("small", 5).train()
    image = torch.rand(4, 32, 32, 3)
    assert torch.allclose(network(image)[:2], network(image[:2]), atol=1e-5)


def test_bad_requests_say_what_to_do(tmp_path, monkeypatch):
    for wrong, words in (
        (dict(name="resnet19"), "resnet18, resnet50"),
        (dict(name="resnet18", outputs=0), "at least 1"),
        (dict(name="resnet18", weights="faces"), "imagenet"),
        (dict(name="small", weights="imagenet"), "no ImageNet weights"),
    ):
        with pytest.raises(UserError, match=words):
            build_network(**wrong)
    with pytest.raises(ValueError, match="window"):
        build_network("small", window=0.1)
    with pytest.raises(ValueError, match="B, S, S, 3"):
        build_network("small")(torch.rand(1, 3, 32, 32))

    def offline(*args, **kwargs):
        raise OSError("no net")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(UserError, match=f"{tmp_path}.*--weights none"):
        build_network("resnet18", weights="imagenet")


@pytest.mark.parametrize("content", [b"", b"garbage", "resnet34", "evil"])
def test_a_file_of_other_weights_is_named_and_never_run(content, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    models = _torchvision.torchvision().models
    file = tmp_path / "hub" / "checkpoints" / models.ResNet18_Weights.DEFAULT.url.rsplit("/", 1)[-1]
    file.parent.mkdir(parents=True)
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(Ran() if content == "evil" else models.resnet34().state_dict(), file)
    with pytest.raises(UserError, match=f"{file.name}: cut short, or not torchvision's resnet18: delete it"):
        build_network("resnet18", weights="imagenet")


def test_weights_at_hand_are_used(monkeypatch):
    """ImageNet's weights go into all layers but the last, without being looked at again."""
    torch.manual_seed(1)
    given = _torchvision.torchvision().models.resnet18().state_dict()
    known = _torchvision.torchvision().models.ResNet18_Weights
    monkeypatch.setattr(known, "get_state_dict", lambda self, **options: given)
    network = build_network("resnet18", 7, weights="imagenet")
    own = network.backbone.state_dict()
    assert all(torch.equal(own[name], value) for name, value in given.items() if not name.startswith("fc."))
    assert own["fc.weight"].shape == (7, 512)


def test_the_fast_form_says_the_same():
    torch.manual_seed(0)
    network = build_network("resnet18", 9).eval()
    for module in network.modules():  # running means as after training, and a last layer that says something
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    image = torch.rand(2, 64, 64, 3)
    with torch.inference_mode():
        wanted = network(image)
        assert wanted.std() > 0.01
        assert torch.allclose(for_speed(network, "float32")(image), wanted, atol=1e-4)
        fast = for_speed(network, "bfloat16")(image)
    assert fast.dtype == torch.float32 and (fast - wanted).norm() < 0.05 * wanted.norm()
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in for_speed(network).modules())
    assert any(
        isinstance(m, torch.nn.BatchNorm2d) for m in network.modules()
    )  # the original is left as it was


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(3)
    network = build_network("small", 198, window=0.7).eval()
    path = tmp_path / "network.pt"
    save_network(path, network, "small", 48, {"steps": 5}, torch.ones(198))
    return path, network


def test_a_file_gives_the_network_back(saved):
    path, network = saved
    torch.manual_seed(0)
    before = torch.rand(1)
    torch.manual_seed(0)
    loaded = load_network(path)
    assert torch.equal(torch.rand(1), before)  # loading uses up no random numbers
    image = torch.rand(3, 48, 48, 3)
    guess = loaded.predict(image)
    with torch.inference_mode():
        wanted = network(image)
    found = torch.cat([guess.alpha, guess.beta], 1)
    assert (found - wanted).norm() < 0.03 * wanted.norm()  # eight bits a weight
    assert guess.expression.shape == (3, 30) and not guess.expression.any()
    assert (loaded.size, loaded.name, loaded.about, loaded.outputs) == (48, "small", {"steps": 5}, 198)
    assert path.stat().st_size < 1.3 * sum(p.numel() for p in network.parameters())


def test_files_of_before_deflation_are_read_and_what_cannot_be_inflated_is_refused(tmp_path):
    network = build_network("small", 3).eval()
    path = tmp_path / "network.pt"
    save_network(path, network, "small", 48)
    now = load_network(path).module.state_dict()
    content = torch.load(path, weights_only=True)
    packed = content["weights"]["backbone.fc.weight"]
    content["weights"] = {
        name: eight_bits(value) if value.dim() > 1 else value.half()
        for name, value in network.state_dict().items()
    }
    torch.save(content, path)
    before = load_network(path).module.state_dict()
    assert all(torch.equal(before[name], value) for name, value in now.items())
    for wrong in (
        packed | {"shape": torch.tensor([3, 5])},
        packed | {"deflated": packed["deflated"][:9]},
        {},
    ):
        content["weights"]["backbone.fc.weight"] = wrong
        torch.save(content, path)
        with pytest.raises(UserError, match=r"network\.pt: its weights"):
            load_network(path)


def test_eight_bits_are_within_half_a_step():
    weight = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(1)) * torch.logspace(
        -3, 1, 5
    ).view(-1, 1, 1, 1)
    weight[2] = 0
    packed = eight_bits(weight)
    off = packed["int8"].float() * packed["scale"].view(-1, 1, 1, 1) - weight
    assert packed["int8"].dtype == torch.int8 and packed["scale"].shape == (5,)
    step = weight.flatten(1).abs().amax(1) / 127
    assert (off.flatten(1).abs().amax(1) <= 0.501 * step + 1e-12).all() and (off[2] == 0).all()


def test_it_takes_crops_of_any_size_photographs_and_detections(saved):
    loaded = load_network(saved[0])
    photo, face = read_photo(default_photos()["astronaut"]), stored_points("astronaut")
    crop = authors_crop(photo, face, 48)
    assert isinstance(crop, FaceCrop)
    wanted = loaded.predict(crop.image).alpha
    assert torch.equal(loaded.predict(crop).alpha, wanted) and torch.equal(
        loaded.predict(photo, face).alpha, wanted
    )
    large = loaded.predict(authors_crop(photo, face, 96).image).alpha
    assert (large - wanted).norm() < 0.2 * wanted.norm()
    with pytest.raises(ValueError, match="B, S, S, 3"):
        loaded.predict(torch.rand(48, 48, 3))


def test_resampling_keeps_places_and_means():
    image = torch.zeros(1, 64, 64, 3)
    image[:, 16:32, 40:56] = 1
    small = resized(image, 32)
    assert small[0, 8:16, 20:28].min() > 0.6 and float(small.mean()) == pytest.approx(
        float(image.mean()), rel=0.02
    )
    assert resized(image, 64) is image


def test_files_that_are_none(tmp_path, saved):
    with pytest.raises(UserError, match="no such network"):
        load_network(tmp_path / "missing.pt")
    for content in (b"", b"not a network at all", saved[0].read_bytes()[:1000]):
        (tmp_path / "bad.pt").write_bytes(content)
        with pytest.raises(UserError, match=r"bad\.pt"):
            load_network(tmp_path / "bad.pt")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="no network of this version"):
        load_network(tmp_path / "other.pt")
    content = torch.load(saved[0], weights_only=True)
    torch.save({**content, "outputs": 20}, tmp_path / "misfit.pt")
    with pytest.raises(UserError, match="do not fit"):
        load_network(tmp_path / "misfit.pt")


class Ran:
    def __reduce__(self):
        return exec, ("raise SystemExit('code in the file was run')",)


def test_nothing_in_a_file_is_run(tmp_path):
    torch.save({"version": 1, "weights": Ran()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="cannot be read"):
        load_network(tmp_path / "evil.pt")


def test_weights_that_are_no_numbers_are_not_written(tmp_path):
    network = build_network("small", 4)
    network.backbone.fc.bias.data[0] = torch.nan
    with pytest.raises(UserError, match="not a number"):
        save_network(tmp_path / "n.pt", network, "small", 48)
    assert not (tmp_path / "n.pt").exists()
