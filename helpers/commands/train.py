"""python -m helpers train: a network learns to say a face's numbers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.commands._model import add_model, load_model
from helpers.errors import UserError
from helpers.files import make_folder, write_in_one_step

if TYPE_CHECKING:
    from helpers.regression import Network
    from helpers.regression.network import FaceRegressor

NAME = "train"
HELP = "train a network that guesses a face's 198 numbers"
DESCRIPTION = """Train a network and write into DIR: network.pt (for `predict`), log.csv, curve.png, best.pt and last.pt (to go on from).
Without --photos it learns from synthetic people, each drawn and photographed once, labelled by their true numbers.
With --photos SOURCE --labels FILE it learns from photographs and the labels that `label` and `pool` made of them, and tells
how many photographs and people are used, and what is left out. Batch, steps and validations follow their number.
People, not photographs, are held out for validation; DIR/held_out.txt names those of --photos.
--network encoder starts from a face recognition network, held as it is, and learns one linear layer by least squares: one pass
over --steps (1000) times --batch (64) pictures, or over all of --photos, into DIR/network.pt and last.pt. Of the recipe it
takes these two and no more. With fewer than a thousand people it is the one to take.
Ctrl-C writes last.pt first; the same command with --resume goes on from it."""
HELD_OUT = 400  # people to validate on
MOST_PASSES = 100  # over labelled pictures, where --steps does not tell
FEW_PEOPLE = 1000  # below which the encoder's layer is advised
ENCODER, ENCODER_STEPS, ENCODER_BATCH = "encoder", 1000, 64
EPILOG = """Several processes or GPUs: torchrun --nproc-per-node N -m helpers train … (the batch is shared among them).
Exit status: 0 done, 1 stopped by an error, 2 wrong arguments."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="folder for the results")
    parser.add_argument(
        "--preset", default="quick", choices=("quick", "paper"), help="recipe (default: quick)"
    )
    parser.add_argument("--resume", action="store_true", help="go on from DIR/last.pt")

    what = parser.add_argument_group("what it learns from")
    add_model(what, " of the people or the labels")
    what.add_argument(
        "--photos", metavar="SOURCE", type=Path, help="as of `label`: one folder a person, or NAME.rec"
    )
    what.add_argument("--labels", metavar="FILE", type=Path, help="pooled labels, a Parquet file by `pool`")
    what.add_argument(
        "--rows",
        metavar="DIR",
        type=Path,
        help="folder of `label`, for landmarks; without it faces are looked for",
    )
    what.add_argument(
        "--held-out",
        type=_count,
        metavar="N",
        help=f"people to validate on (default: {HELD_OUT}; of labelled people a fifth, if that is less)",
    )
    what.add_argument(
        "--level",
        type=int,
        default=1,
        choices=(0, 1, 2),
        help="detail of the open model's heads (default: 1)",
    )
    what.add_argument(
        "--workers", type=_count, default=1, metavar="N", help="processes that prepare pictures (default: 1)"
    )

    how = parser.add_argument_group("the recipe, where it is to differ from the preset's")
    how.add_argument("--network", choices=("small", "resnet18", "resnet50", "resnet101", "encoder"))
    how.add_argument(
        "--start",
        metavar="FILE",
        type=Path,
        help="network.pt to go on learning from, of the same face model; 'shipped' is the course's that sees the image alone",
    )
    how.add_argument(
        "--weights", choices=("none", "imagenet"), help="of all layers but the last, to start from"
    )
    how.add_argument("--loss", choices=("asymmetric", "l2", "huber"))
    how.add_argument(
        "--over", type=float, metavar="λ1", help="weight of going too far, of the asymmetric loss"
    )
    how.add_argument("--under", type=float, metavar="λ2", help="weight of staying too near the mean face")
    how.add_argument(
        "--loss-per",
        choices=("face", "caffe", "coefficient"),
        help="sum over the coefficients, half of it, or their mean",
    )
    how.add_argument(
        "--emphasis", type=float, metavar="POWER", help="of σ, by which modes count; 0 as in the paper"
    )
    how.add_argument("--size", type=int, metavar="PX", help="side of the crop")
    how.add_argument(
        "--window", type=float, metavar="SHARE", help="middle part of the crop's side that is looked at"
    )
    how.add_argument("--batch", type=int, metavar="N", help="pictures a step, over all processes")
    how.add_argument("--steps", type=int, metavar="N")
    how.add_argument("--minutes", type=float, help="instead of --steps: the schedule follows the clock")
    how.add_argument("--optimiser", choices=("sgd", "adamw"))
    how.add_argument("--rate", type=float, help="largest learning rate, of the last layer")
    how.add_argument("--body-rate", type=float, metavar="SHARE", help="of all other layers, in parts of it")
    how.add_argument("--schedule", choices=("plateau", "cosine", "constant"))
    how.add_argument("--clip", type=float, metavar="LENGTH", help="longest gradient; 0 for any")
    how.add_argument(
        "--average",
        type=float,
        metavar="SHARE",
        help="kept a step by running averages of the weights; 0 for none",
    )
    how.add_argument("--precision", choices=("auto", "float32", "bfloat16"))
    how.add_argument("--validate-every", type=int, metavar="STEPS")
    how.add_argument(
        "--patience", type=int, metavar="N", help="end after N validations without a better one; 0 for never"
    )
    how.add_argument(
        "--augment",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="move, recolour, blur and cover pictures",
    )


