"""A real Chromium that opens the page, controlled from Python; `browser.mjs` runs the commands."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import install
from typing_extensions import Self

FAKE_DEVICE = "--use-fake-device-for-media-stream"
FAKE_ANSWER = "--use-fake-ui-for-media-stream"
DESKTOP = (1280, 860)
PHONE = (360, 740)
SECONDS = 60.0


def missing() -> str | None:
    """Return what this machine lacks to open a browser; None if nothing is missing."""
    if shutil.which("node") is None:
        return "no node here, which drives the browser"
    modules = install.FOLDER / "web" / "node_modules"
    if not all((modules / name).exists() for name in ("playwright-core", "axe-core")):
        return "no playwright-core here; make it with: python tests/runtimes/install.py web"
    if install.chromium() is None:
        return "no chromium here; make it with: python tests/runtimes/install.py chromium"
    return None


def camera_of(clip: Path) -> list[str]:
    """Return the flags by which the browser takes a .y4m or .mjpeg file for its camera.

    It also finds this machine under `device.test`, which is no secure address.
    """
    names = "--host-resolver-rules=MAP device.test 127.0.0.1"
    return [FAKE_DEVICE, FAKE_ANSWER, f"--use-file-for-fake-video-capture={clip}", names]


class Browser:
    """A browser with one page at a time; `flags` are Chromium's."""

    def __init__(self, flags: Sequence[str] = ()) -> None:
        chromium = install.chromium()
        assert chromium is not None, "call `missing` first"
        here = Path(__file__).parent
        self._process = subprocess.Popen(
            ["node", str(here / "browser.mjs"), str(install.FOLDER / "web"), chromium],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.do("open", args=list(flags))
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def do(self, act: str, **more: Any) -> Any:
        """Do one act of `browser.mjs` and return what came of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"act": act, **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the browser has ended"
        output = json.loads(line)
        assert "error" not in output, f"{act} {more}: {output.get('error')}"
        return output["value"]

    def visit(
        self,
        url: str,
        size: tuple[int, int] = DESKTOP,
        scheme: str = "light",
        script: str = "",
    ) -> None:
        """Open a page and leave the one before; `script` runs before the page's own."""
        viewport = {"width": size[0], "height": size[1]}
        self.do("visit", url=url, viewport=viewport, scheme=scheme, script=script)

    def evaluate(self, code: str) -> Any:
        """Return the value of an expression in the page."""
        return self.do("evaluate", code=code)

    def wait(self, code: str, seconds: float = SECONDS) -> None:
        """Wait until an expression is true in the page."""
        self.do("wait", code=code, seconds=seconds)

    def click(self, selector: str) -> None:
        """Click on an element."""
        self.do("click", selector=selector)

    def text(self, selector: str) -> str:
        """Return what is to be read in an element."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def is_shown(self, selector: str) -> bool:
        """Whether an element is to be seen."""
        return bool(
            self.evaluate(f"document.querySelector({json.dumps(selector)}).checkVisibility()")
        )

    def faults(self) -> list[str]:
        """Return what axe-core finds that is serious or critical."""
        return [
            f"{fault['id']}: {', '.join(fault['where'])}"
            for fault in self.do("axe")
            if fault["impact"] in ("serious", "critical")
        ]

    def picture(self, path: Path, whole: bool = False) -> None:
        """Save what is seen; the `whole` page, or the window."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.do("screenshot", path=str(path), whole=whole)
