"""python -m helpers fit: photographs become 3D faces."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from helpers.commands._model import add_model, load_model
from helpers.device import can_compute
from helpers.errors import UserError
from helpers.files import make_folder
from helpers.progress import progress_bar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from helpers.crop import FaceCrop
    from helpers.face_model import MorphableModel
    from helpers.fitting import FacePrior, FitModel, FitResult, PersonFit
    from helpers.landmarks import Detection
    from helpers.photo import Photo
    from helpers.regression import Network

    Note = Callable[[str], None]
    Found = TypeVar("Found")

NAME = "fit"
HELP = "turn photographs into 3D faces"
DESCRIPTION = """Fit the face model to each photograph and write four files into DIR:
STEM.ply (coloured mesh in mm), STEM.glb (textured head for viewers), STEM.npz (the numbers),
STEM.png (photograph, landmarks, overlay, head turned).
STEM is the photograph's name without its ending; where two photographs share it, the second becomes STEM_2.
Files of an earlier run are replaced.
The largest face of a photograph is taken. With --all-faces all are, and their files are called STEM_1, STEM_2 … from the
largest face on.
With --one-person all photographs show the same person, and one shape and one texture are sought that explain them all.
The network's prediction is where the search begins, and how far it is off as a rule is how far the search may go."""
EPILOG = """A photograph that cannot be used gives one line on standard error, and the others are still done.
Exit status: 0 all done, 1 some photographs failed, 2 wrong arguments."""


