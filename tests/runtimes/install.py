"""Make the other runtimes that an exported file is tried in: `python tests/runtimes/install.py`.

    oldest    the oldest onnxruntime that is promised, with its NumPy
    openvino  the onnxruntime with the OpenVINO execution provider
    web       onnxruntime-web, which node and browsers run; needs npm
    chromium  a browser, by apt-get, where there is none; needs root

Without names it makes the first three.  They lie in the folder that SEQVISION_RUNTIMES names, by
default build/runtimes, and take about 700 MB.  What a machine cannot have is said and left out; its
tests then skip by its name.  The standard library only: it runs before anything is installed.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(
    os.environ.get("SEQVISION_RUNTIMES", Path(__file__).parents[2] / "build" / "runtimes")
).absolute()
# Of the edge package; its own code comes from the checkout.
NEEDS = (
    "av>=15",
    "pydantic>=2.7",
    "protobuf>=4.21",
    "pyyaml>=6",
    "rich>=13",
    "typing-extensions>=4.7",
)
WEB = ("onnxruntime-web@1.30.0", "playwright-core@1.65.1", "axe-core@4.14.1")


def python(name: str) -> Path:
    """Return the Python of an environment."""
    return FOLDER / name / "bin" / "python"


def chromium() -> str | None:
    """Return the browser of this machine, None without one."""
    return shutil.which("chromium") or shutil.which("google-chrome")


def _oldest() -> None:
    _environment("oldest", "onnxruntime==1.17.3", "numpy<2", "opencv-python<4.12")


def _openvino() -> None:
    _environment("openvino", "onnxruntime-openvino==1.24.1", "numpy", "opencv-python")


def _environment(name: str, *packages: str) -> None:
    _run(sys.executable, "-m", "venv", str(FOLDER / name))
    _run(str(python(name)), "-m", "pip", "install", "--quiet", *packages, *NEEDS)


def _web() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("npm is not installed")
    folder = FOLDER / "web"
    folder.mkdir(parents=True, exist_ok=True)
    _run(npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent", *WEB)


def _chromium() -> None:
    if chromium() is None:
        _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium")


def _run(*command: str) -> None:
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        last = (result.stdout.strip().splitlines() or ["no output"])[-1]
        raise OSError(f"{Path(command[0]).name} ended with {result.returncode}: {last}")


MAKE: dict[str, Callable[[], None]] = {
    "oldest": _oldest, "openvino": _openvino, "web": _web, "chromium": _chromium
}  # fmt: skip


def main(names: list[str]) -> int:
    """Make the runtimes of these names."""
    for name in names or ["oldest", "openvino", "web"]:
        if name not in MAKE:
            print(f"install.py: no runtime {name!r}; there are {', '.join(MAKE)}", file=sys.stderr)
            return 2
        try:
            MAKE[name]()
            print(f"{name}: ready")
        except OSError as error:
            print(f"{name}: left out, {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
