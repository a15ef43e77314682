"""The network and its loss."""

from __future__ import annotations

import torch

from helpers.regression import AsymmetricEuclideanLoss, PeopleSource, build_network, settings_of
from helpers.regression.data import StepBatches, step_loader
from helpers.regression.predict import for_speed
from helpers.regression.training import make_optimiser
from helpers.regression.validation import autocast, faster_precision
from tests.bench.registry import bench, best, faster


@bench
def asymmetric_loss_vs_mse() -> dict:
    """µs for value and gradient of a batch of 144, against torch's mean squared error."""
    generator = torch.Generator().manual_seed(0)
    guess = torch.randn(144, 198, generator=generator).requires_grad_()
    target = torch.randn(144, 198, generator=generator)

    def microseconds(loss) -> float:
        def work():
            for _ in range(50):
                torch.autograd.grad(loss(guess, target), guess)

        return 1e6 * best(work) / 50

    return faster(microseconds(AsymmetricEuclideanLoss()), "µs", microseconds(torch.nn.functional.mse_loss))


@bench
def resnet101_224_b8() -> dict:
    """ms a picture of ResNet-101 at 224 px, eight at once, in the fastest form whose answers are within 1e-2 of float32's;
    peer: the network as it is built. Networks as they come out of training are well scaled, so the check is relative."""
    torch.manual_seed(0)
    network = build_network("resnet101").eval()
    image = torch.rand(8, 224, 224, 3)
    with torch.inference_mode():
        wanted = network(image)
        forms = {"bfloat16": for_speed(network), "float32": for_speed(network, "float32")}
        right = [
            form
            for form in forms.values()
            if (form(image) - wanted).abs().max() < 1e-2 * wanted.abs().max().clamp(min=1)
        ]
        milliseconds = [1000 * best(lambda form=form: form(image), 3) / 8 for form in (*right, network)]
    return faster(min(milliseconds[:-1]), "ms", milliseconds[-1])


@bench
def loader_vs_training_step() -> dict:
    """Pictures a second that one worker draws of synthetic people; peer: how many a training step of the preset `quick` takes,
    on as many threads as torch has. The ratio is inverted, since more is better here."""
    settings = settings_of("quick")
    source = PeopleSource(2**31, size=settings.size)
    batches = iter(step_loader(StepBatches(source, settings.batch, 0), 0, 9, workers=1))
    image, target = next(batches)
    seconds = best(lambda: next(batches), 6)
    network = (
        build_network(settings.network, window=settings.window).to(memory_format=torch.channels_last).train()
    )
    optimiser, loss = make_optimiser(network, settings), AsymmetricEuclideanLoss()
    precision = faster_precision(torch.device("cpu"))

    def step():
        with autocast(torch.device("cpu"), precision):
            guess = network(image.float() / 255)
        optimiser.zero_grad()
        loss(guess.float(), target).backward()
        optimiser.step()

    drawn, taken = settings.batch / seconds, settings.batch / best(step, 3)
    return {"value": drawn, "unit": "pictures/s", "peer": taken, "ratio": drawn / taken}
