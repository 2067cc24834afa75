"""The file of the model that is served, for pages that run it themselves."""

from pathlib import Path

from fastapi import HTTPException
from starlette.responses import FileResponse


class ModelFile:
    """A file as it was when the server began: another one would answer differently."""

    def __init__(self, path: Path) -> None:
        """Remember the file at `path`.

        Raises:
            OSError: it is not there.
        """
        self._path = path.absolute()
        self._was = self._state()

    def response(self) -> FileResponse:
        """Return the file as an answer.

        Raises:
            HTTPException: 409, it is not the file any more that this server runs.
        """
        try:
            changed = self._state() != self._was
        except OSError:
            changed = True
        if changed:
            raise HTTPException(409, "the model's file has changed; start the server anew")
        return FileResponse(self._path, media_type="application/octet-stream")

    def _state(self) -> tuple[int, int, int]:
        status = self._path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns
