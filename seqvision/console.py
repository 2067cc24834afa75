"""What the commands show on stderr: lines, and on a terminal a bar or a spinner below them.

All of it goes through one rich console, so a line that is printed while a bar is shown moves the
bar down and does not tear it.  What is shown is never worth the work: a display that fails is taken
away, and the work continues.

The Python API shows nothing: within `silent()` lines go to the logger `seqvision`, tables nowhere,
and what a bar would show to a callback.
"""

import contextlib
import logging
import shlex
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Literal

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from seqvision.rank import is_first
from seqvision_edge.command_line import print_message, print_text
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.files import STDOUT
from seqvision_edge.interrupts import DeferredSignals
from seqvision_edge.safe_console import SafeConsole

console = SafeConsole(stderr=True, highlight=False, markup=False)

_BAR_WIDTH = 24
# Bars are drawn this often in a second.
_RATE = 4
# Seconds: the pace is measured over the last of them, at this distance.
_PACE, _SAMPLE = 60.0, 0.5
_shown: list[Live] = []
_collecting: list[list["Remark"]] = []
_logger = logging.getLogger("seqvision")
_logger.addHandler(logging.NullHandler())

Progress = Callable[[str, float, float | None], None]
"""What is done, how much of it, and how much there is; None where that is not known."""
_silent: list[Progress | None] = []


@contextlib.contextmanager
def silent(progress: Progress | None = None) -> Iterator[None]:
    """Print nothing in this block: lines are logged, and `progress` is called for what is done."""
    _silent.append(progress)
    try:
        yield
    finally:
        _silent.pop()


def result_console(highlight: bool = True, markup: bool = True) -> Console:
    """Return a console for results on stdout, with rich's own settings."""
    return SafeConsole(highlight=highlight, markup=markup, quiet=bool(_silent))


def print_result(text: str) -> None:
    """Print a line of the result on stdout, at once."""
    if not _silent:
        print_text(text)


def print_written(path: Path) -> None:
    """Print the name of a file that was written; no line break is put into a long one."""
    if _silent:
        _logger.info("%s written", path)
    elif path != STDOUT and is_first():
        console.print(Text(f"{path} written"), soft_wrap=True)


def on_terminal() -> bool:
    """Return whether a person watches stderr on a terminal, and this process writes to it."""
    if _silent:
        return False
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    return is_first() and is_terminal and not console.is_dumb_terminal


def print_line(text: str, style: str = "", command: str = "") -> None:
    """Print a line on stderr, in the first process only.

    On a terminal it is wrapped between words.  A `command` to type next follows the text; where it
    does not fit it gets a line of its own, without line breaks, so that it can be copied whole.
    """
    if not is_first():
        return
    whole = f"{text} {command}" if command else text
    if _silent:
        _logger.info(whole)
        return
    with contextlib.suppress(OSError, ValueError):  # stderr is closed
        if not on_terminal():
            console.print(Text(whole, style), soft_wrap=True)
        elif command and Text(whole).cell_len > console.width:
            console.print(Text(text, style))
            console.print(Text(f"  {command}", style), soft_wrap=True)
        else:
            console.print(Text(whole, style))


@dataclass(frozen=True)
class Remark:
    """A note or a warning: what a person should know of the data or the result."""

    kind: Literal["note", "warning"]
    text: str


def print_note(text: str) -> None:
    """Print a line that begins with `note:`."""
    _print_remark(Remark("note", text))


def print_warning(text: str) -> None:
    """Print a line that begins with `warning:`."""
    _print_remark(Remark("warning", text))


@contextlib.contextmanager
def remarks() -> Iterator[list[Remark]]:
    """Collect the notes and warnings of a block, so that its report has the same ones."""
    collected: list[Remark] = []
    _collecting.append(collected)
    try:
        yield collected
    finally:
        _collecting.remove(collected)


def print_step(what: str) -> None:
    """Print that a step of the work begins."""
    print_line(f"{what} …")


def add_state(error: Exception, state: str) -> None:
    """Add the state of the work to an error: to its line, or below its traceback."""
    if isinstance(error, SeqvisionError):
        error.args = (f"{error}; {state}",)
    else:
        # As `add_note` does, which Python 3.10 has not.
        error.__notes__ = [*getattr(error, "__notes__", ()), state]


def print_crash(error: Exception) -> None:
    """Print an error that no user has made, with its traceback and the state that it leaves."""
    states = error.__dict__.pop("__notes__", [])
    print_text("".join(traceback.format_exception(error)), sys.stderr, end="")
    for state in states:
        print_message(state)


def shell_command(*words: object) -> str:
    """Return words as they are typed in a shell."""
    return " ".join(shlex.quote(str(word)) for word in words)


