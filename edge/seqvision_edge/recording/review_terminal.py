"""Clips gone through in a terminal or through a pipe: one line is asked, one is answered."""

import sys
from collections.abc import Sequence
from typing import TextIO

from seqvision_edge.command_line import print_text
from seqvision_edge.recording.review import Answer, Item, length

HELP = "Enter keeps · a label or its number relabels · =LABEL is a new one · d deletes · b · q"
_LETTERS = {"": Answer("keep"), "k": Answer("keep"), "d": Answer("delete"), "b": Answer("back"),
            "q": Answer("stop")}  # fmt: skip


class LinePrompt:
    """Ask on stderr, read from standard input; its end stops."""

    def __init__(self, lines: TextIO | None = None) -> None:
        self._lines = lines or sys.stdin
        self._helped = False

    def __call__(self, item: Item, number: int, total: int, labels: Sequence[str]) -> Answer:
        """Ask until the answer can be understood."""
        if not self._helped:
            self._say(HELP)
            self._helped = True
        offered = "  ".join(f"{index} {label}" for index, label in enumerate(labels, 1))
        about = ", ".join(filter(None, (length(item.path), item.person, item.about)))
        self._say(f"\n{number}/{total}  {item.path}  ({about})\n{offered}")
        while True:
            self._say(f"[{item.label}] ", end="")
            line = self._lines.readline()
            if not line:
                return Answer("stop")
            answer = understand(line.strip(), item, labels)
            if isinstance(answer, Answer):
                return answer
            self._say(answer)

    def _say(self, text: str, end: str = "\n") -> None:
        print_text(text, sys.stderr, end)


def understand(text: str, item: Item, labels: Sequence[str]) -> Answer | str:
    """Return what a line asks for, or what is wrong with it."""
    if text.isdecimal() and 1 <= int(text) <= len(labels):
        return Answer("relabel", labels[int(text) - 1])
    if text in labels:
        return Answer("relabel", text)
    if text.startswith("=") and text[1:].strip():
        return Answer("relabel", text[1:].strip())
    answer = _LETTERS.get(text.lower())
    if answer is None:
        return f"no label {text!r} here; ={text} makes it one"
    if answer.act == "keep" and not item.label:
        return "it has no label yet; give it one, or d deletes it"
    return answer
