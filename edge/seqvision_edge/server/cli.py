"""`edge-serve`: serve a model over HTTP.

Only the options are imported at the start; the rest when the server starts.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from seqvision_edge import __version__, command_line, interrupts
from seqvision_edge.command_line import print_message
from seqvision_edge.decision_options import DecisionOptions, decision_of
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.option_fields import Arg, Options
from seqvision_edge.providers import Device
from seqvision_edge.server.auth import access_policy, read_token, refuse_without_server, server_url
from seqvision_edge.server.limits import Limits

if TYPE_CHECKING:
    from seqvision_edge.session import Session

PROGRAM = "edge-serve"
ADDRESS, MODEL, EVENTS, RECORDING = "Address", "Model", "Events", "Recording"


class ServeOptions(Options):
    """Serve a model over HTTP: predictions for clips and pictures, streams, a page.

    Exit codes: 2 wrong use, 130 Ctrl-C, 143 terminated.
    """

    examples: ClassVar = (
        "edge-serve model.onnx                     # http://127.0.0.1:8000/",
        "edge-serve model.onnx --host 0.0.0.0      # for others too, with a token",
        "edge-serve model.onnx --record takes/     # record takes in the browser",
    )
    headings: ClassVar = (ADDRESS, MODEL, EVENTS, RECORDING)

    model: Annotated[Path, Arg("MODEL", positional=True)] = Path("model.onnx")
    """The exported model."""
    host: Annotated[str, Arg("ADDRESS", ADDRESS)] = "127.0.0.1"
    """Address to listen on; any other than loopback requires a token."""
    port: Annotated[int, Field(ge=0, le=65535), Arg("PORT", ADDRESS)] = 8000
    """Port to listen on; 0 takes a free one."""
    token: Annotated[str | None, Arg("TOKEN|env:NAME", ADDRESS)] = None
    """Access token of at least 16 characters; env:NAME reads it from an environment variable,
    hidden from other users of this machine. Generated and printed if the address is not
    loopback."""
    allow_host: Annotated[tuple[str, ...], Arg("NAME", ADDRESS, once=True)] = ()
    """Additional name that a Host header may have."""
    max_clients: Annotated[int, Field(ge=1, le=10_000), Arg("N", ADDRESS)] = Limits.clients
    """Maximum number of concurrent requests and WebSockets."""
    idle_timeout: Annotated[float, Field(gt=0, le=86_400), Arg("SECONDS", ADDRESS)] = (
        Limits.idle_seconds
    )
    """Seconds without a frame after which a stream is closed."""
    device: Annotated[Device, Arg("DEVICE", MODEL)] = "auto"
    """Where the model runs; auto takes CUDA if it is installed and starts, else the CPU."""
    threads: Annotated[int, Field(ge=1), Arg("N", MODEL)] = 1
    """CPU threads of the model."""
    expect_sha256: Annotated[
        Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")] | None, Arg("HEX", MODEL)
    ] = None
    """Refuse a model file with another SHA-256 hash."""
    fetch_web_runtime: Annotated[bool, Arg(group=MODEL)] = False
    """Download onnxruntime-web, with which the page runs the model in the browser, and exit."""
    region: Annotated[tuple[str, ...], Arg("NAME=X1,Y1,X2,Y2", MODEL, once=True)] = ()
    """Part of the picture with a state and events of its own, of streams of pictures that ask for
    none; may be repeated. As for edge-run."""
    decision: DecisionOptions = DecisionOptions()
    record: Annotated[Path | None, Arg("FOLDER", RECORDING)] = None
    """Folder for takes that the page /record records with the browser's camera."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `edge-serve` and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return command_line.run_command(lambda: edge_serve(_read(given)))


def _read(arguments: Sequence[str]) -> ServeOptions:
    version = f"{PROGRAM} {__version__}"
    return command_line.read_arguments(
        ServeOptions, PROGRAM, arguments, version, command_line.edge_programs
    ).build()


def edge_serve(options: ServeOptions) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        SeqvisionError: a user's mistake, in one line.
        KeyboardInterrupt: the server was ended by Ctrl-C.
    """
    if options.fetch_web_runtime:
        from seqvision_edge.server import web_runtime

        _print(f"{PROGRAM}: onnxruntime-web {web_runtime.VERSION} is in {web_runtime.fetch()}")
        return 0
    refuse_without_server(PROGRAM)
    token = read_token(options.token, f"{PROGRAM}: --token")
    interrupts.end_on_sigterm()

    from seqvision_edge.regions import named, parse_region

    regions = named(map(parse_region, options.region))
    from seqvision_edge.server.app import Served
    from seqvision_edge.server.http_server import Server, listen
    from seqvision_edge.session import Session

    recorder = None
    if options.record is not None:
        from seqvision_edge.server.recorder import Recorder

        recorder = Recorder(options.record)
    # As written in a URL: [::1].
    host = options.host[1:-1] if re.fullmatch(r"\[.*\]", options.host) else options.host
    with listen(host, options.port) as opened:
        session = Session(
            options.model, options.device, options.threads, expect_sha256=options.expect_sha256
        )
        if regions and session.card.vectors is not None:
            raise SeqvisionError(f"--region: {session.where} reads vectors, not pictures")
        decision = decision_of(options.decision, session.card, PROGRAM)
        if recorder is not None and session.card.vectors is not None:
            raise SeqvisionError(
                f"{PROGRAM}: --record {options.record}: takes are pictures, {options.model} reads "
                "vectors; leave it out"
            )
        _print(command_line.folded(f"{PROGRAM}: {_describe(session)}"))
        access = access_policy(host, token, options.allow_host)
        if access.made:
            _print(f"{PROGRAM}: token: {access.made}")
        limits = replace(
            Limits(),
            clients=options.max_clients,
            streams=options.max_clients,
            room=max(Limits.room, 2 * options.max_clients),
            idle_seconds=options.idle_timeout,
        )
        served = Served(
            session,
            names=access.names,
            key=access.key,
            limits=limits,
            file=options.model,
            decision=decision,
            recorder=recorder,
            regions=regions,
        )
        if recorder is not None:
            _print(f"{PROGRAM}: takes go to {options.record}, recorded at /record")
        address = server_url(host, opened.getsockname()[1])
        server = Server(served)
        try:
            _print(f"{PROGRAM}: {address} · API: {address}docs")
            server.run([opened])
        except KeyboardInterrupt:
            if sys.stderr.isatty():
                # Overwrite the ^C echoed by the terminal, and the text before it: on Ctrl-C a
                # terminal discards pending output, which may be the end of a line.
                sys.stderr.write("\r\x1b[2K")
                _print(f"{PROGRAM}: stopped")
            raise
    return 0


def _describe(session: "Session") -> str:
    card = session.card
    labels = f"{len(card.labels)} labels"
    return " · ".join((session.where, labels, str(card.sequence), card.step_size, session.device))


def _print(text: str) -> None:
    print_message(text)