def time_text(seconds: float) -> str:
    """Return a time as a bar shows it: 0:07, 12:40, 1:02:03."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Bar:
    """A progress bar below the lines, on a terminal; elsewhere nothing.

    Attributes:
        what: what is done.
        done: how much of it.
        total: how much there is of it; None: not known yet.
        numbers: whether `done/total` is shown.
        info: what stands behind the bar, where there is room.
        seconds_left: of the whole work; None: projected from the pace of the last minute.
        at_most: whether the work may end sooner.
    """

    def __init__(
        self,
        what: str,
        total: float | None = None,
        numbers: bool = True,
        info: str = "",
        at_most: bool = False,
    ) -> None:
        self.what = what
        self.done = 0.0
        self.total = total
        self.numbers = numbers
        self.info = info
        self.seconds_left: float | None = None
        self.at_most = at_most
        self._samples: deque[tuple[float, float]] = deque()
        self._live: Live | None = None

    def __enter__(self) -> "Bar":
        if on_terminal():
            self._live = _open(self._line)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def update(self, done: float, total: float | None = None) -> None:
        """Set how much is done; the bar is drawn a few times a second, however often."""
        self.done = done
        self.total = self.total if total is None else total
        if _silent and _silent[-1] is not None:
            _silent[-1](self.what, self.done, self.total)
        now = time.monotonic()
        if not self._samples or now - self._samples[-1][0] > _SAMPLE:
            self._samples.append((now, done))
            while len(self._samples) > 2 and now - self._samples[1][0] > _PACE:
                self._samples.popleft()

    def close(self) -> None:
        """Take the bar away."""
        live, self._live = self._live, None
        if live is not None:
            _close(live)

    def left(self) -> float | None:
        """Return the seconds left; None while they are unknown."""
        if self.seconds_left is not None:
            return self.seconds_left
        if self.total is None or len(self._samples) < 2:
            return None
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        if last <= first:
            return None
        left = (self.total - last) * (ended - began) / (last - first)
        return max(0.0, left - (time.monotonic() - ended))

    def _line(self) -> RenderableType:
        left, numbers = self.left(), []
        if self.total and self.numbers:
            numbers.append(f"{self.done:.0f}/{self.total:.0f}")
        if left is not None:
            numbers.append(f"{'at most ' if self.at_most else ''}{time_text(left)} left")
        return _bar_line(
            Text(self.what), self.done, self.total, Text("  ".join(numbers)), Text(self.info, "dim")
        )


def _bar_line(
    what: Text, done: float, total: float | None, numbers: Text, info: Text
) -> RenderableType:
    """Return a line that fits the terminal: what stands behind goes first, then the bar."""
    room = console.width - 4  # the ^C that a terminal writes must not begin another row
    what.truncate(max(8, room - numbers.cell_len - 1), overflow="ellipsis")
    room -= what.cell_len + numbers.cell_len + 2
    width = min(_BAR_WIDTH, room - info.cell_len - 1 if info else room)
    if width < _BAR_WIDTH // 3:
        info, width = Text(""), min(_BAR_WIDTH, room)
    drawn = ProgressBar(total, min(done, total or 0.0), max(1, width), pulse=total is None)
    cells: list[RenderableType] = [what, drawn, numbers, info]
    if width < 4:
        cells = [what, numbers]
    line = Table.grid(padding=(0, 1, 0, 0))
    for _ in cells:
        line.add_column(no_wrap=True)
    line.add_row(*cells)
    return line


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[float, float], None]]:
    """Show a bar for `what`; call the result with the number done and the total."""
    with Bar(what) as bar:
        yield bar.update


@contextlib.contextmanager
def status(what: str, line: bool = False) -> Iterator[None]:
    """Show on a terminal a spinner and what is done; elsewhere a line, if one is requested."""
    if not on_terminal():
        if line:
            print_step(what)
        yield
        return
    spinner = Spinner("dots", Text(f"{what} …"))
    live = _open(lambda: spinner)
    try:
        yield
    finally:
        if live is not None:
            _close(live)


def loading(what: str, module: str = "torch") -> contextlib.AbstractContextManager[None]:
    """Show a status during slow imports, unless `module` is loaded already."""
    if module in sys.modules:
        return contextlib.nullcontext()
    return status(f"loading {what}", line=True)


@contextlib.contextmanager
def importing(module: str, what: str) -> Iterator[None]:
    """Import a module in a thread while the block runs; show a status while only that is left.

    What it raises is left to the import that follows.  A thread that imports cannot be stopped: an
    interrupt waits for it, some seconds at most.
    """

    def work() -> None:
        with contextlib.suppress(Exception):
            import_module(module)

    if not on_terminal():
        print_step(f"loading {what}")  # the only sign of life before the block's own lines
    thread = threading.Thread(target=work, name=f"import {module}")
    thread.start()
    try:
        yield
        if thread.is_alive():
            with status(f"loading {what}"):
                while thread.is_alive():
                    thread.join(0.1)
    finally:
        with DeferredSignals():
            thread.join()


def restore_terminal() -> None:
    """Take away every bar and spinner that an interrupt left, and show the cursor again."""
    while _shown:
        _close(_shown[-1])


def erase_line() -> None:
    """Erase what another process, which had to be killed, may have left of a bar."""
    if on_terminal():
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write("\r\x1b[2K\x1b[?25h")
            sys.stderr.flush()


def _print_remark(remark: Remark) -> None:
    for collected in _collecting:
        collected.append(remark)
    if not is_first():
        return
    if _silent:
        level = logging.WARNING if remark.kind == "warning" else logging.INFO
        _logger.log(level, remark.text)
        return
    with contextlib.suppress(OSError, ValueError):
        line = Text.assemble((f"{remark.kind}:", "yellow"), " ", remark.text)
        console.print(line, soft_wrap=not on_terminal())


def _open(render: Callable[[], RenderableType]) -> Live | None:
    """Show what `render` returns until it is closed; None where that fails."""

    def careful() -> RenderableType:
        try:
            return render()
        except Exception:
            return Text("")

    try:
        live = Live(
            console=console,
            get_renderable=careful,
            refresh_per_second=_RATE,
            transient=True,
            # Answers that go to a file must not come to the terminal.
            redirect_stdout=sys.stdout.isatty(),
        )
        with DeferredSignals():
            _shown.append(live)
            live.start(refresh=True)
    except Exception:
        return None
    return live


def _close(live: Live) -> None:
    # Stopped halfway, the cursor would stay hidden.
    with DeferredSignals():
        with contextlib.suppress(Exception):
            live.stop()
        if live in _shown:
            _shown.remove(live)
