"""Save the annotated video: the window's picture as a file that plays in real time."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from seqvision_edge.errors import SinkError
from seqvision_edge.files import is_being_written
from seqvision_edge.frame import Image, Step
from seqvision_edge.overlay import SHOWN, Overlay
from seqvision_edge.sampling import Sampler
from seqvision_edge.sanitize import deduplicate, file_part
from seqvision_edge.video_writer import ENDINGS, VideoWriter

_LONGEST_STILL_SECONDS = 5


class VideoFiles:
    """An outlet that writes every frame with its overlay, one file for each source.

    Frames are placed by their timestamps: dropped frames leave a frozen picture, not a faster
    video.  A file gets its final name only when it is complete.
    """

    def __init__(self, path: Path, overlays: Mapping[str, tuple[Overlay, float]]) -> None:
        """Write to `path`; `overlays` maps each source to its overlay and its fps."""
        self.name = f"--save {path}"
        self.trouble = ""
        self._path = path
        paths = video_paths(path, list(overlays))
        self._annotated = {
            source: _Annotated(paths[source], self.name, overlay, fps)
            for source, (overlay, fps) in overlays.items()
        }

    def open(self) -> None:
        """Check that each file can be written.  Raises SinkError when one cannot."""
        if self._path.suffix.lower() not in ENDINGS:
            raise SinkError(f"{self.name}: name a file that ends in {', '.join(ENDINGS)}")
        with contextlib.ExitStack() as opened:
            for annotated in self._annotated.values():
                path = annotated.film.path
                if path.parent.is_dir() and is_being_written(path):
                    raise SinkError(f"{self.name}: another run writes {path}; choose another name")
                annotated.film.open()
                opened.callback(annotated.film.discard)
            opened.pop_all()

    def pick(self, step: Step) -> Iterable[Step]:
        """Return the step; drawing is left to the worker."""
        return (step,)

    def send(self, step: Step) -> None:
        """Write the step's picture, repeated as its timestamp requires."""
        self._annotated[step.source].write(step)

    def stop(self) -> None:
        """Do nothing: no call here blocks."""

    def close(self) -> None:
        """Finish every file.  Raises SinkError when one is incomplete."""
        errors = []
        for annotated in self._annotated.values():
            try:
                annotated.film.close()
            except SinkError as error:
                errors.append(str(error))
        if errors:
            raise SinkError("; ".join(errors))


def video_paths(path: Path, sources: Sequence[str]) -> dict[str, Path]:
    """Return the file of each source: `path` for one, `name-SOURCE.mp4` for several."""
    if len(sources) == 1:
        return {sources[0]: path}
    parts = deduplicate(file_part(source) for source in sources)
    return {
        source: path.with_name(f"{path.stem}-{part}{path.suffix}")
        for source, part in zip(sources, parts, strict=True)
    }


class _Annotated:
    """The pictures of one source, placed on the video's clock."""

    def __init__(self, path: Path, name: str, overlay: Overlay, fps: float) -> None:
        self.film = VideoWriter(path, name, fps)
        self._overlay = overlay
        self._fps = fps
        self._clock = Sampler(fps, fps)
        self._before: Image | None = None

    def write(self, step: Step) -> None:
        # Drawn even if the video has no slot for it: its events stay on the timeline.
        picture = self._overlay.draw(step)
        if step.frame is None:
            # Until the next frame comes, a lost source shows a notice.
            self._before = picture if step.state.state not in SHOWN else self._before
            return
        ticks = self._clock.take(step.frame.time)
        still = min(ticks - 1, int(_LONGEST_STILL_SECONDS * self._fps))
        for _ in range(still):
            self.film.write(picture if self._before is None else self._before)
        self._before = None
        if ticks:
            self.film.write(picture)
