"""`seqvision verify`: prove that a file and its model give the same answers.

load both → random frames over a grid of sizes → real clips → write the report.
"""

import hashlib
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqvision.config import VerifyOptions
from seqvision.console import print_step
from seqvision.errors import ExportError
from seqvision.preflight.shared_checks import report_path
from seqvision_edge.card import ModelCard
from seqvision_edge.errors import ModelError
from seqvision_export.fresh_process import run_in_fresh_process
from seqvision_export.verify.report import Proof, print_summary, save_report

if TYPE_CHECKING:
    from seqvision.models.classifier import Classifier
    from seqvision_edge.session import Session
    from seqvision_export.verify.clips import ClipsProof


def verify(options: VerifyOptions) -> dict[str, Any]:
    """Prove in a fresh process that a file answers as a model does; print and save the report.

    Raises:
        SeqvisionError: one of them cannot be used, or they answer differently.
    """
    path = options.report or report_path(options.model)
    print_step(f"proving in a fresh process{' on clips too' if options.data else ''}")
    report = verify_in_subprocess(options, str(options.model))
    try:
        save_report(path, report)
    except OSError as error:
        raise ExportError(f"--report {path}: cannot be written ({error.strerror})") from None
    print_summary(report)
    return report


def verify_in_subprocess(options: VerifyOptions, name: str) -> dict[str, Any]:
    """Prove in a process of its own, which knows only the two files.

    What an exporter left behind in this process cannot help the proof along.  `name` is what the
    file is called in messages.
    """
    code, printed = run_in_fresh_process(
        "-m", "seqvision_export.verify", options.model_dump_json(), name
    )
    try:
        answer: dict[str, Any] = json.loads(printed)
    except ValueError:
        reason = "killed, as systems do when memory runs out" if code < 0 else f"exit code {code}"
        raise ExportError(f"{name}: the proof ended without a result ({reason})") from None
    if "error" in answer:
        raise ExportError(answer["error"])
    return answer


def prove(options: VerifyOptions, name: str) -> dict[str, Any]:
    """Prove in this process and return the report.

    Raises:
        SeqvisionError: one of the files cannot be used, or they answer differently.
    """
    # Not above: the process that only starts this one needs no torch.
    from seqvision.training.model_io import load_model
    from seqvision_edge.session import Session
    from seqvision_export.verify.parity import Reference, grid
    from seqvision_export.verify.pictures import make_pool

    session = Session(options.model, device="cpu")
    model, card = load_model(options.against)
    _same_card(session.card, card, name, options.against)
    reference, pool = Reference(model, session.card), make_pool(session.card, options)
    proof = Proof(tuple(grid(reference, session, pool)))
    proof.require()
    pictures = None
    if pool is not None:
        pictures = {"real": pool.real, "found": reference.found()}
    if options.data is not None:
        proof = Proof(proof.cases, _on_data(options.data, options, model, session))
        proof.require()
    graph = session.card.graph
    return {
        "file": {
            "name": name,
            "bytes": options.model.stat().st_size,
            "sha256": _sha256(options.model),
            "state": session.card.state.kind,
            "precision": graph.precision if graph else "fp32",
        },
        "reference": {"name": str(options.against), "sha256": _sha256(options.against)},
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "data": None if options.data is None else str(options.data),
        "pictures": pictures,
        **proof.to_json(),
    }


def _on_data(
    data: Path, options: VerifyOptions, model: "Classifier", session: "Session"
) -> "ClipsProof":
    from seqvision.evaluation import load_clips
    from seqvision.preflight.shared_checks import find_for_model
    from seqvision_export.verify.clips import on_clips

    found = find_for_model(data, session.card)
    clips, decoded, _ = load_clips(found, session.card, options.image_fps, options.cache)
    return on_clips(model, session, clips, decoded)


def _same_card(file: ModelCard, model: ModelCard, name: str, against: Path) -> None:
    """Refuse a file of another model: how it cuts, sizes and names things must be the same."""
    for key in ("labels", "sequence", "image"):
        if getattr(file, key) != getattr(model, key):
            raise ModelError(f"{name}: not exported from {against}: its card has other {key}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
