"""Layout and precision: timed, written down, repeated; and the speed-ups that change no answer."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from trainings import options, same, train, weights

from seqvision.config import ModelOptions, TrainingOptions, TrainOptions
from seqvision.data.cache import Cache
from seqvision.data.dataset import EpochSampler, ShareSampler
from seqvision.models.classifier import Classifier
from seqvision.training import autotune
from seqvision.training.autotune import Arithmetic, choose_arithmetic
from seqvision.training.hardware import tune_malloc
from seqvision.training.model_io import load_model
from seqvision_edge.card import ImageSpec

IMAGE = ImageSpec(height=16, width=16, channels=3, fit="stretch")
# Images of a training that is worth the timing.
LONG = 10**9


def classifier(**model: object) -> Classifier:
    return Classifier(ModelOptions(encoder="small_cnn", weights="none", **model), IMAGE, 3)


def timed(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> list[int]:
    """Let each candidate take the given seconds (cl32, clbf16, co32, cobf16); count the timings."""
    batches: list[int] = []

    def times(model, image, images, candidates, device):  # type: ignore[no-untyped-def]
        batches.append(images)
        return [[seconds[f"{layout[:2].replace('ch', 'cl')}{precision}"]] * 3
                for layout, precision in candidates]  # fmt: skip

    monkeypatch.setattr(autotune, "_time", times)
    return batches


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({"cl32": 1.0, "clbf16": 0.95, "co32": 1.0, "cobf16": 2.0}, ("channels_last", "32")),
        ({"cl32": 1.0, "clbf16": 0.5, "co32": 0.9, "cobf16": 0.48}, ("channels_last", "bf16")),
        ({"cl32": 1.0, "clbf16": 2.0, "co32": 0.8, "cobf16": 1.0}, ("contiguous", "32")),
        ({"cl32": 1.0, "clbf16": 0.8, "co32": 0.4, "cobf16": 0.3}, ("contiguous", "bf16")),
    ],
)
def test_another_precision_is_used_where_it_is_clearly_faster(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: dict[str, float],
    chosen: tuple[str, str],
) -> None:
    timed(monkeypatch, **seconds)
    answer = choose_arithmetic(TrainingOptions(), classifier(), IMAGE, 8, LONG, Cache(tmp_path))
    assert (answer.layout, answer.precision) == chosen
    assert answer.relative[autotune._name(*chosen)] == 1


def test_a_given_precision_is_used_without_timing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = timed(monkeypatch)
    cache = Cache(tmp_path)
    given = TrainingOptions(memory_format="contiguous", precision="bf16")
    assert choose_arithmetic(given, classifier(), IMAGE, 8, LONG, cache) == Arithmetic(
        "contiguous", "bf16"
    )
    untimed = TrainingOptions(autotune=False)
    assert choose_arithmetic(untimed, classifier(), IMAGE, 8, LONG, cache) == Arithmetic(
        "channels_last", "32"
    )
    frozen = choose_arithmetic(TrainingOptions(), classifier(freeze=True), IMAGE, 8, LONG, cache)
    assert frozen == Arithmetic("channels_last", "32"), (
        "features are what the exported model computes"
    )
    assert not batches


def test_a_short_training_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = timed(monkeypatch)
    answer = choose_arithmetic(TrainingOptions(), classifier(), IMAGE, 8, 100, Cache(tmp_path))
    assert answer == Arithmetic("channels_last", "32")
    assert not batches


def test_fp16_is_never_chosen_automatically(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def times(model, image, images, candidates, device):  # type: ignore[no-untyped-def]
        seen.extend(candidates)
        return [[1.0]] * len(candidates)

    monkeypatch.setattr(autotune, "_time", times)
    choose_arithmetic(TrainingOptions(), classifier(), IMAGE, 8, LONG, Cache(tmp_path))
    assert {precision for _, precision in seen} == {"32", "bf16"}


def test_timing_really_runs_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autotune, "_SECONDS", 0.05)
    model = classifier()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    answer = choose_arithmetic(TrainingOptions(), model, IMAGE, 8, LONG, Cache(tmp_path))
    assert len(answer.relative) == 4
    assert all(share > 0 for share in answer.relative.values())
    assert same(before, model.state_dict())
    assert torch.equal(state, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_timing_is_done_once_per_encoder_and_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = timed(monkeypatch, cl32=1.0, clbf16=0.5, co32=1.0, cobf16=1.0)
    first = choose_arithmetic(TrainingOptions(), classifier(), IMAGE, 8, LONG, Cache(tmp_path))
    again = choose_arithmetic(
        TrainingOptions(seed=1), classifier(), IMAGE, 8, LONG, Cache(tmp_path)
    )
    assert again == first
    assert batches == [8]
    choose_arithmetic(TrainingOptions(), classifier(), IMAGE, 16, LONG, Cache(tmp_path))
    assert batches == [8, 16]
    for kept in tmp_path.glob("??/*.json"):
        kept.write_text("{}")
    choose_arithmetic(TrainingOptions(), classifier(), IMAGE, 8, LONG, Cache(tmp_path))
    assert batches == [8, 16, 8], "a damaged file is timed again"


def test_the_choice_is_saved_and_a_resumed_run_repeats_it(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(monkeypatch, cl32=1.0, clbf16=1.0, co32=0.5, cobf16=0.25)
    monkeypatch.setattr(autotune, "_SHORT", 0.0)
    parts = {"model": {"encoder": "small_cnn"}, "training": {"autotune": True}}
    result = train(options(squares, tmp_path, 1, **parts))
    written = yaml.safe_load((result.run / "options.yaml").read_text())["training"]
    assert (written["memory_format"], written["precision"]) == ("contiguous", "bf16")
    facts = json.loads((result.run / "run.json").read_text())
    assert facts["arithmetic"]["precision"] == "bf16"
    assert facts["arithmetic"]["relative"]["channels_last fp32"] == 4
    assert "contiguous bf16" in (result.run / "report.html").read_text(encoding="utf-8")
    origin = load_model(result.model)[1].origin.options["training"]
    assert (origin["memory_format"], origin["precision"]) == ("contiguous", "bf16")
    timed(monkeypatch, cl32=0.1, clbf16=1.0, co32=1.0, cobf16=1.0)
    for kept in (tmp_path / "cache").glob("??/*.json"):
        if "relative" in kept.read_text():
            kept.unlink()
    train(TrainOptions(data=squares, resume=result.run, output=tmp_path / "again.pt"))
    assert yaml.safe_load((result.run / "options.yaml").read_text())["training"] == written


@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
def test_a_memory_layout_changes_no_prediction(layout: str) -> None:
    model = classifier().eval()
    frames = torch.randint(0, 256, (2, 5, 16, 16, 3), dtype=torch.uint8)
    before = model(frames)
    model.arrange(autotune.LAYOUTS[layout])
    assert torch.allclose(model(frames), before, atol=1e-5)


def test_pixels_have_the_same_range_in_training_and_export(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for channels, normalize in ((3, "imagenet"), (1, "imagenet"), (3, "symmetric"), (1, "unit")):
        image = ImageSpec(height=5, width=7, channels=channels, fit="stretch")
        chosen = ModelOptions(encoder="flatten", normalize=normalize)
        module = Classifier(chosen, image, 2).normalize
        frames = torch.randint(0, 256, (4, 5, 7, channels), dtype=torch.uint8)
        fast = module(frames)
        with monkeypatch.context() as patched:
            patched.setattr(torch.compiler, "is_exporting", lambda: True)
            exported = module(frames)
        assert fast.shape == exported.shape
        assert torch.allclose(fast, exported, atol=1e-5)


def test_a_batch_is_split_among_processes_with_each_clip_once() -> None:
    for clips in (1, 7, 8, 17, 19, 24):
        data = range(clips)
        for count in (1, 2, 3):
            if clips < count:
                continue
            shares = [
                list(ShareSampler(EpochSampler(data, 0, True), clips, 8, rank, count))
                for rank in range(count)
            ]
            order = [index for _, index in EpochSampler(data, 0, True)]
            assert len({len(share) for share in shares}) == 1, "as many steps in each process"
            assert all(batch for share in shares for batch in share)
            seen = [
                index for batches in zip(*shares, strict=True)
                for index in sorted((i for b in batches for _, i in b), key=order.index)
            ]  # fmt: skip
            assert seen == order
            if count == 1:
                assert [len(batch) for batch in shares[0]][:-1] == [8] * ((clips - 1) // 8)


def test_the_allocator_is_configured_unless_the_user_has_set_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import platform

    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    assert tune_malloc() == (platform.libc_ver()[0] == "glibc")
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "1000000")
    assert not tune_malloc()
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    assert not tune_malloc()


def test_the_same_seed_gives_the_same_model_with_timed_precision(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autotune, "_SHORT", 0.0)
    parts = {"model": {"encoder": "small_cnn"}, "training": {"autotune": True}}
    first = train(options(squares, tmp_path, 2, **parts))
    assert same(weights(first), weights(train(options(squares, tmp_path, 2, **parts))))
