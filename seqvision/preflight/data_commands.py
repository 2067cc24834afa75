"""Whether clips can be looked at, cut, or trained on."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from seqvision.config import (
    AugmentOptions,
    ClipOptions,
    DataOptions,
    LandmarksOptions,
    SegmentOptions,
    SelfTrainOptions,
    SequenceOptions,
    TrainOptions,
    TuneOptions,
    augment_file,
    check_center,
    check_landmarks,
    check_sequence,
    check_teachers,
    check_vectors,
    data_path,
)
from seqvision.config.option_types import LANDMARKS, NO_ENCODER, PRESETS, TIMM, is_onnx
from seqvision.data.clips import find_background, labels_of
from seqvision.data.datasets import DataSet, find_data_set
from seqvision.data.datasets.clip_list import LIST_NAME
from seqvision.data.datasets.detect import holds_vectors
from seqvision.data.splits import keep_groups, split_folds
from seqvision.errors import CheckpointError, DataError, StudyError, WeightsError
from seqvision.preflight.shared_checks import (
    MODEL_SUFFIXES,
    check_clips,
    check_folder,
    check_model_output,
    check_outputs,
    check_trained,
    find_for_model,
)
from seqvision.rank import count, is_first
from seqvision.segmentation.annotations import (
    Mark,
    check_label,
    check_views,
    read_clip_rows,
    read_marks,
)
from seqvision_edge.hints import did_you_mean, near_words, path_error

AnyOptions = TypeVar("AnyOptions", TrainOptions, TuneOptions, DataOptions)


def _find(path: Path, clips: ClipOptions, images: SequenceOptions) -> DataSet:
    """Return the clips at a path, as the options of clips and of steps describe them."""
    return find_data_set(
        path, clips.dataset, images.stills, clips.official_split, clips.region, images.vectors
    )


def validate_train(options: TrainOptions) -> DataSet | None:
    """Refuse what `train` would refuse later, as far as it can be known without decoding.

    Returns:
        The clips that are there; None in a process that leaves it to the first one to look.

    Raises:
        SeqvisionError: the clips, the options or the outputs cannot be used.
    """
    path = data_path(options)
    if options.resume is None and is_first():
        check_clips(path)
    check_training(options)
    if not is_first():
        return None  # one process is enough to find the clips
    if options.resume is not None and not path.exists():
        raise DataError(
            f"{path}: no such folder or list; give the new path of the clips of {options.resume}: "
            f"seqvision train CLIPS --resume {options.resume}"
        )
    clips = options.clips
    found = _find(path, clips, options.images)
    labels = labels_of(found.clips)
    find_background(labels, clips.background)
    if options.distillation.teacher:
        _check_teachers(options, labels)
    keep_groups(found.clips, clips.split_by)
    if options.folds:
        _check_folds(options, found)
    from seqvision.data.augment import check_augmentation  # with OpenCV; others need none here

    if not options.images.vectors:
        check_augmentation(options.augmentation, labels)
    return found


def _check_teachers(options: TrainOptions, labels: Sequence[str]) -> None:
    """Refuse teachers that are not there, or that do not know the labels.

    Raises:
        SeqvisionError: there is one; or no clips are where those without labels should be.
    """
    from seqvision.training.teacher_files import find_teachers

    for file in find_teachers(options.distillation.teacher):
        file.check(labels)
    if options.distillation.unlabelled is not None:
        check_clips(options.distillation.unlabelled, labelled=False)


def _check_folds(options: TrainOptions, found: DataSet) -> None:
    """Refuse folds into which the clips cannot be divided.

    Raises:
        DataError: it does not.
    """
    flag = f"--folds {options.folds}"
    parts = Counter(clip.split for clip in found.clips if clip.split)
    if parts:
        named = ", ".join(f"{number} {part}" for part, number in sorted(parts.items()))
        raise DataError(
            f"{flag}: {found.path} names a split ({named} clips), which folds would mix; "
            "--official-split off divides all clips anew"
        )
    clips = options.clips
    split_folds(
        found.clips, options.folds, options.training.seed, keep_groups(found.clips, clips.split_by)
    )


def validate_tune(options: TuneOptions) -> DataSet | None:
    """Refuse what `tune` would refuse later, as far as it can be known without decoding.

    Returns:
        The clips that are there.

    Raises:
        SeqvisionError: the clips, the options or the outputs cannot be used.
    """
    if options.training.time is not None and options.sampler == "grid":
        raise StudyError("--time: a grid is tried as a whole; give --sampler tpe or random")
    if options.max_latency_ms is not None and not options.latency:
        raise StudyError("--max-latency-ms: needs the times that --no-latency leaves out")
    if options.space is not None and not options.space.is_file():
        raise DataError(f"--space {path_error(options.space, 'file')}")
    check_outputs({"--output": options.output}, (options.space, options.config))
    check_model_output("--output", options.output)
    return validate_train(options.training_options())


def validate_self_train(options: SelfTrainOptions) -> DataSet | None:
    """Refuse what `self-train` cannot do, as far as it can be known without decoding.

    Returns:
        The labelled clips, where the model's labels are known.

    Raises:
        SeqvisionError: the model or the clips are not there, or the output cannot be written.
    """
    model, labelled, unlabelled = options.model, options.labelled, options.unlabelled
    if model is None or labelled is None or unlabelled is None:
        raise DataError(
            "seqvision self-train: give a model, its clips and clips without labels: "
            "seqvision self-train model.pt LABELLED UNLABELLED"
        )
    card = check_trained(model, "self-train", labelled, unlabelled)
    if card is not None and card.vectors is not None:
        raise DataError(
            f"{model}: reads vectors, which self-train cannot vary; train it on more clips instead"
        )
    if options.output.suffix.lower() not in MODEL_SUFFIXES:
        raise CheckpointError(f"--output {options.output}: must end in .pt or .safetensors")
    check_outputs({"--output": options.output}, (model, labelled, unlabelled))
    check_model_output("--output", options.output)
    check_folder("--runs", options.runs)
    if options.augment is not None:
        augment_file(options.augment)
    check_clips(labelled)
    check_clips(unlabelled, labelled=False)
    return None if card is None else find_for_model(labelled, card)


def check_training(options: TrainOptions) -> None:
    """Refuse options that do not go together and outputs that cannot be written, without the clips.

    Raises:
        SeqvisionError: there is such an option.
    """
    if options.output.suffix.lower() not in MODEL_SUFFIXES:
        raise CheckpointError(f"--output {options.output}: must end in .pt or .safetensors")
    check_outputs({"--output": options.output}, (options.data, options.root))
    check_model_output("--output", options.output)
    check_folder("--runs", options.runs)
    flag = f"--folds {options.folds}"
    if options.folds and options.clips.fold is not None:
        raise DataError(
            f"{flag}: trains every fold, --fold {options.clips.fold} one of them; give one of both"
        )
    if options.folds and count() > 1:
        raise DataError(
            f"{flag}: runs in one process; leave torchrun out, or train each fold by itself with "
            f"--fold K/{options.folds}"
        )
    check_combination(options)


def check_combination(options: TrainOptions) -> None:
    """Refuse options that do not go together, and files that are not there.

    `tune` and `self-train` make options of others that are validated already.

    Raises:
        SeqvisionError: there is such an option.
    """
    if options.resume is None:  # what a run was started with stays as it is
        check_sequence(options.clips, options.images, options.augmentation)
    check_teachers(options.distillation, options.augmentation.context)
    frames = options.clips.frames
    check_center(options.model, None if frames == "auto" else frames)
    check_landmarks(options.model)
    check_vectors(options.model, options.images)
    if options.images.vectors:
        _check_vectors_only(options)
    if options.model.encoder in LANDMARKS:
        _check_pictures(options.model.encoder, options.clips, options.images, options.augmentation)
    if isinstance(options.augmentation.augment, str):
        augment_file(options.augmentation.augment)
    weights = options.model.weights
    if weights not in ("auto", "imagenet", "none") and not Path(weights).is_file():
        near = did_you_mean(near_words(weights, ("imagenet", "none", "auto")))
        found = f"{weights}: no such choice; {near}" if near else path_error(weights, "file")
        raise WeightsError(f"--weights {found} (or: imagenet, none)")
    if is_onnx(options.model.encoder):
        _check_frame_model(options)
    elif options.model.encoder.startswith(TIMM):
        from seqvision.models.timm_encoders import check_timm  # with torch, as timm itself

        check_timm(options.model.encoder)


def _check_frame_model(options: TrainOptions) -> None:
    """Refuse an ONNX file that cannot be an encoder, and options that it leaves no room for.

    Raises:
        WeightsError: there is such a thing.
    """
    path, weights = Path(options.model.encoder), options.model.weights
    if not path.is_file():
        raise WeightsError(f"--encoder {path_error(path, 'ONNX file')}")
    if weights not in ("auto", "none"):
        raise WeightsError(
            f"--weights {weights}: {path.name} has its own weights; leave --weights out"
        )
    if options.training.unfreeze_at:
        raise WeightsError(
            f"--unfreeze-at {options.training.unfreeze_at}: {path.name} stays as it is, an ONNX "
            "model cannot be trained; leave --unfreeze-at out"
        )
    size = options.clips.size if options.images.sequence == "video" else "auto"
    from seqvision.models.onnx_encoder import check_frame_model  # with torch, which loads for long

    check_frame_model(path, None if size == "auto" else size)


def _check_pictures(
    encoder: str, clips: ClipOptions, images: SequenceOptions, augmentation: AugmentOptions
) -> None:
    """Refuse what leaves an encoder of landmarks no whole picture in colour.

    Raises:
        DataError: there is such an option.
    """
    name, sequence = f"--encoder {encoder}", images.sequence
    if sequence != "video":
        raise DataError(f"--sequence {sequence}: {name} needs whole pictures; leave it out")
    if clips.grayscale:
        raise DataError(f"--grayscale: {name} needs colours; leave it out")
    if augmentation.augment not in PRESETS:
        raise DataError(
            f"--augment: a YAML varies pixels, {name} its points; take {', '.join(PRESETS)}"
        )


def _check_vectors_only(options: TrainOptions) -> None:
    """Refuse what varies or teaches by pictures, where clips are vectors.

    Raises:
        DataError: there is such an option.
    """
    if options.augmentation.augment not in PRESETS:
        raise DataError(
            f"--augment: a YAML varies pixels, the clips are vectors; take {', '.join(PRESETS)}"
        )
    if options.training.unfreeze_at:
        raise DataError(
            f"--unfreeze-at {options.training.unfreeze_at}: the clips are vectors, which have no "
            "encoder; leave it out"
        )


def with_vectors(options: AnyOptions) -> AnyOptions:
    """Return options with `--sequence vectors` where the clips are vectors and nothing else.

    Raises:
        DataError: a folder cannot be read.
    """
    images = options.images
    path = options.data or options.root
    if images.sequence == "video" and path is not None and path.exists() and holds_vectors(path):
        images = images.model_copy(update={"sequence": "vectors"})
    if not images.vectors:
        return options
    changes: dict[str, Any] = {"images": images}
    if not isinstance(options, DataOptions) and "encoder" not in options.model.model_fields_set:
        changes["model"] = options.model.model_copy(update={"encoder": NO_ENCODER})
    return options.model_copy(update=changes)


def validate_data(options: DataOptions) -> DataSet:
    """Refuse what `data` cannot do; return the clips.

    Raises:
        DataError: there is such an option, or there are no clips.
    """
    check_sequence(options.clips, options.images, options.augmentation)
    if options.encoder is not None:
        _check_pictures(options.encoder, options.clips, options.images, options.augmentation)
    if options.sheet is not None and options.sheet.suffix.lower() != ".png":
        raise DataError(f"--sheet {options.sheet}: must be a .png file")
    outputs = {"--json": options.json_, "--sheet": options.sheet}
    check_outputs(outputs, (options.data, options.root))
    path, clips = data_path(options), options.clips
    check_clips(path)
    if options.images.vectors and options.sheet is not None:
        raise DataError(f"--sheet {options.sheet}: shows pictures, the clips are vectors")
    return _find(path, clips, options.images)


def validate_landmarks(options: LandmarksOptions) -> DataSet:
    """Refuse what `landmarks` cannot do; return the clips.

    Raises:
        DataError: the folder is there already, or there are no clips.
    """
    if options.output.exists():
        raise DataError(f"{options.output}: is there already; choose a new folder")
    check_clips(options.data)
    return find_data_set(options.data)


def validate_segment(options: SegmentOptions) -> list[Mark]:
    """Refuse what `segment` cannot do; return what is marked in the video.

    Raises:
        DataError: the video or its marks are not there or make no sense, or the folder has clips
            that no list names: with a list they would no longer be read.
    """
    if not options.video.is_file():
        if options.video.is_dir():
            raise DataError(f"{options.video}: a folder; segment takes one video after the other")
        raise DataError(path_error(options.video, "video"))
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
    read_clip_rows(folder)
    check_label("--background", options.background)
    marks = read_marks(events)
    check_views(marks, options.region)
    return marks
