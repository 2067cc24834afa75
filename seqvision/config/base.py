"""What all classes of options share."""

import tyro
from pydantic import BaseModel, ConfigDict

# "(default: None)" tells nobody anything.
UNSET = tyro.conf.arg(help_behavior_hint="")


class Options(BaseModel):
    """Inert data: frozen, no unknown keys, docstrings of attributes are the help."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
