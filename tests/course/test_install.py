"""What is said about the set-up holds: pyproject.toml, environment.yml, Makefile and README agree."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import helpers
from helpers.commands import doctor
from helpers.course import install

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))


def read_toml(path):
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    return tomllib.loads(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def project():
    return read_toml(ROOT / "pyproject.toml")["project"]


@pytest.fixture(scope="module")
def environment():
    return yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]


def test_one_range_of_pythons(project, environment):
    wanted = SpecifierSet(project["requires-python"])
    conda = next(item for item in environment if isinstance(item, str) and item.startswith("python"))
    assert SpecifierSet(conda.removeprefix("python")) == wanted
    assert (install.LOW, install.BELOW) == doctor.PYTHON_RANGE
    minors = [minor for minor in range(30) if wanted.contains(f"3.{minor}")]
    assert (install.LOW, install.BELOW) == ((3, minors[0]), (3, minors[-1] + 1))
    assert f"Python 3.{minors[0]} to 3.{minors[-1]}" in README


def test_environment_is_thin(project, environment):
    """conda brings Python, pip and libusb; all else comes by way of pyproject.toml, as `make setup` takes it."""
    names = [re.split(r"[<>=]", item)[0] for item in environment if isinstance(item, str)]
    assert names == ["python", "pip", "libusb"]
    assert environment[-1] == {"pip": [f"-e .[{install.EXTRAS}]"]}
    assert set(install.EXTRAS.split(",")) <= set(project["optional-dependencies"])


def test_readme_names_the_extras(project):
    listed = README[README.index("pip install -e .[NAME]") : README.index("## Where things are")]
    assert set(re.findall(r"`(\w+)`", listed)) == set(project["optional-dependencies"])
    for extra in re.findall(r"extra `(\w+)`", README):
        assert extra in project["optional-dependencies"]


def test_readme_names_the_targets():
    named = set(re.findall(r"`make (\w+)", README)) | set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    assert named == TARGETS


def run_make(*arguments, folder=ROOT):
    """What make does by itself, also where these tests were started by make."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_help_lists_the_targets():
    done = run_make("help")
    assert {line.split()[0] for line in done.stdout.splitlines()} == TARGETS


def test_doctor_looks_for_what_is_installed(project):
    needed = {Requirement(text).name for text in project["dependencies"]}
    looked_for = {
        *doctor.PACKAGES,
        *doctor.NOTEBOOK_PARTS,
        "torch",
        "torchvision",
        "warp-lang",
        "open3d",
        "libusb-package",
    }
    assert needed == looked_for


def test_dependencies_are_there(project):
    """What this environment holds satisfies pyproject.toml."""
    from importlib.metadata import version

    extras = project["optional-dependencies"]
    for text in [
        *project["dependencies"],
        *(text for name in install.EXTRAS.split(",") for text in extras[name]),
    ]:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate():
            assert requirement.specifier.contains(version(requirement.name)), text


def test_readme_commands_exist():
    from helpers.__main__ import build_parser
    from helpers.commands import load_commands

    parser = build_parser(load_commands())
    lines = re.findall(r"^\.venv/bin/python -m helpers (.+)$", README, re.MULTILINE)
    assert {line.split()[0] for line in lines} == set(load_commands())
    for line in lines:
        parser.parse_args(line.split())


def test_links_of_readme_exist():
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link


def test_devcontainer_and_citation_say_what_holds(project):
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    minor = int(re.search(r"python:3\.(\d+)$", container["image"])[1])
    assert (
        SpecifierSet(project["requires-python"]).contains(f"3.{minor}")
        and "make setup" in container["postCreateCommand"]
    )
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["cff-version"] == "1.2.0" and citation["license"] == project["license"]
    assert citation["version"] == helpers.__version__ and citation["title"].startswith(
        project["description"].split(":")[0]
    )


def test_build_server_runs_make_test_and_make_site():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert script.read_text().rstrip().endswith("\nmake test\nmake site")


def test_lab_asks_for_no_build():
    config = json.loads((ROOT / "assets/jupyter/labconfig/page_config.json").read_text())
    assert config["buildCheck"] is False and config["buildAvailable"] is False
    done = run_make("-n", "lab")
    assert "--ServerApp.ip=127.0.0.1" in done.stdout and "token" not in done.stdout


