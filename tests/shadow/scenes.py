"""What computes, as functions of a device. Each returns tensors, in any nesting, that do not depend on the device."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from helpers._warp import fill, wp
from helpers.camera import Camera, OrthographicCamera, Pose, model_to_camera, project
from helpers.crop import FaceCrop
from helpers.datasets import ForeignPeople, Nuisances, SyntheticPeople
from helpers.evaluation import (
    depth_errors,
    depth_map,
    face_regions,
    landmark_nme,
    make_pairs,
    normal_error,
    per_region,
    represent,
    shape_rmse,
    verify,
)
from helpers.evaluation.compare_methods import identify, recognise, shape_table, single, spread
from helpers.face_encoder import CHIP_SIDE, FaceEncoder, face_chips
from helpers.face_model import MorphableModel, align, build_model, crop, load, save
from helpers.fitting import (
    FacePrior,
    FitModel,
    FitSettings,
    fit,
    fit_person,
    posterior_samples,
    render_state,
    state_of,
)
from helpers.fitting import vertex_sigma as sigma_of_vertices
from helpers.fitting.energy import Equations
from helpers.fitting.held_fit import held_fit
from helpers.fitting.uncertainty import posterior_covariance
from helpers.labelling import label
from helpers.labelling.configuration import quick_settings
from helpers.labelling.rows import read_rows
from helpers.lighting import ColourTransform, PhongLight
from helpers.painting import paint_fit
from helpers.pooling import RULES, pool
from helpers.pose import estimate_pose
from helpers.pose.kernels import Answer
from helpers.rasterizer import interpolate, rasterize
from helpers.regression import Augmentation, TensorSource, augment, build_network, load_network, train
from helpers.regression.metrics import measures
from helpers.regression.validation import ShapeScale, spread_on
from helpers.rendering import render, vertex_normals
from helpers.show.cells import CELLS, CellsOn
from helpers.show.faces import error_heads, heads
from helpers.show.fitting import state_overlay
from helpers.show.playground.drawing import Sketch
from helpers.show.playground.face import Face
from helpers.show.playground.look import Look
from helpers.show.pose import head_over
from helpers.show.rendering import depth_colours, normal_colours
from helpers.show.sliders import PoseGame, modes_table
from tests.regression.pictures import FEW

Scene = Callable[[str], Any]
SCENES: dict[str, Scene] = {}
# What looks at the shadow itself, and means nothing on a GPU.
OF_THE_SHADOW = ("what_a_gpu_refuses",)


def scene(work: Scene) -> Scene:
    """Put a function into the list."""
    SCENES[work.__name__] = work
    return work


# --- what several scenes share -------------------------------------------------------------------------------------------


@functools.cache
def model_on(device: str) -> MorphableModel:
    return load("open", level=0, device=device)


def seeded(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def uniform(*shape: int, device: str, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=seeded(seed)).to(device)


@functools.cache
def _photographs(n: int) -> tuple[Tensor, Tensor]:
    drawn = SyntheticPeople(model_on("cpu"), n, 1, seed=4, size=96, framing="fit").batch(torch.arange(n))
    return drawn.image, drawn.landmarks


def photographs(device: str, n: int = 2) -> tuple[Tensor, Tensor]:
    """(n, 96, 96, 3) and (n, 68, 2)."""
    image, landmarks = _photographs(n)
    return image.to(device), landmarks.to(device)


def whole_photograph(device: str) -> FaceCrop:
    """A crop that is all of a photograph."""
    image, landmarks = photographs(device, 1)
    scale, origin = torch.ones(1, device=device), torch.zeros(1, 2, device=device)
    return FaceCrop(image, torch.ones_like(image[..., 0]), landmarks, scale, origin)


def posed(device: str, n: int = 2, size: int = 48) -> SimpleNamespace:
    """Faces before a camera."""
    model = model_on(device)
    who = model.sample(n, generator=seeded(3), expression_strength=0.5)
    turns = torch.tensor([[0.1, 0.4, 0.05], [-0.1, -0.7, 0.0], [0.0, 0.0, 0.3]])[:n].to(device)
    return SimpleNamespace(
        model=model,
        vertices=model.shape(who.alpha, who.expression),
        triangles=model.triangles,
        albedo=model.texture(who.beta),
        pose=Pose(turns, torch.tensor([[0.0, 0.0, 900.0]]).repeat(n, 1).to(device)),
        camera=Camera.default(size, focal=1000 * size / 224, batch=n, device=device),
    )


def harmonics(device: str, n: int) -> Tensor:
    light = 0.2 * torch.randn(n, 9, 3, generator=seeded())
    light[:, 0] += 0.7
    return light.to(device)


def fast(**changes: Any) -> FitSettings:
    return replace(quick_settings(), **changes)


def fitted(device: str, settings: FitSettings | None = None, n: int = 2, **more: Any) -> Any:
    image, landmarks = photographs(device, n)
    return fit(image, landmarks, model_on(device), settings=settings or fast(), **more)


def command(*words: object) -> None:
    """A command of the course, which must not fail."""
    from helpers.__main__ import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main([str(word) for word in words])
    assert status == 0, said.getvalue()


def fitted_columns(folder: Path) -> dict[str, list]:
    return {name: column for name, column in read_rows(folder).to_pydict().items() if name != "seconds"}


# --- the shadow itself ---------------------------------------------------------------------------------------------------


@scene
def what_a_gpu_refuses(device):
    there, here = torch.ones(3, 2, device=device), torch.ones(3, 2)
    corners = torch.zeros(2, 1, 2, dtype=torch.long)
    mixed = fill(Answer, pose=wp.from_torch(there), code=wp.from_torch(corners.flatten().int()))
    kernel = SimpleNamespace(key="kernel", adj=SimpleNamespace(args=[SimpleNamespace(label="answer")]))
    on_cpu = dict(device="cpu") if device != "cpu" else dict(device="cuda:0")
    calls = {
        "both": lambda: there + here,
        "product": lambda: there @ here.T,
        "joined": lambda: torch.cat([there, here]),
        "read at": lambda: here[corners[0, 0].to(device)],
        "written in place": lambda: here.add_(there),
        "numpy": lambda: np.asarray(there),
        "another device's generator": lambda: torch.rand(3, generator=seeded(), device=device),
        "whole numbers": lambda: there.long() @ there.long().T,
        "pinned": lambda: there.pin_memory(),
        "launch": lambda: wp.launch(kernel, 3, inputs=[wp.from_torch(there)], **on_cpu),
        "launch with a struct": lambda: wp.launch(kernel, 3, inputs=[mixed], device=device),
    }
    refused = set()
    for name, call in calls.items():
        try:
            if device != "cpu":
                call()
        except Exception as error:
            assert type(error).__name__ == "Refused" or name == "numpy", f"{name}: {error!r}"
            refused.add(name)
    assert device == "cpu" or refused == set(calls), set(calls) - refused
    number = torch.tensor(2.0)
    return there * number, there[corners[0, 0]], there.cpu().numpy(), f"{there.sum():.1f}", there.tolist()


# --- the face model ------------------------------------------------------------------------------------------------------


@scene
def model_and_its_faces(device):
    model = load("open", level=0, device=device)
    who = model.sample(3, generator=seeded(), expression_strength=1.0)
    faces = model.shape(who.alpha, who.expression), model.shape(who.alpha[:, :4]), model.texture(who.beta)
    assert model.sample(2).alpha.device == model.mean_shape.device
    return model, who, faces, model.whole_head


@scene
def model_in_float64(device):
    model = model_on(device).to(torch.float64)
    return model, model.shape(torch.ones(1, 3, dtype=torch.float64, device=device))


@scene
def models_made_of_models(device):
    model = model_on(device)
    heads = model.shape(model.sample(12, generator=seeded()).alpha)
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder) / "model.h5")
        back = load(Path(folder) / "model.h5", device=device)
    built = build_model(heads, model.triangles, landmarks=model.landmarks, masks=model.masks)
    small = crop(model, radius_mm=60.0, centre=model.mean_shape[5])
    few = crop(model, vertices=range(500)), crop(model, vertices=model.masks["skin"] > 0.5)
    return back.shape_std, built, small, few, align(heads, "similarity")


# --- drawing -------------------------------------------------------------------------------------------------------------


@scene
def rasters(device):
    face, found = posed(device, 3), {}
    points = project(model_to_camera(face.vertices, face.pose), face.camera)
    for cull in (False, True):
        for perspective in (False, True):
            options = dict(cull_backfaces=cull, perspective=perspective)
            found[f"face {options}"] = rasterize(points, face.triangles, (48, 48), **options)
    # Large triangles, which cross the near plane and lie partly beside the image; and many at one depth.
    points = uniform(2, 60, 3, device=device) * 300 - 100
    triangles = torch.randint(0, 60, (200, 3), generator=seeded(), dtype=torch.int32).to(device)
    found["large"] = rasterize(points, triangles, (70, 90))
    found["level"] = rasterize((points / 30).round() * 30, triangles, (70, 90), perspective=False)
    found["twin"] = rasterize(points, triangles, (70, 90), backend="torch")
    return found


@scene
def triangles_left_on_the_cpu(device):
    face, triangles = posed(device), model_on("cpu").triangles
    points = project(model_to_camera(face.vertices, face.pose), face.camera)
    raster = rasterize(points, triangles, (48, 48))
    drawn = render(face.vertices, triangles, face.albedo, face.pose, face.camera, antialias=True)
    return raster, interpolate(face.albedo, triangles, raster, points), drawn


@scene
def renderings(device):
    face = posed(device)
    light, lamp = harmonics(device, 2), PhongLight.defaults(2, device=device)
    colour = ColourTransform.identity(2, device=device)
    back = uniform(1, 48, 48, 3, device=device)
    flat = OrthographicCamera.like(face.camera, face.pose.translation[:, 2])

    def draw(camera=face.camera, light=None, **options):
        return render(face.vertices, face.triangles, face.albedo, face.pose, camera, light, **options)

    return {
        "plain": draw(),
        "harmonics": draw(light=light, background=back),
        "fine": draw(light=light, supersample=2),
        "lamp": draw(light=lamp, antialias=True),
        "shadows": draw(light=lamp, shadows=True, colour=colour, supersample=2),
        "smooth": draw(light=light, antialias=True, cull_backfaces=True),
        "flat": draw(flat, light, antialias=True),
        "flat shadows": draw(flat, lamp, shadows=True),
    }


def gradients(device: str, lamp: bool, **options: Any) -> dict[str, Tensor]:
    """Of what a rendering depends on."""
    face = posed(device)
    leaf = {"vertices": face.vertices, "albedo": face.albedo, "focal": face.camera.focal}
    leaf |= {"turn": face.pose.rotation_vector, "place": face.pose.translation}
    leaf |= {"light": harmonics(device, 1), "back": uniform(1, 48, 48, 3, device=device)}
    leaf = {name: value.detach().clone().requires_grad_() for name, value in leaf.items()}
    light = PhongLight.defaults(1, device=device) if lamp else leaf["light"]
    light = replace(light, ambient=leaf["light"][:, 0]) if isinstance(light, PhongLight) else light
    camera = replace(face.camera, focal=leaf["focal"])
    drawn = render(
        leaf["vertices"],
        face.triangles,
        leaf["albedo"],
        Pose(leaf["turn"], leaf["place"]),
        camera,
        light,
        leaf["back"],
        **options,
    )
    depth = torch.where(drawn.mask, drawn.depth, 0.0)
    loss = drawn.image.square().sum() + drawn.normal.pow(3).sum() + 0.01 * depth.sum() + drawn.coverage.sum()
    loss.backward()
    return {name: value.grad for name, value in leaf.items() if value.grad is not None}


@scene
def gradients_of_renderings(device):
    return {
        "harmonics": gradients(device, False),
        "smooth": gradients(device, False, antialias=True),
        "shadows": gradients(device, True, shadows=True),
    }


# --- pose ----------------------------------------------------------------------------------------------------------------


@scene
def poses(device):
    model, n = model_on(device), 4
    points = model.shape(model.sample(n, generator=seeded(1)).alpha)[:, model.landmarks]
    turn = (uniform(n, 3, device=device) - 0.5) * torch.tensor([0.4, 1.4, 0.3], device=device)
    pose = Pose(turn, torch.tensor([[3.0, -4.0, 900.0]]).repeat(n, 1).to(device))
    camera = Camera.default(224, batch=n, device=device)
    seen = project(model_to_camera(points, pose), camera)[..., :2]
    seen = (seen + torch.randn(n, 68, 2, generator=seeded(2)).to(device)).requires_grad_()
    contour = points[:, :17, None] + torch.linspace(-5, 5, 7, device=device)[:, None]
    harmed = seen.detach().clone()
    harmed[:, ::7] += 60.0
    harmed[1], harmed[2] = torch.nan, harmed[2].flip(-1)
    found = {start: estimate_pose(seen, points, camera, start=start) for start in ("pos", "dlt", "epnp")}
    found["given"] = estimate_pose(seen, points[:1], camera, torch.ones(1, 68, device=device), start=pose)
    found["slide"] = estimate_pose(seen, points, camera, far_side="slide", contour=contour)
    found["drop"] = estimate_pose(seen, points, camera, far_side="drop", noise_px=1.0)
    found["ransac"] = estimate_pose(harmed, points, camera, ransac=True)
    found["robust"] = estimate_pose(harmed, points, camera, robust_px=4.0)
    found["epnp"].pose.translation.sum().backward()
    return found, seen.grad, found["robust"].reason


# --- fit -----------------------------------------------------------------------------------------------------------------


@scene
def fit_by_default(device):
    image, landmarks = photographs(device)
    fit_model = FitModel(model_on(device))
    found = fit(image, landmarks, fit_model, valid=torch.ones_like(image[..., 0]))
    k = found.alpha.shape[1]
    return {
        "found": found,
        "drawn": render_state(fit_model, state_of(found), found.camera),
        "draws": posterior_samples(found.alpha, found.covariance[:, :k, :k], 3, seeded()),
        "sigma": sigma_of_vertices(fit_model, found.covariance, expression=True),
        "why": found.explain(),
    }


@scene
def fits_with_other_lights(device):
    measured = ("sigma", "n_effective", "landmarks")
    bare = {"face_mask": False, "skin_iterations": 0, "landmark_shift_sigma": 0.0, "measured": ()}
    changes = {
        "lamp": {"light_model": "lamp", "fit_focal": True},
        "huber": {"pixel_form": "huber", "measured": measured},
        "bare": bare,
    }
    return {name: fitted(device, fast(**change)) for name, change in changes.items()}


@scene
def fits_with_other_solvers(device):
    return {solver: fitted(device, fast(solver=solver), n=1) for solver in ("adam", "lbfgs")}


@scene
def fit_with_edges(device):
    return fitted(device, fast(edge_weight=50.0, edge_form="oriented nearest"), n=1)


@scene
def fit_as_released(device):
    return fitted(device, FitSettings.released(), n=1)


@scene
def fit_of_spoilt_photographs(device):
    image, landmarks = (x.clone() for x in photographs(device))
    image[0, 3, 3], landmarks[1] = torch.nan, landmarks[1].flip(0)
    found = fit(image, landmarks, model_on(device), settings=fast())
    return found, found.reason


@scene
def fit_of_a_person(device):
    image, landmarks = photographs(device, 3)
    who = torch.tensor([7, 7, 9], device=device)
    return fit_person(image, landmarks, model_on(device), person=who, settings=fast())


@scene
def fits_with_a_prior(device):
    image, landmarks = photographs(device, 3)
    spread = torch.linspace(0.1, 1.0, 198, device=device)
    prior = FacePrior(0.3 * torch.randn(3, 198, generator=seeded()).to(device), torch.diag(spread))
    who = torch.tensor([7, 7, 9], device=device)
    person = fit_person(image, landmarks, model_on(device), person=who, prior=prior, settings=fast())
    return fitted(device, n=1, prior=prior.of(slice(0, 1))), person


@scene
def fit_with_a_held_face(device):
    guess = model_on(device).sample(1, generator=seeded())
    return held_fit(whole_photograph(device), guess, model_on(device), torch.full((198,), 0.5))


@scene
def posterior_of_a_batch(device):
    layout = FitModel(model_on(device)).layout
    root = torch.randn(3, layout.size, layout.size, generator=seeded()).to(device)
    H = root @ root.transpose(1, 2) + layout.size * torch.eye(layout.size, device=device)
    H[1] = 0.0
    return posterior_covariance(Equations(H, H.new_zeros(3, layout.size), {}), layout)


# --- people, labels, network ---------------------------------------------------------------------------------------------


@scene
def synthetic_people(device):
    hard = Nuisances(occluders=1.0, jpeg=1.0, wardrobe=1.0)
    kinds = {"fit": ("fit", Nuisances()), "hard": ("network", hard), "lamp": ("fit", Nuisances(lamp=True))}
    found = {}
    for name, (framing, nuisances) in kinds.items():
        people = SyntheticPeople(
            model_on(device), 5, 2, seed=1, size=48, framing=framing, nuisances=nuisances
        )
        found[name] = people.batch(torch.tensor([0, 3, 5, 6, 8, 9], device=device))
        found[name + " truth"] = people.coefficients
    return found


@scene
def foreign_people(device):
    people = ForeignPeople(model_on(device), 2, 2, seed=1, size=48)
    return people.batch(torch.tensor([0, 3])), people.neutral


@scene
def labels(device):
    with tempfile.TemporaryDirectory() as folder:
        label(
            "synthetic:2x2",
            folder,
            model=model_on(device),
            settings=fast(),
            size=96,
            batch=3,
            shard=4,
            workers=0,
            device=device,
            progress=False,
        )
        return fitted_columns(Path(folder))


@scene
def network(device):
    known = load_network(device=device, image_only=True)
    crops = uniform(2, known.size + 10, known.size + 10, 3, device=device)
    return known.predict(crops), known.predict(crops.cpu()), known.to("cpu").predict(crops)


@scene
def face_encoder(device):
    torch.manual_seed(0)
    encoder = FaceEncoder().to(device)
    image, landmarks = photographs(device)
    chips = face_chips(image, landmarks)
    assert chips.shape[1] == CHIP_SIDE
    return chips, encoder(chips)


@scene
def training(device):
    def source(n: int, seed: int) -> TensorSource:
        return TensorSource(uniform(n, 32, 32, 3, device="cpu", seed=seed), uniform(n, 198, device="cpu"))

    model, found = model_on("cpu"), {}
    scale = ShapeScale(model.shape_std, model.n_vertices, model.texture_std)
    few = replace(FEW, steps=2, validate_every=1)
    runs = {
        "plain": few,
        "sgd": replace(few, optimiser="sgd", rate=1e-3, loss_per="coefficient", emphasis=0.5),
        "augmented": replace(few, loss="huber", augmentation=Augmentation(noise=0.0)),
    }
    for name, settings in runs.items():
        with tempfile.TemporaryDirectory() as folder:
            run = train(source(16, 0), source(4, 1), settings, folder, device=device, scale=scale)
            again = train(
                source(16, 0), source(4, 1), settings, folder, device=device, scale=scale, resume=True
            )
        assert again.steps == run.steps
        log = [{key: value for key, value in row.items() if key != "seconds"} for row in run.log]
        found[name] = run.losses, log  # no weights: Adam makes a step of any gradient that is not zero
    return found


@scene
def augmentation(device):
    image = uniform(4, 48, 48, 3, device=device)
    strong = Augmentation(erase=1.0, grey=0.5)
    return augment(image, seeded(1), strong), augment(image, seeded(1), Augmentation.none())


@scene
def validation(device):
    torch.manual_seed(0)
    net = build_network("small", outputs=198).eval().to(device)
    held_out = TensorSource(uniform(5, 32, 32, 3, device="cpu"), uniform(5, 198, device="cpu"))
    a, model = uniform(6, 198, device=device), model_on(device)
    return spread_on(held_out, net), measures(a, a * 0.9, 99, model.shape_std, model.n_vertices)


# --- measures ------------------------------------------------------------------------------------------------------------


@scene
def evaluation_of_shape(device):
    model = model_on(device)
    who = model.sample(3, generator=seeded())
    a, b = model.shape(who.alpha), model.shape(who.alpha * 0.8)
    centre = a[:, model.landmarks[30]]
    skin = (model.masks["skin"] > 0.5).to(a)[None]
    one = single("one", torch.cat([who.alpha, who.beta], 1), torch.arange(3, device=device))
    depth = [depth_map(x, model.triangles, centre) for x in (b, a)]
    return {
        "rmse": (shape_rmse(b, a), shape_rmse(b, a, skin, scale=False)),
        "regions": per_region((a - b).square().sum(-1), face_regions(model)),
        "normal": normal_error(a, b, model.triangles),
        "depth": depth_errors(*depth),
        "table": shape_table(model, who.alpha, [one], icp=False),
        "nme": landmark_nme(a[:, model.landmarks, :2], b[:, model.landmarks, :2]),
    }


def vectors(device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Of four photographs each of 20 people: numbers, who it is, and confidence."""
    person = torch.arange(20).repeat_interleave(4)
    numbers = torch.randn(20, 30, generator=seeded())[person]
    numbers = numbers + 0.5 * torch.randn(80, 30, generator=seeded(1))
    return numbers.to(device), person.to(device), uniform(80, device=device)


