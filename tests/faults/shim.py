"""The shim of `shim.c`, built for the tests that need it: a full disk and a wrong clock, by environment."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")


@dataclass(frozen=True)
class Shim:
    """A built shim and the two files that steer it."""

    library: Path
    full: Path
    clock: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self.library),
            "CELLSEARCH_TEST_FULL": str(self.full),
            "CELLSEARCH_TEST_CLOCK": str(self.clock),
        }

    def fill(self, pattern: str) -> None:
        """From now on there is no space for paths that contain `pattern`."""
        self.full.write_text(pattern)

    def free(self) -> None:
        self.full.unlink(missing_ok=True)

    def ahead(self, seconds: float) -> None:
        """From now on the clock of the day is ahead by so much."""
        self.clock.write_text(str(seconds))


def build(folder: Path) -> Shim | None:
    """None where there is no compiler, or a system that takes no shim."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    library = folder / "shim.so"
    if compiler is None or not Path("/proc/self/fd").exists():
        return None
    made = subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"],
        capture_output=True, check=False,
    )  # fmt: skip
    return Shim(library, folder / "full", folder / "clock") if made.returncode == 0 else None
