"""The workshop: what builds the course out of notebooks and `helpers`. Nothing in the library imports it.

`python -m helpers.course` writes all that is generated anew, without executing a notebook; `make notebooks` does so at
its end. `install` runs before anything is installed, so this file imports nothing of the course.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # of the checkout
