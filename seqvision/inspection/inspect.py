"""`seqvision inspect`: THE WAY from a model file to what it is, without running it."""

import json

from seqvision.config import InspectOptions
from seqvision.console import print_result
from seqvision.inspection.found import Inspection
from seqvision.inspection.read import read
from seqvision.inspection.tell import print_inspection
from seqvision_edge.errors import ModelError


def inspect(options: InspectOptions) -> Inspection:
    """Print what a model file is: its contract, its card, where it comes from.

    Raises:
        SeqvisionError: not a model file, or one whose graph is not the one that its card names.
    """
    found = read(options.model)
    if options.json_:
        print_result(json.dumps(found.to_json(), indent=2))
    else:
        print_inspection(found)
    if found.graph is not None and found.graph.integrity == "differs":
        raise ModelError(f"{found.file}: damaged: its graph is not the one that its card names")
    return found