RECIPE = (
    "network",
    "loss",
    "over",
    "under",
    "loss_per",
    "emphasis",
    "size",
    "window",
    "batch",
    "steps",
    "minutes",
    "optimiser",
    "rate",
    "body_rate",
    "schedule",
    "clip",
    "average",
    "precision",
    "validate_every",
    "patience",
)
# Each group of people has a seed of its own, counted up from here. People to validate on start far beyond, and small seeds
# are left to whoever evaluates: nobody is met twice.
SEED_STEP, TRAINING_SEED, HELD_OUT_SEED = 2**34, 2**32, 2**33


def run(args: argparse.Namespace) -> int:
    """Do the work of the command; returns the exit status."""
    from helpers.regression.distributed import team

    try:
        settings = _settings(args)
        if args.network == ENCODER:
            _check_without_recipe(args)
        elif args.start is not None and args.weights is not None:
            raise UserError("--start and --weights are two beginnings: name one of them")
        if (args.photos is None) != (args.labels is None):
            raise UserError(
                "--photos and --labels belong together: name both, or neither for synthetic people"
            )
        if args.held_out is not None and args.held_out < 1:
            raise UserError(
                "--held-out must be 1 or more: without people to validate on nobody knows which weights are best"
            )
        model = load_model(args, level=args.level)
        start = None if args.start is None else _start(args, model)
        make_folder(args.out)
    except UserError as error:
        print(f"helpers train: {error}", file=sys.stderr)
        return 2
    if args.network == ENCODER:
        return _train_on_encoder(args, settings, model)
    with team(args.device) as ours:
        return _train(args, settings, model, ours, start)


def _check_without_recipe(args: argparse.Namespace) -> None:
    """Raises UserError where something is asked for that least squares does not have."""
    if args.start is not None:
        raise UserError(
            "--network encoder has no --start: least squares finds the best weights from the pictures alone, from "
            "wherever it would start. A network that is trained by gradient has one: leave out --network"
        )
    asked = [name for name in (*RECIPE, "weights", "augment") if getattr(args, name) is not None]
    refused = [name for name in asked if name not in ("network", "steps", "batch")]
    if args.preset != "quick":
        refused.append("preset")
    if refused:
        raise UserError(
            f"--network encoder has no --{refused[0].replace('_', '-')}: least squares knows --steps and --batch only"
        )


