"""What a pipeline must know of the source whose frames it takes; see `Source`."""

from typing import Protocol


class Sender(Protocol):
    """Who frames come from."""

    @property
    def name(self) -> str: ...

    @property
    def live(self) -> bool: ...

    @property
    def fps(self) -> float: ...
