"""Why a file is not loaded: a reason without the file's name, which `read.py` adds."""


class Refused(Exception):  # noqa: N818
    """The file holds what `seqvision export` never writes."""


class Damaged(Refused):
    """The file is no ONNX model at all, or its bytes are not whole."""


def quoted(name: str) -> str:
    """Return a name from the file so that it can be shown in one short line of a terminal."""
    return repr(name if len(name) <= 40 else f"{name[:40]}…").encode("ascii", "replace").decode()
