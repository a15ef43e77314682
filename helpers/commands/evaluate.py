"""python -m helpers evaluate: how good a method is, in millimetres and in telling people apart."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.commands._model import add_model, load_model
from helpers.errors import UserError
from helpers.files import make_folder
from helpers.progress import progress_bar

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from helpers.evaluation import Motion, Protocol, Surface
    from helpers.evaluation.own_photographs import Agreement
    from helpers.face_model import MorphableModel
    from helpers.regression import Network

NAME = "evaluate"
HELP = "measure faces against scans, and coefficients in recognition"
DESCRIPTION = """Measure, print tables, and write them as CSV, with plots, into DIR. Four things can be measured:

  evaluate --out DIR [--population foreign|own]
      synthetic people, whose truth is known: mean face, fit of the landmarks alone, fit, pooled fits, the network and the
      network that sees the image alone, all on the same pictures; in mm with all pictures and with those whose fit ends well,
      and in recognition (shape.csv, recognition.csv, errors.png, roc.png). "foreign" people are not made by the face
      model, and drawn by another renderer; "own" people are the easier case.
  evaluate --photographs FOLDER --out DIR [--by network|fit]
      photographs of your own people, PERSON/PHOTO.jpg as `label` reads them. Nobody knows their true faces, so no error in mm,
      but: which photographs could be used, how well those of one person agree, and whether people are told apart
      (coverage.csv, people.csv, agreement.csv, roc.png, least_agreeing.png)
  evaluate --meshes PATH --scans PATH --out DIR [--protocol micc|now|realy]
      reconstructed faces against scans (scans.csv, and scans.png, where crop and distances are drawn). "micc" is the paper's 3DRMSE,
      with depth errors and what other choices would give (protocols.csv); "now" the median, mean and standard deviation of the
      NoW challenge, size free; "realy" the mean distance of nose, mouth, forehead and cheeks, each aligned by itself, on parts that
      are not the benchmark's. PATH is a .ply or .obj file, or a folder; a face belongs to the scan of its name,
      or of its folder's where all are called alike. MICC's folders subject_NN are known. Landmarks lie beside a mesh, as
      STEM.pp, .npy, .json or .txt, with 68, 51 or 7 points or the nose tip alone ("now" and "realy" need 7 or more). Meshes that
      `fit` or `predict` wrote need none.
  evaluate --coefficients PATH --out DIR
      recognition on a labelled Parquet file, or on a folder of results of `fit` (recognition.csv, roc.png)"""
EPILOG = """Exit status: 0 done, 1 something could not be read or measured, 2 wrong arguments. A face whose alignment still moves after
the last round, begun from three landmarks or more, is measured: 0, and "not at rest" in its row of scans.csv."""
UNITS = ("um", "mm", "cm", "dm", "m")
SHAPE_COLUMNS = {
    "method": ("", ""),
    "every": ("all, mm", ".2f"),
    "every_part": ("of mean's", ".2f"),
    "kept": ("kept, mm", ".2f"),
    "kept_part": ("of mean's", ".2f"),
    "difference": ("minus fit, mm", "+.2f"),
    "low": ("95 % from", "+.2f"),
    "high": ("to", "+.2f"),
    "unfinished": ("not at rest", "d"),
}
AREA_COLUMNS = {
    "method": ("", ""),
    "one": ("same", "d"),
    "two": ("different", "d"),
    "within": ("cos same", ".2f"),
    "between": ("different", ".2f"),
    "auc": ("AUC", ".3f"),
    "low": ("95 % from", ".3f"),
    "high": ("to", ".3f"),
    "tar": ("TAR at 1 % FAR", ".3f"),
}
PEOPLE_COLUMNS = {
    "person": ("person", ""),
    "found": ("photographs", "d"),
    "used": ("used", "d"),
    "cosine": ("cosine", ".2f"),
    "apart": ("apart, mm", ".2f"),
    "tone": ("tone ±, °", ".1f"),
}
COVERAGE_COLUMNS = {"reason": ("", ""), "photographs": ("photographs", "d"), "example": ("such as", "")}
AGREEMENT_COLUMNS = {"what": ("", ""), "within": ("one person", ".2f"), "between": ("two people", ".2f")}
RECOGNITION_COLUMNS = {
    "method": ("", ""),
    "kind": ("vectors", ""),
    "accuracy": ("accuracy", ".3f"),
    "standard_error": ("± error", ".3f"),
    "auc": ("AUC", ".3f"),
    "eer": ("EER", ".3f"),
    "tar": ("TAR at 1 % FAR", ".3f"),
    "rank_one": ("rank one", ".3f"),
    "note": ("", ""),
}
PROTOCOL_COLUMNS = {
    "protocol": ("protocol", ""),
    "mean": ("3DRMSE, mm", ".2f"),
    "std": ("± faces", ".2f"),
    "worst": ("worst", ".2f"),
    "size": ("scaled by", ".3f"),
    "rounds": ("rounds", ".0f"),
    "unfinished": ("not at rest", "d"),
}
SCAN_COLUMNS = {
    "micc": {
        "rmse": ("3DRMSE, mm", ".2f"),
        "median": ("median, mm", ".2f"),
        "depth_rmse": ("depth, mm", ".2f"),
        "log10": ("log10", ".5f"),
        "rel": ("Rel", ".5f"),
    },
    "now": {
        "median": ("median, mm", ".2f"),
        "mean": ("mean, mm", ".2f"),
        "std": ("std, mm", ".2f"),
        "size": ("scaled by", ".3f"),
    },
    "realy": {name: (f"{name}, mm", ".2f") for name in ("nose", "mouth", "forehead", "cheek", "all")},
}
SCAN_TITLES = {
    "micc": "Each face: scan to model, 95 mm about the nose tip, no scale",
    "now": "Each face, as the NoW challenge measures: distances of the cropped scan from the face, size free",
    "realy": "Each face, by parts as REALY measures, on parts of ours: mean distance from the partners; all: mean of the four",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="folder for tables and plots")
    add_model(parser)
    parser.add_argument(
        "--population",
        choices=("foreign", "own"),
        default="foreign",
        help="synthetic people that the face model did not make, or its own (default: foreign)",
    )
    parser.add_argument(
        "--people", type=_count, default=20, metavar="N", help="synthetic people (default: 20)"
    )
    parser.add_argument(
        "--photos", type=_count, default=4, metavar="N", help="photographs of each (default: 4)"
    )
    parser.add_argument(
        "--folds",
        type=_count,
        default=10,
        metavar="N",
        help="folds of people for the accuracy of --coefficients (default: 10)",
    )
    parser.add_argument(
        "--network", metavar="FILE", type=Path, help="network to measure (default: the one of the course)"
    )
    parser.add_argument("--photographs", metavar="FOLDER", type=Path, help="your own: PERSON/PHOTO.jpg")
    parser.add_argument(
        "--by",
        choices=("network", "fit"),
        default="network",
        help="what finds the faces of --photographs (default: network)",
    )
    parser.add_argument("--meshes", metavar="PATH", type=Path, help="reconstructed faces, .ply or .obj")
    parser.add_argument("--scans", metavar="PATH", type=Path, help="their scans, .ply or .obj")
    parser.add_argument(
        "--protocol",
        choices=tuple(SCAN_COLUMNS),
        default="micc",
        help="how faces are measured against scans (default: micc)",
    )
    parser.add_argument(
        "--rounds",
        type=_count,
        metavar="N",
        help="of the alignment with a scan at most (default: 60 by micc, 300 by now)",
    )
    parser.add_argument("--unit", choices=UNITS, default="mm", help="of the scans (default: mm)")
    parser.add_argument("--mesh-unit", choices=UNITS, default="mm", help="of the faces (default: mm)")
    parser.add_argument(
        "--coefficients", metavar="PATH", type=Path, help="labelled coefficients: Parquet, or a folder"
    )
    parser.add_argument(
        "--pairs", metavar="FILE", type=Path, help="pairs to compare, in the layout of LFW's pairs.txt"
    )


def run(args: argparse.Namespace) -> int:
    """Do the work of the command; returns the exit status."""
    try:
        _check(args)
    except UserError as error:
        print(f"helpers evaluate: {error}", file=sys.stderr)
        return 2
    if args.meshes is not None:
        return _scans(args)
    if args.coefficients is not None:
        return _labelled(args)
    if args.photographs is not None:
        return _photographs(args)
    return _people(args)


def _check(args: argparse.Namespace) -> None:
    if (args.meshes is None) != (args.scans is None):
        raise UserError("--meshes and --scans belong together: faces are measured against scans")
    asked = [name for name in ("meshes", "coefficients", "photographs") if getattr(args, name) is not None]
    if len(asked) > 1:
        words = " and ".join(f"--{name}" for name in asked)
        raise UserError(f"{words} are {len(asked)} things to measure: ask for one at a time")
    if args.pairs is not None and args.coefficients is None:
        raise UserError("--pairs names photographs, so --coefficients must say where their numbers are")
    if args.rounds is not None and (args.meshes is None or args.protocol == "realy"):
        raise UserError(
            "--rounds is for --meshes by --protocol micc or now: realy keeps those of its benchmark"
        )
    if args.people < 2 or args.photos < 2:
        raise UserError("--people and --photos must be 2 or more: recognition needs pairs of both kinds")
    if args.folds < 2:
        raise UserError(f"--folds {args.folds}: must be 2 or more")
    make_folder(args.out)


# `train` draws its people from seeds beyond 2^32, see `helpers.commands.train`. These are others.
NEW_PEOPLE = 1_000_000
POOLED = {"fit": "pooled fits", "network": "network, pooled"}


def _people(args: argparse.Namespace) -> int:
    import torch

    from helpers.datasets import ForeignPeople, SyntheticPeople
    from helpers.evaluation import AllPairs
    from helpers.evaluation import compare_methods as comparison
    from helpers.fitting import FitModel, FitSettings
    from helpers.regression import load_network
    from helpers.show.evaluation import error_figure, roc_figure

    model = load_model(args, device=args.device)
    population = ForeignPeople if args.population == "foreign" else SyntheticPeople
    people = population(model, args.people, args.photos, seed=NEW_PEOPLE + args.seed, size=224, framing="fit")
    pictures = comparison.Pictures.draw(people)
    fit_model, confidence, person = FitModel(model), pictures.confidence.cpu(), pictures.person.cpu()
    print(f"fitting {len(pictures)} pictures of {args.people} {args.population} people", file=sys.stderr)
    fitted, _, kept = comparison.fit_photographs(pictures, fit_model)
    points, _, _ = comparison.fit_photographs(pictures, fit_model, settings=FitSettings(dense=False))
    found = {"mean face": torch.zeros_like(fitted), "landmarks only": points, "fit": fitted}
    network, alone = _network(args, model), None
    if network is not None:
        seen = pictures if network.needs_points else pictures.squares(network.size)
        found["network"], _ = comparison.predict_photographs(seen, network)
        alone = load_network(image_only=True, device=args.device) if network.needs_points else None
    if alone is not None and args.network is None:
        squares = pictures.squares(alone.size)
        found["image only"], _ = comparison.predict_photographs(squares, alone)
    found, kept = {name: vectors.cpu() for name, vectors in found.items()}, kept.cpu()

    ruler, shapes = comparison.Ruler(people, model), len(model.shape_std)
    errors, methods, unfinished = [], [], []
    for name, vectors in found.items():
        for called in filter(None, (name, POOLED.get(name))):
            before, is_pooled = ruler.unfinished, called != name
            errors.append(
                comparison.measure(
                    called, vectors[:, :shapes], person, kept, ruler, pooled=is_pooled, confidence=confidence
                )
            )
            unfinished.append(ruler.unfinished - before)
        if name != "mean face":
            methods.append(comparison.single(name, vectors, person))
        if name in POOLED:
            methods.append(comparison.pooled(POOLED[name], vectors, person, confidence))
    rows = comparison.error_rows(errors, against="fit")
    rows = [row | {"unfinished": count} for row, count in zip(rows, unfinished, strict=True)]
    number = int(rows[0]["people"])
    title = (
        f"3DRMSE of {len(person)} pictures of {args.people} {args.population} people; kept: the {int(kept.sum())} whose fit ends "
        f"well, for every method, of {number} people"
    )
    _report(args.out / "shape.csv", rows, SHAPE_COLUMNS, title)
    _picture(args.out / "errors.png", error_figure(errors, f"{args.people} {args.population} people"))
    title = "Recognition: all pairs of pictures; of pooled ones, all pairs of halves"
    _report(args.out / "recognition.csv", comparison.auc_rows(methods), AREA_COLUMNS, title)
    curves = {m.name: AllPairs.of(m.templates, m.template_owner).roc for m in methods}
    _picture(args.out / "roc.png", roc_figure(curves))
    return 0


def _photographs(args: argparse.Namespace) -> int:
    from collections import Counter

    import torch

    from helpers.datasets import PhotoFolder
    from helpers.evaluation import own_photographs as own
    from helpers.labelling.photographs import PhotographSource
    from helpers.show.evaluation import agreement_picture, roc_figure

    model, folder = load_model(args, device=args.device), PhotoFolder(args.photographs)
    if args.by == "fit":
        find, source = own.by_fit(model), PhotographSource(folder, "folder", args.seed)
    else:
        from helpers.regression import load_network

        network = load_network(args.network, device=args.device)
        network.require(model)
        find = own.by_network(network)
        source = PhotographSource(folder, "folder", args.seed, cut=own.network_square)
    read = own.read_photographs(source, find)
    rows = [{"reason": "used", "photographs": len(read.names), "example": ""}]
    for reason, count in Counter(each.reason for each in read.dropped).most_common():
        first = next(each for each in read.dropped if each.reason == reason)
        why = first.explanation.removeprefix(f"{args.photographs / first.id}: ")
        rows.append({"reason": reason, "photographs": count, "example": f"{first.id}: {why}"})
    print(f"{args.photographs}: {len(source)} photographs, found by the {args.by}\n")
    _report(args.out / "coverage.csv", rows, COVERAGE_COLUMNS, "Coverage")

    found = own.agreement(read, model)
    everything = Counter([*read.people, *(each.person for each in read.dropped)])
    used = Counter(read.people)
    measured = {name: k for k, name in enumerate(found.people)}
    rows = []
    for name in sorted(everything):
        row: dict[str, Any] = {"person": name, "found": everything[name], "used": used[name]}
        if name in measured:
            k = measured[name]
            row |= {what: float(getattr(found, what)[k]) for what in ("cosine", "apart", "tone")}
        rows.append(row)
    _report(args.out / "people.csv", rows, PEOPLE_COLUMNS, "People, each over the photographs that count")
    rows = [
        {"what": "shape, mm", "within": found.within, "between": found.between},
        {"what": "tone of skin, °", "within": found.tone_within, "between": found.tone_between},
        {"what": "cosine", "within": found.cosine_within, "between": found.cosine_between},
    ]
    title = f"Agreement of {int(found.count.sum())} photographs of {len(found.people)} people"
    _report(args.out / "agreement.csv", rows, AGREEMENT_COLUMNS, title)
    print(_meaning(found, args.by))

    least = found.people[found.least]
    rows = [k for k, name in enumerate(read.people) if name == least]
    crops = source.load([int(read.place[k]) for k in rows], 224).faces.image
    at = torch.tensor(rows)
    drawn = agreement_picture(crops, read.alpha[at].to(args.device), read.beta[at].to(args.device), model)
    _picture(args.out / "least_agreeing.png", drawn)
    print(f"{args.out / 'least_agreeing.png'}: {least}, whose photographs agree least")
    _picture(args.out / "roc.png", roc_figure({args.by: found.pairs.roc}))
    return 0


def _meaning(found: Agreement, by: str) -> str:
    """What the numbers prove, and what not."""
    area, people = found.area, found.pairs.people
    told = (
        f"95 % from {area.low:.3f} to {area.high:.3f} over {people} people"
        if area.low == area.low
        else f"no interval: {people} people are too few"
    )
    return (
        f"Of the variance of shapes {100 * found.share:.0f} % lies between people.\n"
        f"Area under the ROC {area.mean:.3f} ({told}): the chance that a pair of photographs of one person is more alike than "
        "a pair of two people.\n"
        "An area near 1 shows that the numbers are steady and differ between these people, not that the faces are right: numbers "
        + ("of a network that recognises people anyway" if by == "network" else "that are wrong in one way")
        + " may be steady, too, and photographs of one day share light, camera and hair. Only scans tell how far a face is off."
    )


def _labelled(args: argparse.Namespace) -> int:
    from helpers.evaluation import make_pairs, read_labelled, read_pairs
    from helpers.evaluation.compare_methods import recognition_rows
    from helpers.show.evaluation import roc_figure

    labelled = read_labelled(args.coefficients)
    if bool((labelled.vectors == labelled.vectors[0]).all()):
        raise UserError(
            f"{args.coefficients}: all {len(labelled.vectors)} photographs have the same coefficients: nothing tells people apart"
        )
    try:
        pairs = (
            read_pairs(args.pairs, labelled)
            if args.pairs
            else make_pairs(labelled.person, args.folds, seed=args.seed)
        )
        rows, results = recognition_rows("coefficients", labelled.vectors, labelled.person, pairs)
    except ValueError as error:
        raise UserError(f"{args.pairs or args.coefficients}: {error}") from error
    title = f"Recognition: {len(labelled.person)} photographs of {len(labelled.people)} people, {len(pairs.same)} pairs"
    _report(args.out / "recognition.csv", rows, RECOGNITION_COLUMNS, title)
    _picture(args.out / "roc.png", roc_figure(results))
    return 0


def _scans(args: argparse.Namespace) -> int:
    from helpers.evaluation import compare_protocols
    from helpers.show.evaluation import scan_sheet

    matched = _matched(args)
    rows, good, drawn, failed, moving = [], [], [], 0, 0
    with progress_bar(matched, args.protocol, unit="face") as bar:

        def note(text: object) -> None:
            bar.write(f"helpers evaluate: {text}", sys.stderr)

        read = _Reader(args, note)
        for name, *paths in bar:
            try:
                face, scan = read.pair(name, *paths)
                measured = _Measured.of(face, scan, args.protocol, args.rounds)
            except UserError as problem:
                if len(matched) == 1:
                    raise
                failed += 1
                note(problem)
                continue
            sure = args.protocol != "micc" or _start_is_sure(face, scan)
            doubt = measured.unfinished or ("" if sure else "by the noses alone")
            rows.append({"face": name, **measured.numbers, "alignment": doubt})
            drawn.append((name, face, scan, measured))
            if sure or not measured.unfinished:
                good.append((face, scan))
                moving += measured.unfinished != ""
            else:
                failed += 1
                note(
                    f"{name}: started from the tips of the noses alone, the alignment did not come to rest: give more landmarks, "
                    "or bring face and scan into the same axes"
                )
    if not rows:
        raise UserError("no face could be measured")
    columns = {"face": ("", ""), **SCAN_COLUMNS[args.protocol], "alignment": ("", "")}
    _report(args.out / "scans.csv", rows, columns, SCAN_TITLES[args.protocol])
    if moving:
        print(_moving(moving, len(drawn), args.protocol, args.rounds))
    if len(rows) > 1 and args.protocol != "micc":
        print(_together(args.protocol, [measured for *_, measured in drawn]))
    # Those that are farthest off, for these are to be looked at.
    drawn = sorted(drawn, key=lambda each: -each[-1].worst)[:DRAWN]
    sheet = [
        (name, face.moved(measured.motion), scan, measured.distance, _front(scan))
        for name, face, scan, measured in drawn
        if scan.triangles is not None
    ]
    if sheet:
        _picture(args.out / "scans.png", scan_sheet(sheet))
    if good and args.protocol == "micc":
        protocols = compare_protocols(good, _possible_protocols(good, args.rounds))
        title = f"The same {len(good)} {'face' if len(good) == 1 else 'faces'} by protocol"
        _report(args.out / "protocols.csv", protocols, PROTOCOL_COLUMNS, title)
    return 1 if failed else 0


DRAWN = 8  # faces in scans.png at most


@dataclass(frozen=True)
class _Measured:
    """One face against its scan: its row, and what is to be drawn.

    `distance` is (V,) mm of each vertex of the scan, NaN where nothing was measured; `motion` of the face; `worst` in mm, by
    which faces are ordered.
    """

    numbers: dict[str, float]
    unfinished: str
    distance: np.ndarray
    motion: Motion
    worst: float

    @classmethod
    def of(cls, face: Surface, scan: Surface, protocol: str, rounds: int | None) -> _Measured:
        import numpy as np

        from helpers.evaluation import realy_errors, scan_error

        distance = np.full(len(scan.vertices), np.nan)
        if protocol == "realy":
            parts = realy_errors(face, scan)
            for part in parts.values():
                distance[part.query] = part.distance
            numbers = {name: part.mean for name, part in parts.items()}
            numbers["all"] = sum(numbers.values()) / len(numbers)
            moving = [name for name, part in parts.items() if not part.converged]
            unfinished = f"not at rest: {', '.join(moving)}" if moving else ""
            # Each part has a motion of its own; the nose's is drawn.
            return cls(numbers, unfinished, distance, parts["nose"].motion, numbers["all"])
        error = scan_error(face, scan, _protocol(protocol, rounds))
        distance[error.query] = error.distance
        numbers = {name: getattr(error, name) for name in ("rmse", "mean", "std", "median")}
        numbers |= _depth(face, scan, error.motion) if protocol == "micc" else {"size": error.motion.size}
        return cls(numbers, "" if error.converged else "not at rest", distance, error.motion, numbers["rmse"])


def _protocol(name: str, rounds: int | None) -> Protocol:
    from helpers.evaluation import MICC, NOW

    protocol = NOW if name == "now" else MICC
    return protocol if rounds is None else replace(protocol, rounds=rounds)


def _moving(moving: int, faces: int, protocol: str, rounds: int | None) -> str:
    """One line below the table: how many alignments ended before they came to rest, and what to do."""
    which = f"{moving} of {faces} {'face' if faces == 1 else 'faces'} not at rest"
    if protocol == "realy":
        return f"{which}: the alignment of a part still moved after the last round, where the benchmark ends, too.\n"
    ended = _protocol(protocol, rounds).rounds
    return (
        f"{which}: the alignment still moved after round {ended}, so the numbers are not final. "
        f"--rounds {10 * ended} lets it go on.\n"
    )


def _together(protocol: str, measured: list[_Measured]) -> str:
    """One line over all faces: NoW's over all points of all scans alike, REALY's the mean over faces."""
    import numpy as np

    if protocol == "now":
        all_points = np.concatenate([each.distance[np.isfinite(each.distance)] for each in measured])
        return (
            f"All {len(all_points)} points of {len(measured)} scans: median {np.median(all_points):.2f}, "
            f"mean {all_points.mean():.2f}, std {all_points.std():.2f} mm\n"
        )
    means = {name: np.mean([each.numbers[name] for each in measured]) for name in SCAN_COLUMNS["realy"]}
    return (
        f"Mean of {len(measured)} faces: {', '.join(f'{name} {mm:.2f}' for name, mm in means.items())} mm\n"
    )


def _start_is_sure(face: Surface, scan: Surface) -> bool:
    """Whether three or more landmarks start the alignment: then one that does not come to rest still moves a little only."""
    import numpy as np

    return int((np.isfinite(face.landmarks) & np.isfinite(scan.landmarks)).all(1).sum()) >= 3


def _possible_protocols(pairs: list[tuple[Surface, Surface]], rounds: int | None) -> dict[str, Protocol]:
    """Those that all scans allow: steps along normals need triangles where partners are looked for."""
    from helpers.evaluation import PROTOCOLS

    bare = any(scan.triangles is None for _, scan in pairs)
    return {
        name: p if rounds is None else replace(p, rounds=rounds)
        for name, p in PROTOCOLS.items()
        if not (bare and not p.to_model and p.step == "plane")
    }


def _depth(face: Surface, scan: Surface, motion: Motion) -> dict[str, float]:
    """Depth errors of one aligned face, seen as the landmarks of the scan say is the front; empty where they cannot."""
    import torch

    from helpers.evaluation import depth_errors, depth_map

    if scan.triangles is None or face.triangles is None:
        return {}
    if int(torch.from_numpy(scan.landmarks).isfinite().all(1).sum()) < 3:
        return {}
    front = _front(scan)
    centre = front(motion(face.nose[None]))
    maps = [
        depth_map(
            *(torch.from_numpy(a) for a in (front(v)[None].astype("float32"), t)),
            torch.from_numpy(centre).float(),
        )
        for v, t in ((motion(face.vertices), face.triangles), (scan.vertices, scan.triangles))
    ]
    errors = depth_errors(*maps)
    return {"depth_rmse": float(errors.rmse), "log10": float(errors.log10), "rel": float(errors.rel)}


def _front(scan: Surface) -> Motion:
    """The motion of a scan into the axes of the face model, by its landmarks; none where they are fewer than three."""
    import numpy as np

    from helpers.evaluation import Motion, Surface, best_motion
    from helpers.face_model import load

    known = np.isfinite(scan.landmarks).all(1)
    if known.sum() < 3:
        return Motion.none()
    model = load("open", level=0, device="cpu")
    return best_motion(
        scan.landmarks[known], Surface.of(model.mean_shape, None, model.landmarks).landmarks[known]
    )


def _matched(args: argparse.Namespace) -> list[tuple[str, Path, Path]]:
    """Name, face and scan, for each mesh of --meshes that has a scan of its name."""
    from helpers.evaluation import find_scans

    for name, path in (("--meshes", args.meshes), ("--scans", args.scans)):
        if not path.exists():
            raise UserError(f"{name} {path}: no such file or folder")
    if args.meshes.is_file() and args.scans.is_file():
        return [(args.meshes.stem, args.meshes, args.scans)]
    if args.meshes.is_dir() and args.scans.is_dir():
        faces, scans = find_scans(args.meshes), find_scans(args.scans)
        named = [(name, faces[name], scans[name]) for name in faces if name in scans]
        for name in sorted(set(faces) ^ set(scans)):
            print(
                f"helpers evaluate: {name}: {'no scan' if name in faces else 'no face'} of this name",
                file=sys.stderr,
            )
        if not named:
            raise UserError(f"no mesh of {args.meshes} has the name of a scan of {args.scans}")
        return named
    raise UserError(
        f"--meshes {args.meshes} and --scans {args.scans} must be two files or two folders, not one of each"
    )


class _Reader:
    """Reads faces and scans. Meshes of the face model's own vertices, as `fit` writes them, have its landmarks."""

    def __init__(self, args: argparse.Namespace, note: Callable[[object], None]):
        self.args, self.note, self.model = args, note, None

    def pair(self, name: str, face: Path, scan: Path) -> tuple[Surface, Surface]:
        """Both surfaces, in mm and with landmarks, the face under the name that it has in tables."""
        from helpers.evaluation import read_surface

        read = read_surface(face, unit=self.args.mesh_unit, note=self.note)
        if read.triangles is None:
            raise UserError(
                f"{face}: has no triangles, and a scan is measured against a surface: write them, too"
            )
        found = read_surface(scan, unit=self.args.unit, note=self.note)
        return replace(self._with_landmarks(read, face), name=name), self._with_landmarks(found, scan)

    def _with_landmarks(self, surface: Surface, path: Path) -> Surface:
        import numpy as np

        from helpers.evaluation import Surface
        from helpers.evaluation.scans import landmarks_beside

        if np.isfinite(surface.landmarks).any():
            return surface
        self.model = self.model or load_model(self.args)
        if len(surface.vertices) != self.model.n_vertices:
            unread = landmarks_beside(path)[1]
            raise UserError(
                f"{path}: has no landmarks beside it ({path.stem}.pp, .npy, .json or .txt), and is no mesh of {self.model.name}"
                + (f" ({'; '.join(unread)})" if unread else "")
            )
        return Surface.of(surface.vertices, surface.triangles, self.model.landmarks, surface.name)


def _network(args: argparse.Namespace, model: MorphableModel) -> Network | None:
    """The network to be measured, or None, with a word, where the course's own is not there or is of another face model."""
    from helpers.regression import load_network

    try:
        network = load_network(args.network, device=args.device)
        network.require(model)
        return network
    except UserError as error:
        if args.network is not None:
            raise
        print(f"helpers evaluate: without a network: {error}", file=sys.stderr)
        return None


def _report(path: Path, rows: list[dict[str, Any]], columns: dict[str, tuple[str, str]], title: str) -> None:
    from helpers.evaluation.tables import text_table, write_csv

    print(f"{title}\n\n{text_table(rows, columns)}\n")
    write_csv(path, rows)


def _picture(path: Path, figure: Figure | np.ndarray) -> None:
    from helpers.files import write_in_one_step
    from helpers.show.figures import png_bytes

    data = png_bytes(figure)
    write_in_one_step(path, lambda file: file.write(data))


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from 1 is expected")
    return int(text)
