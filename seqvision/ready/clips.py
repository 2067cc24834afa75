"""Whether clips can be looked at, or cut."""

from seqvision.config import (
    DataOptions,
    SegmentOptions,
    check_sequence,
    data_path,
)
from seqvision.data.readers import find_data_set
from seqvision.data.readers.clip_list import LIST_NAME
from seqvision.errors import DataError
from seqvision.ready.checks import check_clips, check_outputs
from seqvision.segmentation.listing import read_list
from seqvision.segmentation.marks import Mark, check_label, read_marks
from seqvision_edge.path_hints import missing


def validate_data(options: DataOptions) -> None:
    """Refuse what `data` cannot do.

    Raises:
        DataError: there is such an option, or there are no clips.
    """
    check_sequence(options.clips, options.images, options.augmentation)
    if options.sheet is not None and options.sheet.suffix.lower() != ".png":
        raise DataError(f"--sheet {options.sheet}: must be a .png file")
    outputs = {"--json": options.json_, "--sheet": options.sheet}
    check_outputs(outputs, (options.data, options.root))
    path, stills = data_path(options), options.images.sequence != "video"
    check_clips(path)
    find_data_set(path, options.clips.dataset, stills, options.clips.official_split)


def validate_segment(options: SegmentOptions) -> list[Mark]:
    """Refuse what `segment` cannot do; return what is marked in the video.

    Raises:
        DataError: the video or its marks are not there or make no sense, or the folder has clips
            that no list names: with a list they would no longer be read.
    """
    if not options.video.is_file():
        if options.video.is_dir():
            raise DataError(f"{options.video}: a folder; segment takes one video after the other")
        raise DataError(missing(options.video, "video"))
    candidates = [options.video.with_suffix(suffix) for suffix in (".csv", ".json")]
    events = options.events or next((path for path in candidates if path.is_file()), None)
    if events is None:
        raise DataError(
            f"{options.video}: the events are missing: a CSV start,end,label, as in "
            f"seqvision segment {options.video} events.csv"
        )
    folder = options.output
    if folder.exists() and not folder.is_dir():
        raise DataError(f"--output {folder}: that is a file; name a folder")
    if not folder.absolute().parent.is_dir():
        raise DataError(f"--output {folder}: there is no folder {folder.parent}; make it first")
    # What is hidden is a lock or unfinished, of a process that lives or was killed.
    is_empty = not folder.is_dir() or all(path.name[0] == "." for path in folder.iterdir())
    if not is_empty and not (folder / LIST_NAME).exists():
        raise DataError(
            f"--output {folder}: is not empty and has no {LIST_NAME}; choose a new folder"
        )
    read_list(folder)
    check_label("--background", options.background)
    return read_marks(events)