def _settings(args: argparse.Namespace):
    from dataclasses import replace

    from helpers.regression import Augmentation, settings_of
    from helpers.regression.encoder_regressor import PHOTO_SIDE

    recipe = {name: getattr(args, name) for name in RECIPE}
    if args.network == ENCODER:
        steps, batch = args.steps or ENCODER_STEPS, args.batch or ENCODER_BATCH
        recipe |= {"network": None, "size": PHOTO_SIDE, "steps": steps, "batch": batch}
    settings = settings_of(args.preset, seed=args.seed, **recipe)
    if args.weights is not None:
        settings = replace(settings, weights=None if args.weights == "none" else args.weights)
    if args.augment is not None:
        settings = replace(settings, augmentation=Augmentation() if args.augment else Augmentation.none())
    return settings


def _start(args: argparse.Namespace, model) -> Network:
    """The network that --start names. Raises UserError where it cannot be gone on with."""
    from helpers.regression import load_network

    shipped = str(args.start) == "shipped"
    network = load_network(None, image_only=True) if shipped else load_network(args.start)
    if network.needs_points:
        raise UserError(
            f"--start {args.start}: is the encoder's layer, which least squares finds and no gradient trains: start from a "
            "network that sees the image alone, such as --start shipped"
        )
    if args.network not in (None, network.name):
        raise UserError(
            f"--start {args.start}: is a {network.name}, not a {args.network}: leave out --network"
        )
    try:
        network.require(model)
    except UserError as error:
        raise UserError(f"--start {args.start}: {error}") from error
    return network


def _learning(start: Network) -> FaceRegressor:
    """Its module, with weights that learn."""
    from helpers.regression.network import FaceRegressor

    assert isinstance(start.module, FaceRegressor)
    return start.module.requires_grad_(True)


def _settings_from(start: Network, settings, args: argparse.Namespace):
    """The settings with the architecture and the pictures of the network that is gone on with."""
    from dataclasses import replace

    module = _learning(start)
    size = start.size if args.size is None else args.size
    if module.mean_image is not None and size != start.size:
        raise UserError(
            f"--size {size}: the mean image of --start {args.start} is of pictures of {start.size} px: leave out --size"
        )
    seen = "normalised" if module.mean_image is None else "mean image"
    return replace(settings, network=start.name, weights=None, size=size, window=module.window, input=seen)