PRESETS = ("fast", "released")
PRIORS = ("network", "model")
PAINTS = ("photo", "model")
ENDINGS = (".ply", ".glb", ".npz", ".png")
LONGEST_NAME = 255  # bytes, on nearly all file systems
NUMBERED = re.compile(r"_\d+$")  # the end of the names of one of several faces


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of the command."""
    add_shared_arguments(parser)
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default="fast",
        help="fast: the course's own settings (default); released: the energy, lamp and four stages of the fitter that the paper's authors released",
    )
    parser.add_argument(
        "--prior",
        choices=PRIORS,
        help="what is known of a face before the fit. network: what the course's network predicts from the photograph "
        "(default for the open face model, where the face encoder is installed); model: only what the face model knows",
    )
    parser.add_argument(
        "--one-person",
        action="store_true",
        help="all photographs show the same person: they are fitted together, and get the same shape and texture",
    )
    parser.add_argument(
        "--mask",
        metavar="FILE",
        type=Path,
        help="picture as large as the one photograph, black where the fit must not look (a hand, a microphone)",
    )


def add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments that `fit` and `predict` both take."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("photos", nargs="+", metavar="PHOTO", type=Path, help="image files")
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="folder for the results")
    add_model(parser)
    parser.add_argument(
        "--landmarks",
        metavar="FILE",
        type=Path,
        help="68 points of the one photograph, in its upright pixels, .json or .pts",
    )
    parser.add_argument(
        "--all-faces",
        action="store_true",
        help="take every face of a photograph, not the largest alone; they are searched for longer and more finely",
    )
    parser.add_argument(
        "--paint",
        choices=PAINTS,
        default="photo",
        help="colours of the results. photo: the photograph's own, with its light in them (default); "
        "model: the face model's texture, without light",
    )
    parser.add_argument(
        "--size", type=_size, default=224, metavar="PX", help="side of the crop (default: 224)"
    )


def run(args: argparse.Namespace) -> int:
    """Do the work of the command; returns the exit status."""
    if args.one_person:
        return _run_one_person(args)
    return over_photos(args, NAME, _prepare, _fit_one)


def over_photos(
    args: argparse.Namespace,
    name: str,
    prepare: Callable[[argparse.Namespace], Any],
    work: Callable[..., str],
) -> int:
    """Do `work` on every photograph, with one line each.

    Args:
        args: The parsed arguments.
        name: Of the command.
        prepare: args → what `work` needs; raises UserError for wrong arguments.
        work: (face, prepared, args, note) → the line to be printed; `note(text)` prints one more on standard error.

    Returns:
        The exit status: 0 all done, 1 some photographs failed, 2 wrong arguments.

    Raises:
        UserError: The GPU has failed, and the photographs that are left cannot be done by this process.
    """
    try:
        prepared = prepare(args)
    except UserError as error:
        print(f"helpers {name}: {error}", file=sys.stderr)
        return 2
    lines: list[str | None] = []
    with progress_bar(total=len(args.photos), unit="photo") as bar:

        def note(text: str) -> None:
            bar.write(text, sys.stderr)

        for path, stem in zip(args.photos, output_names(args.photos), strict=True):
            faces = _tried(str(path), note, partial(read_faces, path, stem, args, note))
            for face in faces or [None]:
                line = face and _tried(face.name, note, partial(work, face, prepared, args, note))
                lines.append(line)
                if line is not None:
                    bar.write(line, sys.stdout)
                elif not can_compute(args.device):
                    raise UserError(
                        f"{args.device} has failed and needs a new process: run the command again, from {path} on"
                    )
            bar.update()
    return 1 if None in lines else 0


def _tried(name: str, note: Note, work: Callable[[], Found]) -> Found | None:
    """What `work` returns; None where it fails, with one line on what is wrong with the photograph of this name."""
    try:
        return work()
    except (UserError, ValueError, OSError, RuntimeError, MemoryError) as error:
        # RuntimeError: torch reports a full GPU so. The other photographs are still done.
        cause = " ".join(str(error).split()) or type(error).__name__
        note(cause if name in cause else f"{name}: {cause}")
        return None


def _target(args: argparse.Namespace, stem: str) -> Path:
    """Where the results of a face go, without ending."""
    if len(os.fsencode(stem + ENDINGS[0])) > LONGEST_NAME:
        raise UserError("its name is too long for those of the results: rename it")
    return args.out / stem


def output_names(photos: list[Path]) -> list[str]:
    """Choose a name for each photograph's results: its stem, or the first of stem_2, stem_3 … that no other one has.

    With one more number behind it, as the faces of a photograph have, no two are the same either. Names that differ only in case count as the same, because some file systems cannot tell them apart.

    Args:
        photos: The photographs.

    Returns:
        A name for each, without ending.
    """
    taken = {path.stem.lower() for path in photos}
    seen, names = set(), []
    for path in photos:
        name, number = path.stem, 2
        if name.lower() in seen:
            while f"{path.stem}_{number}".lower() in taken:
                number += 1
            name = f"{path.stem}_{number}"
        seen.add(name.lower())
        taken.add(name.lower())
        names.append(name)
    return names


class Prepared(NamedTuple):
    """What all photographs of a run need.

    Attributes:
        fit_model: on the device.
        model: on the CPU, where results are drawn and written.
        network: that is asked before the fit; None where only the face model's prior is wanted.
    """

    fit_model: FitModel
    model: MorphableModel
    network: Network | None

    def prior(self, photos: list[FaceToFit]) -> FacePrior | None:
        """Of the faces, on the device."""
        import torch

        from helpers.fitting import FacePrior

        if self.network is None:
            return None
        each = [self.network.prior(photo.photo, photo.found) for photo in photos]
        return FacePrior(torch.cat([one.mean for one in each]), each[0].covariance)


def _prepare(args: argparse.Namespace) -> Prepared:
    from helpers.fitting import FitModel

    if args.one_person and len(args.photos) < 2:
        raise UserError("--one-person fits photographs together, but only one is named")
    if args.one_person and args.all_faces:
        raise UserError(
            "--one-person does not go with --all-faces: which of the faces are the person's is not known; crop the photographs"
        )
    if args.one_person and args.preset == "released":
        raise UserError(
            "--one-person does not go with --preset released, whose authors fit single photographs: leave one of them out"
        )
    if args.mask is not None:
        if len(args.photos) > 1:
            raise UserError(f"--mask is for one photograph, but {len(args.photos)} are named")
        _read_mask(args.mask, None)
    if args.prior == "network" and args.preset == "released":
        raise UserError(
            "--prior network does not go with --preset released, whose energy is no probability: leave one of them out"
        )
    model = prepare(args)
    return Prepared(FitModel(model), model.to("cpu"), _network(args, model))


def _network(args: argparse.Namespace, model: MorphableModel) -> Network | None:
    """The network whose prediction is the fit's prior; None where it is not wanted, or by default cannot be had."""
    from helpers.regression import load_network
    from helpers.regression.network_file import SHIPPED, encoder_is_here

    by_default = args.preset != "released" and args.model == "open" and encoder_is_here()
    if args.prior == "model" or (args.prior is None and not by_default):
        return None
    network = load_network(SHIPPED, device=args.device)
    network.require(model)
    return network


def prepare(args: argparse.Namespace) -> MorphableModel:
    """Check whatever can be wrong about the arguments, make the folder and load the face model.

    Raises:
        UserError: An argument is wrong.
    """
    from helpers.landmarks import read_points

    if args.landmarks is not None and len(args.photos) > 1:
        raise UserError(f"--landmarks gives the points of one photograph, but {len(args.photos)} are named")
    if args.landmarks is not None and args.all_faces:
        raise UserError(
            "--landmarks gives the points of one face, and --all-faces looks for others: leave one of them out"
        )
    _refuse_to_overwrite(args)
    if args.landmarks is not None:
        read_points(args.landmarks)  # a broken file is a wrong argument, said before any work is done
    model = load_model(args, device=args.device)
    make_folder(args.out)
    return model


