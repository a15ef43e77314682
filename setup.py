"""All settings are in pyproject.toml; this adds the files of assets/ that the library reads to a wheel.

In a checkout they lie beside the package, where `helpers.assets` finds them as well.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CARRIED = (
    "open_face_model/open_face_model.npz",
    "open_face_model/LICENCE.md",
    "open_face_model/*.csv",
    "network/encoder.pt",
    "network/network.pt",
    "network/MODEL_CARD.md",
    "photographs/*.json",
)


class BuildWithAssets(build_py):
    def _carried(self) -> list[Path]:
        return [file for pattern in CARRIED for file in sorted(Path("assets").glob(pattern))]

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for file in self._carried():
                target = Path(self.build_lib, "helpers", "_assets", file.relative_to("assets"))
                self.mkpath(str(target.parent))
                self.copy_file(str(file), str(target))

    def get_source_files(self) -> list[str]:  # what a source archive holds
        return [*super().get_source_files(), *map(str, self._carried())]


setup(cmdclass={"build_py": BuildWithAssets})
