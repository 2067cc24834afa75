"""Options of the outputs: which there are, and where they write."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from seqvision_edge.option_fields import Arg, Options


class OutputOptions(Options):
    """Where events and predictions go."""

    heading = "Output"

    window: Annotated[bool, Arg(off="Show no window, even if there is a display.")] = True
    """Show a window if there is a display; q or Esc closes it, r marks a region with the mouse."""
    json_: Annotated[Path | None, Arg("FILE")] = None
    """Append one JSON line per prediction, per event and per state change of a source to this
    file; - is standard output."""
    save: Annotated[Path | None, Arg("VIDEO")] = None
    """Save the annotated video as this .mp4, .webm, .mkv or .avi file; browsers play the first
    two.  With several sources each has its own, with the source's name before the ending."""
    web: Annotated[str | None, Arg("ADDRESS:PORT")] = None
    """Serve a web page of this run at this address, such as 127.0.0.1:8000; needs the extra
    seqvision-edge[serve]. An address other than loopback requires a token."""
    web_token: Annotated[str | None, Arg("TOKEN|env:NAME")] = None
    """Access token for the page. Generated and printed if the address is not loopback."""
    clips: Annotated[Path | None, Arg("FOLDER")] = None
    """Record each event into this folder, without an overlay, with a clips.csv that `seqvision
    train` reads."""
    clip_before: Annotated[float, Field(ge=0, le=60), Arg("SECONDS")] = 1.0
    """Seconds of a clip before its event."""
    clip_after: Annotated[float, Field(ge=0, le=60), Arg("SECONDS")] = 1.0
    """Seconds of a clip after its event."""
    save_uncertain: Annotated[Path | None, Arg("FOLDER")] = None
    """Save clips worth labelling into this folder: uncertain predictions and rare labels, with a
    collected.csv."""
    save_uncertain_mb: Annotated[float, Field(gt=0), Arg("MEGABYTES")] = 200.0
    """Maximum megabytes of these clips; the least useful ones are deleted first."""
    webhook: Annotated[str | None, Arg("URL")] = None
    """Post each event as JSON to this http or https URL; env:NAME takes it from a variable."""
    webhook_states: bool = False
    """Post state changes of sources too."""
    mqtt: Annotated[str | None, Arg("URL")] = None
    """Publish events and states to mqtt://HOST[:PORT][/PREFIX], or mqtts, with an account as in
    mqtt://USER:PASSWORD@HOST; env:NAME takes it from a variable."""
    metrics: Annotated[str | None, Arg("ADDRESS:PORT")] = None
    """Serve Prometheus' /metrics and a /healthz here, such as 127.0.0.1:9100."""
    on_event: Annotated[tuple[str, ...], Arg("LABEL=COMMAND", once=True)] = ()
    """Run a command for each event of a label, or of any (*); the event is in SEQVISION_LABEL and
    similar variables, and as JSON on its stdin."""
    top: Annotated[int, Field(ge=1)] = 3
    """Number of labels on the picture."""
