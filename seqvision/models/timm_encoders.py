"""`--encoder timm:NAME`: a network of the package timm, which is an extra, as an encoder.

Only names of timm's own table are taken: nothing that a model file names is downloaded or run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from torch import nn

from seqvision.config.option_types import TIMM
from seqvision.errors import WeightsError
from seqvision_edge.hints import did_you_mean, near_words


def is_timm(encoder: str) -> bool:
    """Whether an encoder's name is that of a network of timm."""
    return encoder.startswith(TIMM)


def check_timm(encoder: str) -> None:
    """Refuse a network that timm does not have.

    Raises:
        WeightsError: timm is not installed, or has no such network or weights.
    """
    timm = _timm(encoder)
    name = encoder.removeprefix(TIMM)
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = [f"{TIMM}{one}" for one in near_words(architecture, timm.list_models())]
        hint = did_you_mean(near) or "see: python -c 'import timm; print(timm.list_models())'"
        raise WeightsError(
            f"--encoder {encoder}: timm {timm.__version__} has no such network; {hint}"
        )
    found = timm.list_models(architecture, include_tags=True)
    tags = [one.partition(".")[2] for one in found if one.partition(".")[0] == architecture]
    if tag and tag not in tags:
        plain = f"{TIMM}{architecture}"
        near = [f"{plain}.{one}" for one in near_words(tag, tags)] or [plain]
        raise WeightsError(
            f"--encoder {encoder}: timm {timm.__version__} has no such weights of {architecture}; "
            f"{did_you_mean(near)}"
        )


def timm_network(encoder: str, height: int, width: int, pretrained: bool = False) -> nn.Module:
    """Return a network without its classifier, for three channels of this size.

    Raises:
        WeightsError: timm has no such network, it does not take this size, or its pretrained
            weights cannot be had.
    """
    check_timm(encoder)
    timm, name = _timm(encoder), encoder.removeprefix(TIMM)
    config = timm.get_pretrained_cfg(name)
    if pretrained and not (config and config.has_weights):
        raise WeightsError(f"timm has no pretrained weights of {name}")
    options: dict[str, Any] = {"num_classes": 0, "in_chans": 3, "img_size": (height, width)}
    try:
        network = _create(timm, name, options)
    except (AssertionError, RuntimeError, ValueError):
        raise size_error(encoder, height, width) from None
    if not pretrained:
        return network
    unreachable = _why_unreachable()
    try:
        with _cache_only(unreachable is not None):
            return _create(timm, name, {**options, "pretrained": True})
    except Exception as error:  # the client of the hub raises many unrelated types
        where = f"https://huggingface.co/{config.hf_hub_id}" if config.hf_hub_id else config.url
        why = unreachable or " ".join(str(error).split())[:100] or type(error).__name__
        raise WeightsError(
            f"pretrained weights could not be had from {where} ({why}); "
            "give a file with --weights PATH, or --weights none"
        ) from None


def _why_unreachable() -> str | None:
    """Return why the hub of the weights cannot be reached; its client would try for a minute."""
    from huggingface_hub import constants

    try:
        with urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=10):
            return None
    except HTTPError:
        return None
    except (OSError, ValueError) as error:
        return " ".join(str(getattr(error, "reason", error)).split())[:100]


@contextmanager
def _cache_only(offline: bool) -> Iterator[None]:
    """Let the hub's client look only on this machine."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or offline
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def size_error(encoder: str, height: int, width: int) -> WeightsError:
    """Return an error: a network cannot take frames of this size; it names one that it takes."""
    config = _timm(encoder).get_pretrained_cfg(encoder.removeprefix(TIMM))
    _, own_height, own_width = config.input_size if config else (3, 224, 224)
    size = f"{height}" if height == width else f"{height}×{width}"
    return WeightsError(
        f"--size {size}: not a size that {encoder} takes; it was made for {own_height}×{own_width}"
    )


def timm_pixel_range(encoder: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of the pixels of a network's pretrained weights.

    Raises:
        WeightsError: timm is not installed.
    """
    config = _timm(encoder).get_pretrained_cfg(encoder.removeprefix(TIMM))
    if config is None:
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return tuple(config.mean), tuple(config.std)


def _create(timm: Any, name: str, options: dict[str, Any]) -> nn.Module:
    try:
        network: nn.Module = timm.create_model(name, **options)
    except TypeError as error:
        # A network of convolutions takes any size, and has no such argument.
        if "img_size" not in str(error):
            raise
        del options["img_size"]
        network = timm.create_model(name, **options)
    return network


def _timm(encoder: str) -> Any:
    if find_spec("timm") is None:
        raise WeightsError(f"--encoder {encoder}: needs the package timm: pip install timm")
    from seqvision import compat

    assert compat.torchvision  # imported before timm touches it
    import timm

    return timm