def _refuse_to_overwrite(args: argparse.Namespace) -> None:
    """No result may be written over a photograph or a landmark file that it is made from."""
    more = [given for given in (args.landmarks, getattr(args, "mask", None)) if given]
    # Not Path.resolve, which raises RuntimeError for links that form a loop.
    inputs = {os.path.realpath(path): path for path in [*args.photos, *more]}
    stems = set(output_names(args.photos))
    for there in args.out.glob("*") if args.out.is_dir() else ():
        stem = NUMBERED.sub("", there.stem) if args.all_faces else there.stem
        given = inputs.get(os.path.realpath(there))
        if given is not None and stem in stems and there.suffix in ENDINGS:
            raise UserError(f"--out {args.out}: a result would overwrite {given}; name another folder")


def _fit_one(face: FaceToFit, prepared: Prepared, args: argparse.Namespace, note: Note) -> str:
    """Fit one face and write its files; returns the line to be printed."""
    from helpers.fitting import FitSettings, fit
    from helpers.photo import crop_face

    start = time.perf_counter()
    crop = face.crop.to(args.device)
    settings = (
        FitSettings.released(seed=args.seed) if args.preset == "released" else FitSettings(seed=args.seed)
    )
    valid = crop.valid
    if args.mask is not None:
        shown = crop_face(_read_mask(args.mask, face.photo.image.shape), face.found.points, args.size).to(
            args.device
        )
        valid = valid * (shown.image.mean(-1) > 0.5)
    result = fit(
        crop.image,
        crop.landmarks,
        prepared.fit_model,
        valid=valid,
        prior=prepared.prior([face]),
        settings=settings,
    )
    seconds = time.perf_counter() - start
    note_doubt(face, result, note)
    write_results(face, result.to("cpu"), prepared.model, args.paint, valid.to("cpu"))
    return f"{face.name}: confidence {float(result.confidence[0]):.2f}, {seconds:.1f} s, {face.target}.png"


class FaceToFit(NamedTuple):
    """A face of a photograph.

    Attributes:
        name: in messages: the photograph's file, and the face's number where all are fitted.
        target: of its results, without ending.
        photo: all of it.
        crop: of the face, on the CPU.
        found: by the detector.
    """

    name: str
    target: Path
    photo: Photo
    crop: FaceCrop
    found: Detection


def _run_one_person(args: argparse.Namespace) -> int:
    """Fit all photographs together and write the files of each; returns the exit status."""
    try:
        prepared = _prepare(args)
    except UserError as error:
        print(f"helpers {NAME}: {error}", file=sys.stderr)
        return 2
    with progress_bar(total=len(args.photos), unit="photo") as bar:

        def note(text: str) -> None:
            bar.write(text, sys.stderr)

        named = zip(args.photos, output_names(args.photos), strict=True)
        tried = [_tried(str(path), note, partial(read_faces, path, stem, args, note)) for path, stem in named]
        photos = [face for faces in tried for face in faces or []]
        bar.update(len(tried) - len(photos))
        if not photos:
            return 1
        start = time.perf_counter()
        person = _fit_together(photos, prepared, args)
        bar.write(
            f"{int(person.used[0])} photographs fitted together: confidence {float(person.confidence[0]):.2f}, "
            f"{time.perf_counter() - start:.1f} s",
            sys.stdout,
        )
        written = 0
        for number, photo in enumerate(photos):
            result = person.photographs.only(number).to("cpu")
            note_doubt(photo, result, note)
            line = _tried(photo.name, note, partial(_write_one, photo, result, prepared.model, args.paint))
            if line is not None:
                written += 1
                bar.write(line, sys.stdout)
            bar.update()
    return 0 if written == len(args.photos) else 1


def _fit_together(photos: list[FaceToFit], prepared: Prepared, args: argparse.Namespace) -> PersonFit:
    from helpers.fitting import FitSettings, fit_person
    from helpers.photo import stack_crops

    crops = stack_crops([photo.crop for photo in photos]).to(args.device)
    settings = FitSettings(seed=args.seed)
    try:
        return fit_person(
            crops.image,
            crops.landmarks,
            prepared.fit_model,
            valid=crops.valid,
            prior=prepared.prior(photos),
            settings=settings,
        )
    except (RuntimeError, MemoryError) as error:  # RuntimeError: torch reports a full GPU so
        cause = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{len(photos)} photographs cannot be fitted together: {cause}") from error