@scene
def recognition(device):
    numbers, person, _ = vectors(device)
    pairs = make_pairs(person, 5)
    kinds = ("plain", "signed root", "whitened")
    return {
        "by hand": verify(pairs.score(represent(numbers)), pairs.same, pairs.fold),
        "kinds": [recognise(numbers, person, kind, folds=5) for kind in kinds],
        "identify": (identify(numbers, person), identify(numbers, person.cpu())),
        "spread": spread(numbers, person),
    }


@scene
def pooling(device):
    numbers, person, confidence = vectors(device)
    covariance = torch.eye(30, device=device).mul(0.5).repeat(80, 1, 1)
    ok = torch.arange(80, device=device) % 5 != 0
    given = dict(confidence=confidence, covariance=covariance, ok=ok)
    return {rule: pool(numbers, person, rule, **given) for rule in RULES}


@scene
def arguments_on_two_devices(device):
    """Works, or is refused with one clear error; it is the CPU's arguments that are left behind."""
    face, here, there = posed(device), model_on(device), model_on("cpu")
    points = project(model_to_camera(face.vertices, face.pose), face.camera)
    camera = Camera.default(48, batch=2)
    image, landmarks = photographs(device)
    numbers, person, confidence = vectors(device)
    covariance = torch.eye(30).repeat(80, 1, 1)
    p, x = points[:, here.landmarks, :2], face.vertices[:, here.landmarks]
    calls = {
        "shape": lambda: here.shape(torch.zeros(2, 5)),
        "texture": lambda: here.texture(torch.zeros(2, 5)),
        "project": lambda: project(face.vertices, camera),
        "render": lambda: render(face.vertices, face.triangles, face.albedo.cpu(), face.pose, face.camera),
        "render camera": lambda: render(face.vertices, face.triangles, face.albedo, face.pose, camera),
        "render light": lambda: render(
            face.vertices, face.triangles, face.albedo, face.pose, face.camera, harmonics("cpu", 2)
        ),
        "interpolate": lambda: interpolate(
            face.albedo.cpu(), face.triangles, rasterize(points, face.triangles, (48, 48))
        ),
        "normals": lambda: vertex_normals(face.vertices, there.triangles),
        "normals in float64": lambda: vertex_normals(face.vertices.double(), there.triangles),
        "pose": lambda: estimate_pose(p, x.cpu(), face.camera),
        "pose camera": lambda: estimate_pose(p, x, camera),
        "pose weights": lambda: estimate_pose(p, x, face.camera, torch.ones(2, 68)),
        "pose contour": lambda: estimate_pose(
            p, x, face.camera, far_side="slide", contour=torch.zeros(2, 17, 7, 3)
        ),
        "fit": lambda: fit(image, landmarks.cpu(), here, settings=fast()),
        "fit model": lambda: fit(image, landmarks, there, settings=fast()),
        "fit camera": lambda: fit(
            image, landmarks, here, camera=Camera.default(96, batch=2), settings=fast()
        ),
        "fit person": lambda: fit_person(
            image, landmarks, here, person=torch.tensor([0, 0]), settings=fast()
        ),
        "shape_rmse": lambda: shape_rmse(face.vertices, face.vertices.cpu()),
        "shape_rmse weights": lambda: shape_rmse(
            face.vertices, face.vertices, torch.ones(1, here.n_vertices)
        ),
        "normal_error": lambda: normal_error(face.vertices, face.vertices, there.triangles),
        "depth_map": lambda: depth_map(face.vertices, there.triangles, face.vertices[:, 30]),
        "nme": lambda: landmark_nme(p, p.cpu()),
        "pool": lambda: pool(numbers, person.cpu(), confidence=confidence.cpu()),
        "pool covariance": lambda: pool(numbers, person, "precision", covariance=covariance),
        "pool ok": lambda: pool(numbers, person, "uniform", ok=torch.ones(80, dtype=torch.bool)),
        "recognise": lambda: recognise(numbers, person.cpu(), "whitened", folds=5),
        "spread": lambda: spread(numbers, person.cpu()),
        "chips": lambda: face_chips(image, landmarks.cpu()),
        "samples": lambda: posterior_samples(numbers, covariance, 2),
        "held fit": lambda: held_fit(whole_photograph(device), there.sample(1), here),
    }
    for name, call in calls.items():
        try:
            call()
        except ValueError as error:
            assert device != "cpu" and "one device" in str(error), f"{name}: {error}"
        except RuntimeError as error:
            raise AssertionError(f"{name} has no door: {error}") from error


