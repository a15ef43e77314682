"""`doctor` sees what is missing, says what to do, and never fails itself; the command line around it."""

import errno
import json
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers import __main__ as command_line
from helpers import commands, device, face_model
from helpers.commands import doctor
from helpers.errors import UserError
from helpers.files import make_folder, write_in_one_step
from tests.face_model.model_files import LFS_POINTER


def find(thing, device="auto"):
    return doctor.examine(thing, doctor.checks(device)[thing])


def test_all_is_well_here(capsys):
    assert doctor.run(Namespace(device="auto", json=False)) == 0
    out = capsys.readouterr().out
    assert out.rstrip().endswith("The course can run here.")
    assert [line.split("  ")[0] for line in out.splitlines()[: len(doctor.checks())]] == list(doctor.checks())


def test_json(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "checks", lambda device: {"disk": doctor.disk})
    doctor.run(Namespace(device="auto", json=True))
    assert json.loads(capsys.readouterr().out)[0].keys() == {"thing", "ok", "found", "advice", "required"}


@pytest.mark.parametrize(
    ("thing", "module"),
    [("torch", "torch"), ("Warp", "warp"), ("packages", "roma"), ("notebooks", "anywidget")],
)
def test_missing_packages(thing, module, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)  # importing it now raises ModuleNotFoundError
    monkeypatch.delitem(sys.modules, "helpers._warp", raising=False)
    finding = find(thing)
    assert not finding.ok and finding.required and module in finding.found and "make setup" in finding.advice
    monkeypatch.setattr(doctor, "checks", lambda device: {thing: lambda: finding})
    assert doctor.run(Namespace(device="auto", json=False)) == 1
    assert "cannot run here yet" in capsys.readouterr().out


def test_missing_open3d(monkeypatch):
    from helpers import _open3d

    monkeypatch.setitem(sys.modules, "open3d", None)
    _open3d.open3d.cache_clear()
    finding = find("open3d")
    assert not finding.ok and "open3d" in finding.found and "make setup" in finding.advice
    assert "notebook 07" in finding.advice and not doctor.can_run([finding])
    assert "the course runs without" not in doctor.advice([finding])
    _open3d.open3d.cache_clear()


def test_missing_torchvision(monkeypatch):
    from helpers import _torchvision

    def fail():
        raise UserError("torchvision cannot be imported")

    monkeypatch.setattr(_torchvision, "torchvision", fail)
    finding = find("torchvision")
    assert "notebook 06" in finding.advice and not doctor.can_run([finding])


def test_a_gpu_that_warp_does_not_have(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("warp.get_cuda_device_count", lambda: 0)
    for name in ("auto", "cuda", "cuda:0"):
        finding = find("Warp", name)
        assert not doctor.can_run([finding]) and "no GPU, though torch has one" in finding.found
        assert "driver" in finding.advice and "--device cpu" in finding.advice
        with pytest.raises(UserError, match="Warp finds none: .*--device cpu"):
            device.resolve(name)
    assert find("Warp", "cpu").ok and device.resolve("cpu") == "cpu"
    monkeypatch.setattr("warp.get_cuda_device_count", lambda: 1)
    assert find("Warp", "cuda").ok


@pytest.mark.parametrize("error", [UserError, ImportError, OSError])
@pytest.mark.parametrize(
    ("library", "package"), [("libusb-1.0.so.0", "libusb-1.0-0"), ("libGL.so.1", "libgl1")]
)
def test_missing_system_library(error, library, package, monkeypatch):
    from helpers import _open3d

    def fail():
        raise error(f"{library}: cannot open shared object file")

    monkeypatch.setattr(_open3d, "open3d", fail)
    finding = find("open3d")
    assert not doctor.can_run([finding]) and "notebook 07" in finding.advice
    assert library in finding.found and "apt install" in finding.advice and package in finding.advice


@pytest.mark.parametrize("version", [(3, 9, 2), (3, 14, 1)])
def test_wrong_python(version, monkeypatch):
    monkeypatch.setattr(sys, "version_info", version)
    finding = doctor.python()
    assert not finding.ok and "3.10 to 3.13" in finding.advice


def test_missing_detector_is_no_obstacle(monkeypatch):
    monkeypatch.setattr(
        "helpers.landmarks.missing_backends", lambda: {"dlib": "dlib is not installed: pip install it"}
    )
    finding = find("detector")
    assert not finding.ok and "pip install" in finding.advice and "--landmarks" in finding.advice
    assert doctor.can_run([finding])
    assert "the course runs without" in doctor.advice([finding])


def test_missing_face_model(monkeypatch):
    monkeypatch.setattr("helpers.face_model.open_model.ASSET", doctor.ROOT / "assets" / "nothing.npz")
    finding = find("open face model")
    assert not finding.ok and "make model" in finding.advice and str(doctor.ROOT) not in finding.found


def test_face_models_of_the_user(tmp_path, monkeypatch):
    (tmp_path / "bfm").mkdir()
    model = face_model.load("open", level=0, n_shape=1, n_texture=1)
    face_model.save(model, tmp_path / "bfm" / "model2019_face12.h5")
    face_model.save(model, tmp_path / "mine.h5")
    (tmp_path / "01_MorphableModel.mat").write_bytes(LFS_POINTER)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "measurements.mat").touch()
    monkeypatch.setenv("FACE_MODELS", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    finding = find("other face models")
    pointer, basel, mine = finding.found.split(f", {tmp_path}/mine")[0].split(", bfm2019-face12: ") + [
        finding.found
    ]
    assert finding.ok and pointer.startswith(f"bfm2009: {tmp_path}/01_MorphableModel.mat (a Git LFS pointer")
    assert basel.startswith(f"{tmp_path}/bfm/model2019_face12.h5 (a model in scalismo's layout")
    assert (
        f"{tmp_path}/mine.h5 (a model in scalismo" in mine
        and "notes" not in mine
        and "measurements" not in mine
    )
    assert "flame2020" in finding.advice and "01_MorphableModel" not in finding.advice
    monkeypatch.delenv("FACE_MODELS")
    finding = find("other face models")
    assert finding.ok and "none in ~/face_models" in finding.found
    lines = finding.advice.splitlines()
    assert "~/face_models" in lines[0] and len(lines) == 1 + len(face_model.how_to_get())
    assert "01_MorphableModel.mat: ask for it at https://faces.dmi.unibas.ch" in lines[1]


def test_full_disk(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=2e8))
    finding = find("disk")
    assert not finding.ok and finding.found == "0.20 GB free" and "1 GB" in finding.advice