def _write_one(photo: FaceToFit, result: FitResult, model: MorphableModel, paint: str) -> str:
    write_results(photo, result, model, paint)
    return f"{photo.name}: confidence {float(result.confidence[0]):.2f}, {photo.target}.png"


def _read_mask(path: Path, shape: tuple[int, ...] | None) -> np.ndarray:
    """The mask as an image; it must have the (height, width) of `shape`, if that is given."""
    from helpers.photo import read_photo

    try:
        image = read_photo(path).image
    except UserError as error:
        raise UserError(f"--mask {error}") from error
    if shape is not None and image.shape[:2] != shape[:2]:
        (height, width), (h, w) = shape[:2], image.shape[:2]
        raise UserError(
            f"--mask {path}: is {w} × {h} px, the photograph is {width} × {height}; make them the same size"
        )
    return image


def read_faces(path: Path, stem: str, args: argparse.Namespace, note: Note) -> list[FaceToFit]:
    """Read a photograph and find the largest face in it, or all, with a note on what is doubtful about them."""
    from helpers.landmarks import SPREAD_DOUBTFUL, all_faces_of, landmarks_for
    from helpers.photo import crop_face, read_photo

    photo, faces = read_photo(path), []
    if args.all_faces:
        for number, found in enumerate(all_faces_of(photo, seed=args.seed), 1):
            faces.append(
                (f"{path}, face {number} of {found.faces}", _target(args, f"{stem}_{number}"), found)
            )
    else:
        found = landmarks_for(photo, args.landmarks, seed=args.seed)
        if found.faces > 1:
            note(f"{path}: {found.faces} faces found, the largest is taken; --all-faces takes all")
        faces.append((str(path), _target(args, stem), found))
    for name, _, found in faces:
        if found.spread > SPREAD_DOUBTFUL:
            note(
                f"{name}: the landmarks are doubtful (spread {found.spread:.1f} % of the eye distance): look at them"
            )
    return [
        FaceToFit(name, target, photo, crop_face(photo.image, found.points, args.size), found)
        for name, target, found in faces
    ]


def note_doubt(face: FaceToFit, result: FitResult, note: Note) -> None:
    """Note why a fit is doubtful, where it is."""
    if not result.ok[0]:
        confidence = float(result.confidence[0])
        note(
            f"{face.name}: the fit is doubtful (confidence {confidence:.2f}, {result.reason[0]}): {result.explain()}; look at it"
        )


def write_results(
    face: FaceToFit,
    result: FitResult,
    model: MorphableModel,
    paint: str = PAINTS[0],
    unmasked: Tensor | None = None,
) -> None:
    """Write the files of one face: target.ply, target.glb, target.npz and target.png.

    Args:
        face: that was fitted.
        result: of the fit, on the CPU.
        model: that was fitted, on the CPU.
        paint: one of `PAINTS`, where their colours come from.
        unmasked: (1, S, S) pixels of the crop that may be painted with; None is what the photograph covers.
    """
    import numpy as np

    from helpers.files import write_in_one_step
    from helpers.fitting.numbers import fit_numbers
    from helpers.mesh_files import write_glb, write_ply
    from helpers.painting import paint_fit
    from helpers.show.figures import png_bytes
    from helpers.show.fit_strip import fit_strip, fitted_face

    photo, crop, folder, stem = face.photo, face.crop, face.target.parent, face.target.name
    head = model.whole_head
    whole = fitted_face(result, head)
    painted = paint_fit(photo.image, crop, result, head, unmasked) if paint == "photo" else None
    strip = png_bytes(fit_strip(crop, result, model, painted=painted))
    colours = whole.colours[0] if painted is None else painted.colours[0]
    V = model.n_vertices  # the .ply has the model's own mesh, for measuring
    write_ply(folder / f"{stem}.ply", whole.vertices[0, :V], model.triangles, colours[:V])
    if painted is None:
        write_glb(folder / f"{stem}.glb", whole.vertices[0], head.triangles, colours)
    else:
        painted.write_glb(folder / f"{stem}.glb", whole.vertices)
    numbers = fit_numbers(crop, result, face.found)
    write_in_one_step(folder / f"{stem}.npz", lambda file: np.savez_compressed(file, **numbers))
    write_in_one_step(folder / f"{stem}.png", lambda file: file.write(strip))


def _size(text: str) -> int:
    try:
        size = int(text)
    except ValueError:
        size = 0
    if not 64 <= size <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number of pixels from 64 to 1024")
    return size