# --- pictures and commands -----------------------------------------------------------------------------------------------


@scene
def painting(device):
    photograph = photographs(device, 1)[0][0].cpu().numpy()
    found = fitted(device, n=1)
    return paint_fit(photograph, whole_photograph(device), found, model_on(device), size=128)


@scene
def playground(device):
    found, sketch = fitted(device, n=1), Sketch(model_on(device), 48)
    face = Look(likeness=1.2, around=10.0, power=1.1).applied(Face.of_fit(found), ())
    paper = photographs(device, 1)[0][0, :48, :48]
    return sketch.draw(face), sketch.draw(face, paper, skin_only=True), sketch.alone(Face.mean(sketch.model))


@scene
def pictures(device):
    face, found = posed(device, 1), fitted(device, n=1)
    model, photograph = face.model, photographs(device, 1)[0][0]
    drawn = render(face.vertices, face.triangles, face.albedo, face.pose, face.camera)
    return {
        "heads": heads(face.vertices, face.triangles, face.albedo, size=40),
        "errors": error_heads(face.vertices, model.mean_shape[None], face.triangles, size=40),
        "modes": modes_table(model, height=40),
        "state": state_overlay(photograph, FitModel(model), state_of(found), found.camera),
        "fields": (normal_colours(drawn.normal[0]), depth_colours(drawn.depth[0], 700, 1000)),
        "head": head_over(drawn.image[0], model.mean_shape, face.triangles, face.pose, face.camera),
        "game": PoseGame(model, size=32).draw(),
    }


