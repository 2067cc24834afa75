"""Make imgaug and torchvision importable where their releases lag behind NumPy and torch.

Import `imgaug`, `iaa` and `torchvision` from here; each is imported when it is first used, because
each takes seconds, with SciPy or torch behind it.  torchmetrics and lightning touch torchvision by
themselves: import it from here before them.
"""

import sys
from types import ModuleType
from typing import Any

import numpy as np

from seqvision_edge.opencv import cv2


def _import_torchvision() -> ModuleType:
    """Import torchvision even when its C extension was built for another torch.

    The registry's torchvision wheels are built for CUDA.  With a CPU torch the extension does not
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
        import torch

        global _schemas  # they are there as long as this
        _schemas = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            _schemas.define(schema)
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
    # SciPy takes a torch that is marked as missing for one that is loaded.
    marked = "torch" in sys.modules and sys.modules["torch"] is None
    if marked:
        del sys.modules["torch"]
    import imgaug.augmenters

    if marked:
        sys.modules["torch"] = None  # type: ignore[assignment]
    return imgaug


_schemas: Any = None
# imgaug is slower with OpenCV's threads than without, and data workers would fight over cores.
cv2.setNumThreads(0)


def __getattr__(name: str) -> Any:
    """Import a name on first use: `torchvision`, `imgaug`, or `iaa`, its augmenters."""
    if name == "torchvision":
        found: Any = _import_torchvision()
    elif name in ("imgaug", "iaa"):
        imgaug = _import_imgaug()
        found = imgaug if name == "imgaug" else imgaug.augmenters
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found
