"""The label factory on a local Ray cluster: the same rows, also when a worker is killed."""

import pytest

ray = pytest.importorskip("ray")

from helpers.labelling import label, read_rows  # noqa: E402
from tests.labelling.tiny_source import SETTINGS, SIZE, TinySource, model  # noqa: E402

pytestmark = pytest.mark.slow

COUNT = 24


@pytest.fixture(scope="module")
def cluster():
    import os
    from pathlib import Path

    patch = pytest.MonkeyPatch()
    # Actors must find this folder's code, and a test must not write a token into the home folder.
    patch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    )
    patch.setenv("RAY_AUTH_MODE", "disabled")
    for attempt in range(3):  # on a busy machine Ray gives up after 30 s
        try:
            ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80_000_000, log_to_driver=False)
            break
        except Exception:
            ray.shutdown()
            if attempt == 2:
                raise
    yield
    ray.shutdown()
    patch.undo()


def test_a_killed_actor_is_replaced_and_the_rows_are_the_same(cluster, tmp_path):
    options = {
        "model": model(),
        "settings": SETTINGS,
        "size": SIZE,
        "batch": 3,
        "shard": 8,
        "progress": False,
    }
    label(TinySource(COUNT), tmp_path / "here", workers=0, **options)
    gone = tmp_path / "gone"
    source = TinySource(COUNT, {13: "kill_once"}, str(gone))
    summary = label(source, tmp_path / "ray", engine="ray", workers=2, **options)
    assert gone.exists()  # a worker has been killed
    assert summary.labelled == COUNT and summary.quarantined == 0
    assert read_rows(tmp_path / "ray").equals(read_rows(tmp_path / "here"))
    assert ray.is_initialized()  # a cluster that was there before is left as it was
