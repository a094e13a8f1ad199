"""A published folder as an RO-Crate (researchobject.org): what each folder and file is, and which runs made it.

Repositories of research data (Zenodo, Dataverse, WorkflowHub) read it. What the library fills in by itself, such as
the day of writing, is set from the records: the same results give the same file.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Sequence
from pathlib import Path

from bench import __version__
from bench.report.evidence import Evidence
from bench.report.pages import facts
from bench.schema.errors import RequestError

FILE = "ro-crate-metadata.json"
TOOL = "#imagebench"
# What the standard library's list of types lacks.
TYPES = {".md": "text/markdown", ".jsonl": "application/jsonl", ".npz": "application/zip", ".tex": "application/x-tex"}


def describe(folder: Path, found: Sequence[Evidence]) -> Path:
    """Write `ro-crate-metadata.json` for a folder with a folder for each sweep; gives its path.

    Raises:
        RequestError: without the package.
    """
    try:
        from rocrate.model import ContextEntity
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise RequestError("An RO-Crate needs pip install 'imagebench[publish]'.") from None
    crate = ROCrate()
    crate.name = "Results of imagebench"
    crate.description = f"{len(found)} sweeps of image classification: every run, tables, figures and verdicts."
    crate.root_dataset["datePublished"] = max((facts.date(one) for one in found), default="")

    def entity(place_: str, kind: str, /, **properties: object) -> ContextEntity:
        return crate.add(ContextEntity(crate, place_, properties={"@type": kind, **properties}))

    tool = entity(TOOL, "SoftwareApplication", name="imagebench", version=__version__)
    for one in found:
        place = one.folder.name
        parts = []
        for file in sorted((folder / place).iterdir()):
            kind = TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            content = file.read_bytes()
            more = {"sha256": hashlib.sha256(content).hexdigest(), "contentSize": str(len(content))}
            properties = {"name": file.name, "encodingFormat": kind, **more}
            parts.append(crate.add_file(dest_path=f"{place}/{file.name}", properties=properties))
        about = {"name": one.sweep.question or one.name, "description": facts.summary(one)}
        made = crate.add_dataset(dest_path=f"{place}/", properties={**about, "hasPart": parts})
        prints = sorted(one.manifest.get("data_fingerprints", {}))
        data = [entity(f"#data-{p}", "Dataset", name=", ".join(facts.datasets(one)), identifier=p) for p in prints]
        action = entity(
            f"#runs-{place}",
            "CreateAction",
            name=one.manifest.get("command") or f"bench sweep {one.sweep.name}",
            description=f"code: {', '.join(one.manifest.get('code', {}).get('commits', {})) or 'not recorded'}",
            endTime=facts.date(one),
        )
        action["instrument"], action["object"], action["result"] = tool, data, made
    crate.metadata.write(folder)
    return folder / FILE