def _settings_for(pictures: int, settings, args: argparse.Namespace, world: int):
    """The settings for so many pictures: no batch larger than all of them, and no passes over them without end."""
    from dataclasses import replace

    batch = settings.batch if args.batch else max(world, min(settings.batch, pictures) // world * world)
    steps = settings.steps if args.steps else max(1, min(settings.steps, MOST_PASSES * pictures // batch))
    often = settings.validate_every if args.validate_every else min(settings.validate_every, -(-steps // 20))
    return replace(settings, batch=batch, steps=steps, validate_every=often)


def _train(args: argparse.Namespace, settings, model, ours, start: Network | None = None) -> int:
    from helpers.regression import save_network, train
    from helpers.regression.checkpoint import check_folder
    from helpers.regression.data import hold
    from helpers.regression.log import read_log
    from helpers.regression.validation import ShapeScale, spread_on
    from helpers.show.training import training_curve

    check_folder(args.out, args.resume)  # before pictures are made, which takes a while
    if start is not None:
        settings = _settings_from(start, settings, args)
    if args.photos is None:
        source, held_out = _people(args, settings)
        validation = hold(held_out, progress=ours.leads)
    else:
        source, validation = _folder(args, settings, model, ours.leads)
        settings = _settings_for(len(source), settings, args, ours.world)
        if ours.leads and start is None and len(source.people) < FEW_PEOPLE:
            print(
                f"{len(source.people)} people are few for a network that learns to see from them: --network encoder learns one "
                "linear layer, and --start shipped goes on with a network that has seen synthetic people",
                file=sys.stderr,
            )
    scale = ShapeScale(model.shape_std, model.n_vertices, model.texture_std)
    if ours.leads and args.photos is None:
        print(
            f"synthetic people without end to train on, {len(validation)} others to validate on",
            file=sys.stderr,
        )
    result = train(
        source,
        validation,
        settings,
        args.out,
        resume=args.resume,
        workers=args.workers,
        scale=scale,
        team=ours,
        network=None if start is None else _learning(start),
    )
    if ours.leads:
        rows = read_log(args.out / "log.csv")
        about = {
            "command": _command(args),
            "steps": result.steps,
            "seconds": rows[-1]["seconds"] if rows else 0.0,
            "ended": result.ended,
        }
        best = min(rows, key=lambda row: row.get("loss", float("inf")), default={})
        save_network(
            args.out / "network.pt",
            result.network,
            settings.network,
            settings.size,
            {**about, "validation": dict(best)},
            spread_on(validation, result.network),
            n_shape=len(model.shape_std),
            face_model=model.name,
        )
        if rows:  # a run may be stopped before it is validated once
            training_curve(rows, args.out / "curve.png")
        told = ", ".join(
            f"{name} {value:.3g}"
            for name, value in best.items()
            if name not in ("seconds", "rate", "skipped")
        )
        how_good = (
            f"best: {told}" if told else f"not validated yet, its weights are those after step {result.steps}"
        )
        print(f"{args.out / 'network.pt'}: {result.ended}; {how_good}")
    return 0


def _train_on_encoder(args: argparse.Namespace, settings, model) -> int:
    from helpers.regression import save_network
    from helpers.regression.checkpoint import check_folder
    from helpers.regression.encoder_training import train_on_encoder

    check_folder(args.out, args.resume)
    source, held_out = (
        _people(args, settings) if args.photos is None else _folder(args, settings, model, True)
    )
    result = train_on_encoder(
        source,
        held_out,
        args.out,
        steps=settings.steps,
        batch=settings.batch,
        seed=args.seed,
        device=args.device,
        resume=args.resume,
        workers=args.workers,
    )
    about = {
        "command": _command(args),
        "pictures": result.pictures,
        "shrink": result.found.shrink,
        "ended": result.ended,
    }
    file = args.out / "network.pt"
    save_network(
        file,
        result.network,
        ENCODER,
        settings.size,
        about,
        result.covariance.diagonal().sqrt(),
        n_shape=len(model.shape_std),
        face_model=model.name,
        covariance=result.covariance,
    )
    print(f"{file}: {result.ended}; {result.pictures} pictures, shrinkage {result.found.shrink:g}")
    return 0


def _people(args: argparse.Namespace, settings):
    """Synthetic people: without end to train on, and others to validate on."""
    from helpers.regression.data import PeopleSource
    from helpers.regression.training import ENDLESS

    how = {"size": settings.size, "model": args.model, "level": args.level}
    first = args.seed * SEED_STEP % 2**62  # what a generator takes
    source = PeopleSource(ENDLESS, seed=first + TRAINING_SEED, **how)
    held_out = PeopleSource(args.held_out or HELD_OUT, seed=first + HELD_OUT_SEED, **how)
    return source, held_out


def _folder(args: argparse.Namespace, settings, model, talks: bool):
    from helpers.labelling.store import MANIFEST, read_manifest
    from helpers.regression.folder import read_folder

    if args.rows is not None and (args.rows / MANIFEST).is_file():
        name = read_manifest(args.rows)[0].model["name"]
        if name != model.name:
            raise UserError(
                f"{args.rows}: was fitted with {name}, not with {model.name}: name that one by --model"
            )
    source, held_out = read_folder(
        args.photos, args.labels, args.rows, settings.size, args.held_out, args.seed, model, talks=talks
    )
    if talks:
        text = "".join(f"{person}\n" for person in sorted(held_out.people))
        write_in_one_step(args.out / "held_out.txt", lambda file: file.write(text.encode()))
    return source, held_out


def _command(args: argparse.Namespace) -> str:
    """The command line, without paths of this machine."""
    words = ["python -m helpers train"]
    for name, value in sorted(vars(args).items()):
        if name in ("command", "out", "resume") or value is None or value is False:
            continue
        flag = "--" + name.replace("_", "-")
        is_path = isinstance(value, Path) or name == "model"
        words.append(flag if value is True else f"{flag} {Path(value).name if is_path else value}")
    return " ".join(words)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number is expected")
    return int(text)