def test_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    finding = find("torch", device="cuda")
    assert not finding.ok and "--device cpu" in finding.advice


def test_devices(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert device.resolve("auto") == device.resolve("cpu") == "cpu"
    with pytest.raises(UserError, match="--device cuda: .*use --device cpu"):
        device.resolve("cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("warp.get_cuda_device_count", lambda: 2)
    assert device.resolve("auto") == "cuda" and device.resolve("cuda:1") == "cuda:1"
    with pytest.raises(UserError, match=r"has 2 GPU"):
        device.resolve("cuda:2")
    with pytest.raises(UserError, match="no device"):
        device.resolve("gpu")


def command(run, **more):
    return SimpleNamespace(NAME="try", HELP="try it", add_arguments=lambda parser: None, run=run, **more)


@pytest.fixture
def run_command(monkeypatch):
    def run(function, *arguments, **more):
        monkeypatch.setattr(command_line, "load_commands", lambda: {"try": command(function, **more)})
        return command_line.main(["try", *arguments])

    return run


def test_commands_share_options(run_command):
    seen = {}
    assert run_command(lambda args: seen.update(vars(args)) or 5, "--device", "cpu", "--seed", "7") == 5
    assert seen == {"command": "try", "device": "cpu", "seed": 7}


def test_commands_fail_in_one_line(run_command, capsys, monkeypatch):
    def fail(error):
        def run(args):
            raise error

        return run

    assert run_command(fail(UserError("a.png: no image"))) == 1
    assert capsys.readouterr().err == "helpers try: a.png: no image\n"
    assert run_command(fail(OSError(errno.ENOSPC, "No space left on device", "out/b.npz"))) == 1
    assert capsys.readouterr().err == "helpers try: out/b.npz: No space left on device\n"
    assert run_command(fail(KeyboardInterrupt())) == command_line.INTERRUPTED
    assert capsys.readouterr().err == "helpers try: interrupted\n"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    capsys.readouterr()
    assert run_command(lambda args: 0, "--device", "cuda") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert run_command(lambda args: 0, "--device", "cuda", NEEDS_DEVICE=False) == 0


def test_a_command_that_is_still_being_loaded_can_be_interrupted(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "load_commands", interrupted)
    assert command_line.main(["doctor"]) == command_line.INTERRUPTED
    assert capsys.readouterr().err == "helpers: interrupted\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["doctor", "--device", "gpu"],
        ["doctor", "--seed", "x"],
        ["doctor", "--seed", str(2**32)],
    ],
)
def test_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main(arguments)
    assert stop.value.code == 2 and "usage" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_whole_is_named_and_leaves_nothing(tmp_path):
    def full(file):
        file.write(b"the first half")
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a.npz").write_bytes(b"as before")
    with pytest.raises(OSError) as error:
        write_in_one_step(tmp_path / "a.npz", full)
    assert error.value.filename == str(tmp_path / "a.npz")
    assert [f.name for f in tmp_path.iterdir()] == ["a.npz"] and (
        tmp_path / "a.npz"
    ).read_bytes() == b"as before"
    with pytest.raises(UserError, match=r"--out .*a\.npz: cannot be made a folder: File exists"):
        make_folder(tmp_path / "a.npz")


def test_every_command_is_registered():
    files = {path.stem for path in Path(commands.__file__).parent.glob("[a-z]*.py")}
    assert files == set(commands.load_commands()) == set(commands.MODULES)
