"""Install the course into a virtual environment; say in one line what went wrong where it does.

Run by `make setup` with the Python of the system, before anything is installed: standard library only, and only
syntax that Python 3.6 reads, so that an old one can say that it is too old.
"""

import os
import re
import shutil
import subprocess
import sys
import time

LOW, BELOW = (3, 10), (3, 14)  # as in pyproject.toml
EXTRAS = "landmarks,dev"
LOG = os.path.join("build", "setup.log")
STAMP = ".installed"
SPACE_NEEDED_GB = 4  # what the CPU build of torch needs; PyPI's CUDA build takes about 6 more

# What pip writes when it fails, the cause, and what to do. The first match counts: a package also seems not
# to exist when the network is down, so causes come before consequences.
CAUSES = (
    (
        r"No space left on device|Errno 28|Disk quota exceeded",
        "the disk is full",
        "free some room (`df -h . /tmp`), or set TMPDIR to a folder with room, and run it again",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|certificate verify failed",
        "the network does not let pip check whom it talks to",
        "ask your network's owner for the certificate, then `pip config set global.cert FILE`",
    ),
    (r"ProxyError|Tunnel connection failed", "the proxy refuses pip", "check HTTPS_PROXY, and run it again"),
    (
        r"name resolution|NameResolutionError|getaddrinfo failed|nodename nor servname|NewConnectionError"
        r"|Network is unreachable|Connection refused|ConnectTimeoutError|Connection timed out|Read timed out"
        r"|ReadTimeoutError|RemoteDisconnected|Connection reset|IncompleteRead|Connection broken|Max retries exceeded",
        "the network is down, or the package index cannot be reached",
        "check the connection, and run it again: what is already there is kept",
    ),
    (r"DO NOT MATCH THE HASHES", "a download is damaged", "`python3 -m pip cache purge`, and run it again"),
    (
        r"Permission denied|Errno 13",
        "a folder is not yours to write",
        "check who owns this folder (`ls -ld . .venv`)",
    ),
    (r"MemoryError|Killed", "the memory is full", "close other programs, and run it again"),
    (
        r"No matching distribution found|Could not find a version that satisfies",
        "a package does not exist for this Python or this kind of machine",
        "use 64-bit Linux, macOS on Apple silicon or Windows, and Python 3.10 to 3.13",
    ),
)


class SetupError(Exception):
    """One line for the user."""


def main(folder):
    """Install into the virtual environment `folder`; returns the exit status."""
    try:
        install(folder)
    except SetupError as error:
        print(f"make setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make setup: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


def install(folder):
    """Make `folder` a virtual environment with everything in it, and leave a stamp that says so."""
    check_python(sys.version_info)
    check_space(folder)
    start = time.time()
    log_folder = os.path.dirname(LOG)
    try:
        os.makedirs(log_folder, exist_ok=True)
        with open(LOG, "w") as log:
            python = environment(folder, log)
            print(
                f"Installing into {folder}: a few minutes, and more where torch comes with CUDA. Details: {LOG}"
            )
            status = follow([python, "-m", "pip", "install", "-e", f".[{EXTRAS}]"], log)
    except OSError as error:
        raise SetupError(explain(str(error), error.strerror or str(error))) from error
    if status:
        with open(LOG, errors="replace") as log:
            text = log.read()
        raise SetupError(explain(text + ("\nKilled" if status == -9 else ""), f"pip failed, see {LOG}"))
    with open(os.path.join(folder, STAMP), "w") as stamp:
        stamp.write(os.getcwd() + "\n")  # an environment that was moved must be installed again
    print(f"Installed in {time.time() - start:.0f} s.")


def check_python(version):
    """Raise SetupError unless the Python is one that every package exists for."""
    if not LOW <= tuple(version[:2]) < BELOW:
        found, wanted = f"{version[0]}.{version[1]}", f"{LOW[0]}.{LOW[1]} to {BELOW[0]}.{BELOW[1] - 1}"
        raise SetupError(
            f"Python {found} does not suit: install {wanted}, then `make setup PYTHON=python3.11`"
        )


def check_space(folder):
    """Raise SetupError where a first install cannot fit."""
    free = shutil.disk_usage(".").free / 1e9
    if free < SPACE_NEEDED_GB and not os.path.exists(os.path.join(folder, STAMP)):
        raise SetupError(
            f"the disk has {free:.1f} GB left, about {SPACE_NEEDED_GB} are needed: free some room first"
        )


def environment(folder, log):
    """The Python of the environment `folder`, which is made if it is not there or does not work."""
    name = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    python = os.path.join(folder, *name)
    if works(python):
        return python
    if (
        os.path.isdir(folder)
        and os.listdir(folder)
        and not os.path.exists(os.path.join(folder, "pyvenv.cfg"))
    ):
        raise SetupError(f"{folder} is no virtual environment: give another folder, `make setup VENV=FOLDER`")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        package = f"python3.{sys.version_info[1]}-venv"
        raise SetupError(
            f"this Python cannot make environments: `apt install {package}`, and run it again"
        ) from error
    if follow([sys.executable, "-m", "venv", "--clear", folder], log) or not works(python):
        with open(LOG, errors="replace") as text:
            raise SetupError(explain(text.read(), f"the environment {folder} cannot be made, see {LOG}"))
    return python


def works(python):
    """Whether this interpreter runs and has pip."""
    if not os.path.exists(python):
        return False
    return (
        subprocess.call(
            [python, "-m", "pip", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        == 0
    )


def follow(command, log):
    """Run `command` with its output in `log`, and its latest line on the terminal if there is one."""
    live = sys.stdout.isatty()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, errors="replace"
    )
    try:
        for line in process.stdout or ():
            log.write(line)
            log.flush()
            if live:
                width = shutil.get_terminal_size().columns - 1
                print("\r" + line.strip()[:width].ljust(width), end="", flush=True)
    except BaseException:
        process.terminate()
        raise
    finally:
        if live:
            print("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r", end="", flush=True)
    return process.wait()


def explain(text, otherwise):
    """The cause that pip's output points to and what to do, in one line."""
    for pattern, cause, advice in CAUSES:
        if re.search(pattern, text):
            return f"{cause}: {advice} (details: {LOG})"
    errors = [line.strip() for line in text.splitlines() if line.lower().lstrip().startswith("error")]
    return f"{otherwise}: {errors[-1]}" if errors else otherwise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ".venv"))
