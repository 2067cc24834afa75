"""A console of rich that shows what would steer the terminal, instead of doing it.

Labels, file names, keys of a card, messages of libraries: strangers wrote them, and a terminal does
what is in them.  All that is printed goes through `names.printable`: here, or in `print_text` and
`print_message` of command_line.py.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from seqvision_edge.sanitize import printable


class SafeConsole(Console):
    """A console whose texts are made harmless; rich's own controls stay.  `:heart:` is a text."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**{"emoji": False, **more})

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments of what is printed, each made harmless."""
        for segment in super().render(renderable, options):
            text = segment.text
            if segment.control or text == "\n" or (text.isascii() and text.isprintable()):
                yield segment
            else:
                yield Segment(printable(text, "\n"), segment.style)