@scene
def cells_of_a_notebook(device):
    cell = """
import numpy as np, torch
α = torch.zeros(2, 5)
α[1] = torch.randn(5, generator=torch.Generator().manual_seed(0))
leaf = torch.ones(2, 5, requires_grad=True)
face = model.shape(α + leaf)
face.sum().backward()
curve = np.asarray(face[0, :3].detach()) + face[1, :3].detach().numpy()
place, here = face.device, torch.zeros(1, device="cpu")
"""
    names = {"__name__": CELLS, "model": model_on(device)}
    with CellsOn(device) if device != "cpu" else contextlib.nullcontext():
        exec(cell, names)
    assert names["α"].device == names["place"] and names["here"].device.type == "cpu"
    return names["face"], names["leaf"].grad, names["curve"]


@scene
def command_fit(device):
    image, landmarks = photographs("cpu", 1)
    with tempfile.TemporaryDirectory() as folder:
        model, picture, points = (Path(folder) / name for name in ("model.h5", "face.png", "face.json"))
        save(model_on("cpu"), model)
        Image.fromarray((255 * image[0].numpy()).astype(np.uint8)).save(picture)
        points.write_text(json.dumps(landmarks[0].tolist()))
        files = ("--out", Path(folder) / "out", "--model", model, "--landmarks", points, "--paint", "model")
        command("fit", picture, *files, "--size", 96, "--device", device)
        return dict(np.load(Path(folder) / "out" / "face.npz"))


@scene
def command_label(device):
    with tempfile.TemporaryDirectory() as folder:
        options = ("--level", 0, "--size", 96, "--batch", 2, "--quick", "--workers", 0)
        command("label", "synthetic:2x1", "--out", folder, *options, "--device", device)
        return fitted_columns(Path(folder))