# What pip 23 to 26 wrote in these cases.
LOGS = {
    "disk is full": "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
    "network is down": "WARNING: Retrying after connection broken by 'NewConnectionError('Failed to establish a new "
    "connection: [Errno -3] Temporary failure in name resolution')'\nERROR: No matching distribution found for torch",
    "does not exist for this Python": "ERROR: No matching distribution found for open3d>=0.19",
    "check whom it talks to": "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]",
    "not yours to write": "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: 'x'",
    "damaged": "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE",
    "memory is full": "Collecting torch\nKilled",
    "ERROR: something new": "Collecting torch\nERROR: something new",
}


@pytest.mark.parametrize("cause", LOGS)
def test_failed_installs_are_explained(cause):
    line = install.explain(LOGS[cause], "pip failed")
    assert cause in line and "\n" not in line


@pytest.mark.parametrize("version", [(3, 9, 2), (3, 14, 0), (2, 7, 18)])
def test_other_pythons_are_refused(version):
    with pytest.raises(install.SetupError, match=r"3\.10 to 3\.13, then `make setup PYTHON="):
        install.check_python(version)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder to install from, and the commands that would have run in it, which succeed or not."""
    monkeypatch.chdir(tmp_path)
    ran = SimpleNamespace(commands=[], status=0, text="")

    def follow(command, log):
        ran.commands.append(command[1:])
        log.write(ran.text)
        log.flush()
        if "venv" in command:
            Path(command[-1]).mkdir(exist_ok=True)
        return ran.status

    monkeypatch.setattr(install, "follow", follow)
    monkeypatch.setattr(install, "works", lambda python: any("venv" in command for command in ran.commands))
    return ran


def test_install_leaves_a_stamp(workplace, capsys):
    assert install.main(".venv") == 0
    assert workplace.commands == [
        ["-m", "venv", "--clear", ".venv"],
        ["-m", "pip", "install", "-e", ".[landmarks,dev]"],
    ]
    assert Path(".venv/.installed").read_text().strip() == str(Path.cwd())


def test_failed_install_leaves_no_stamp(workplace, capsys):
    workplace.status, workplace.text = 1, LOGS["network is down"]
    assert install.main(".venv") == 1
    error = capsys.readouterr().err
    assert error.startswith("make setup: the network is down") and error.count("\n") == 1
    assert not Path(".venv/.installed").exists()


def test_other_folders_are_not_emptied(workplace, capsys):
    Path("home").mkdir()
    Path("home/letter.txt").write_text("dear")
    assert install.main("home") == 1
    assert "no virtual environment" in capsys.readouterr().err
    assert Path("home/letter.txt").exists() and not workplace.commands


def test_python_without_venv(workplace, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    assert install.main(".venv") == 1
    assert f"apt install python3.{sys.version_info[1]}-venv" in capsys.readouterr().err


def test_full_disk_is_seen_at_once(workplace, capsys, monkeypatch):
    monkeypatch.setattr(install.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e9))
    assert install.main(".venv") == 1
    assert "1.0 GB left" in capsys.readouterr().err and not workplace.commands


def test_output_of_commands_is_kept(tmp_path):
    with open(tmp_path / "log", "w") as log:
        assert install.follow([sys.executable, "-c", "print('said'); raise SystemExit(3)"], log) == 3
    assert (tmp_path / "log").read_text() == "said\n"


def test_make_installs_once(tmp_path):
    """With a stamp of this folder nothing is to be done; after a move, or a change of pyproject.toml, it is."""
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    stamp = tmp_path / ".venv" / ".installed"
    stamp.parent.mkdir()

    def would_install():
        return "helpers.course.install" in run_make("-n", "setup", folder=tmp_path).stdout

    assert would_install()
    stamp.write_text(f"{tmp_path}\n")
    assert not would_install()
    stamp.write_text("/somewhere/else\n")
    assert would_install()
    stamp.write_text(f"{tmp_path}\n")
    os.utime(stamp, (0, 0))
    assert would_install()


def test_missing_python_is_said(tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    done = run_make("setup", "PYTHON=python9", folder=tmp_path)
    assert done.returncode != 0 and "no python9 here" in done.stderr
