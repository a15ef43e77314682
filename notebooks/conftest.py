"""For nbval: after a notebook's first failed cell its other cells are skipped, so that the report shows the cause."""

import pytest

FAILED = pytest.StashKey[str]()


def _is_cell(item):
    return hasattr(item, "cell_num")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if _is_cell(item) and report.failed:
        item.parent.stash.setdefault(FAILED, item.name)


def pytest_runtest_setup(item):
    if _is_cell(item) and FAILED in item.parent.stash:
        pytest.skip(f"{item.parent.stash[FAILED]} of this notebook failed")
