"""A rich console that escapes control characters in untrusted text.

Labels, file names, card keys and library messages are untrusted, and a terminal executes the
control characters in them.  Everything printed goes through `sanitize.printable`: here, or in
`print_text` and `print_message` of command_line.py.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from seqvision_edge.sanitize import printable


class SafeConsole(Console):
    """A console whose texts are escaped; rich's own controls stay.  `:heart:` is plain text."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**{"emoji": False, **more})

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the printed segments, each escaped."""
        for segment in super().render(renderable, options):
            text = segment.text
            if segment.control or text == "\n" or (text.isascii() and text.isprintable()):
                yield segment
            else:
                yield Segment(printable(text, "\n"), segment.style)
