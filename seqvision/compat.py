"""Make imgaug and torchvision importable where their releases lag behind NumPy and torch.

Import `imgaug`, `iaa` and `torchvision` from here; and import this module before torchmetrics or
lightning, which touch torchvision by themselves.  imgaug comes when it is first asked for: it and
the SciPy that it needs take seconds.
"""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import torch

from seqvision_edge.opencv import cv2


def _import_torchvision() -> ModuleType:
    """Import torchvision even when its C extension was built for another torch.

    The registry's torchvision wheels are built for CUDA.  Beside a CPU torch the extension does not
    load, and the import dies while it registers a fake for an operator that does not exist.  With
    the operators' schemas defined, the models, transforms and data sets work; calling nms still
    fails loudly, because it has no kernel.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for operator in ("nms", "qnms"):
            schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            _SCHEMAS.define(schema)  # type: ignore[no-untyped-call]
        import torchvision
    return torchvision


def _import_imgaug() -> ModuleType:
    """Import imgaug and its augmenters under NumPy 2.

    imgaug 0.4 reads `np.sctypes`, `np.bool` and `np.complex`, which NumPy removed.
    """
    removed: dict[str, Any] = {
        "sctypes": {
            "int": [np.int8, np.int16, np.int32, np.int64],
            "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
            "float": [np.float16, np.float32, np.float64],
            "complex": [np.complex64, np.complex128],
            "others": [bool, object, bytes, str, np.void],
        },
        "bool": np.bool_,
        "complex": complex,
    }
    for name, value in removed.items():
        if name not in np.__dict__:
            setattr(np, name, value)
    import imgaug.augmenters

    return imgaug


_SCHEMAS = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
torchvision = _import_torchvision()
# imgaug is slower with OpenCV's threads than without, and data workers would fight over cores.
cv2.setNumThreads(0)


def __getattr__(name: str) -> Any:
    """Import imgaug when `imgaug` or `iaa`, its augmenters, is asked for."""
    if name not in ("imgaug", "iaa"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    imgaug = _import_imgaug()
    return imgaug if name == "imgaug" else imgaug.augmenters
