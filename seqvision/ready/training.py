"""Whether a training can begin, of whatever kind."""

from pathlib import Path

from seqvision.config import (
    SelfTrainOptions,
    TrainOptions,
    TuneOptions,
    augment_file,
    check_sequence,
    data_path,
)
from seqvision.data.clips import Clip, find_background, labels_of
from seqvision.data.readers import find_data_set
from seqvision.errors import CheckpointError, DataError, StudyError, WeightsError
from seqvision.rank import is_first
from seqvision.ready.checks import (
    MODEL_SUFFIXES,
    check_clips,
    check_folder,
    check_labels,
    check_model_output,
    check_outputs,
    check_trained,
)
from seqvision_edge.hints import did_you_mean, near_words
from seqvision_edge.path_hints import missing


def validate_train(options: TrainOptions) -> list[Clip]:
    """Refuse what `train` would refuse later, as far as it can be known without decoding.

    Returns:
        The clips that are there; none in a process that leaves it to the first one to look.

    Raises:
        SeqvisionError: the clips, the options or the outputs cannot be used.
    """
    path = data_path(options)
    if options.resume is None and is_first():
        check_clips(path)
    check_training(options)
    if not is_first():
        return []  # one process is enough to find the clips
    if options.resume is not None and not path.exists():
        raise DataError(
            f"{path}: no such folder or list; give the new path of the clips of {options.resume}: "
            f"seqvision train CLIPS --resume {options.resume}"
        )
    stills = options.images.sequence != "video"
    found = find_data_set(path, options.clips.dataset, stills, options.clips.official_split).clips
    labels = labels_of(found)
    find_background(labels, options.clips.background)
    from seqvision.data.augment import check_augmentation  # with OpenCV; others need none here

    check_augmentation(options.augmentation, labels)
    return found


def validate_tune(options: TuneOptions) -> None:
    """Refuse what `tune` would refuse later, as far as it can be known without decoding.

    Raises:
        SeqvisionError: the clips, the options or the outputs cannot be used.
    """
    if options.max_latency_ms is not None and not options.latency:
        raise StudyError("--max-latency-ms: needs the times that --no-latency leaves out")
    if options.space is not None and not options.space.is_file():
        raise DataError(f"--space {missing(options.space, 'file')}")
    check_outputs({"--output": options.output}, (options.space, options.config))
    check_model_output("--output", options.output)
    validate_train(options.of_a_training())


def validate_self_train(options: SelfTrainOptions) -> None:
    """Refuse what `self-train` cannot do, as far as it can be known without decoding.

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
    if options.output.suffix.lower() not in MODEL_SUFFIXES:
        raise CheckpointError(f"--output {options.output}: must end in .pt or .safetensors")
    check_outputs({"--output": options.output}, (model, labelled, unlabelled))
    check_model_output("--output", options.output)
    check_folder("--runs", options.runs)
    if options.augment is not None:
        augment_file(options.augment)
    check_clips(labelled)
    check_clips(unlabelled, labelled=False)
    if card is not None:
        check_labels(labelled, card)


def check_training(options: TrainOptions) -> None:
    """Refuse options that do not go together and places that cannot be written; looks at no clips.

    Raises:
        SeqvisionError: there is such an option.
    """
    if options.output.suffix.lower() not in MODEL_SUFFIXES:
        raise CheckpointError(f"--output {options.output}: must end in .pt or .safetensors")
    check_outputs({"--output": options.output}, (options.data, options.root))
    check_model_output("--output", options.output)
    check_folder("--runs", options.runs)
    if options.resume is None:  # what a run was started with stays as it is
        check_sequence(options.clips, options.images, options.augmentation)
    if isinstance(options.augmentation.augment, str):
        augment_file(options.augmentation.augment)
    weights = options.model.weights
    if weights not in ("auto", "imagenet", "none") and not Path(weights).is_file():
        near = did_you_mean(near_words(weights, ("imagenet", "none", "auto")))
        found = f"{weights}: no such choice; {near}" if near else missing(weights, "file")
        raise WeightsError(f"--weights {found} (or: imagenet, none)")
