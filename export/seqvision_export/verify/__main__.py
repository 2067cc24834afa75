"""The fresh process of a proof: options as JSON in, a report or an error as JSON out."""

import json
import sys

from seqvision.config import VerifyOptions
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.interrupts import TERMINATED, end_on_sigterm
from seqvision_export.verify.verify import prove

if __name__ == "__main__":
    end_on_sigterm()
    options = VerifyOptions.model_validate_json(sys.argv[1])
    try:
        answer = prove(options, sys.argv[2])
    except SeqvisionError as error:
        answer = {"error": str(error)}
    except KeyboardInterrupt:
        sys.exit(TERMINATED)
    print(json.dumps(answer))  # noqa: T201
