"""The site in results/: an index, a page a sweep, and README.md for those who read on a code host.

Pages share site.js and site.css beside them; each sweep's runs are in its own runs.js. So a page is small, and changes
only where its content does. `single=True` puts everything inside each page instead, to be passed on as one file.
Nothing is loaded from elsewhere, and a content security policy makes sure of it. Text from records reaches a page only
through the template engine's escaping (HTML) or as JSON, which the scripts turn into text nodes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench import __version__
from bench.disk import write_atomically
from bench.report import evidence
from bench.report.pages import page, readme
from bench.report.seal import seal
from bench.schema.errors import RequestError

HERE = Path(__file__).resolve().parent
SCRIPT, STYLE, RUNS = "site.js", "site.css", "runs.js"
PARTS = ("vendor/d3.min.js", "vendor/plot.umd.min.js", "templates/charts.js", "templates/page.js")
MOST_BYTES = 2_000_000  # of one page
EMBEDDED_BYTES = 300_000  # of a picture in a single file
PICTURES = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclass
class Site:
    """What was written, and the sweeps that could not be shown.

    Attributes:
        files: in the order they were written.
        broken: messages, one a folder that could not be read.
        contents: what each page shows (`page.content`).
    """

    files: list[Path] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    contents: list[dict[str, Any]] = field(default_factory=list)


def build(results: Path, single: bool = False, store: str = "", reference: Sequence[Any] = ()) -> Site:
    """Write the site for every sweep in `results`.

    A folder that cannot be read is named on the index and does not keep the others from being shown.

    Args:
        single: everything inside each page.
        reference: what can be set, for a page of its own (`bench.cli.reference.sections`); none for no such page.
        store: address of MLflow's pages that runs are linked to; "" for no links, as a reader elsewhere has no store.

    Raises:
        RequestError: when the folder does not exist.
    """
    site, shown = Site(), []
    for folder in evidence.find_folders(results):
        try:
            read = evidence.read(folder)
            content = page.content(read)
        except RequestError as error:
            site.broken.append(f"{folder.name}: {str(error).replace(str(results), results.name)}")
            continue
        content["runs"]["ui"] = store
        shown.append((read, content))
        site.contents.append(content)
        _put(site, folder / "index.html", sweep_page(content, folder if single else None))
        if single:
            (folder / RUNS).unlink(missing_ok=True)
        else:
            _put(site, folder / RUNS, f"window.RUNS = {_json(content['runs'])};\n")
    contents = [content for _, content in shown]
    _put(site, results / "index.html", index_page(contents, site.broken, single, bool(reference)))
    if reference:
        given = {"sections": reference, "root": "", "charts": []}
        _put(site, results / "options.html", _render("options.html.j2", given, single))
    _put(site, results / "README.md", readme.text(shown, site.broken))
    if not single:
        _put(site, results / SCRIPT, script())
        _put(site, results / STYLE, (HERE / "templates" / "style.css").read_text(encoding="utf-8"))
    for folder in dict.fromkeys(path.parent for path in site.files):
        seal(folder, [path.name for path in site.files if path.parent == folder])
    return site


def sweep_page(content: dict[str, Any], inside: Path | None = None) -> str:
    """One sweep's page; where it would be too large, its charts are left to the files beside it.

    Args:
        inside: the folder of its pictures, for a page that holds everything itself.
    """
    given = {**content, "root": "../", "embed": _embedder(inside)}
    text = _render("sweep.html.j2", given, inside is not None)
    if len(text.encode()) > MOST_BYTES and content["charts"]:
        figures = [{**f, "chart": None, "rows": []} for f in content["figures"]]
        text = _render("sweep.html.j2", {**given, "charts": [], "figures": figures}, inside is not None)
    return text


def index_page(
    contents: Sequence[dict[str, Any]], broken: Sequence[str], single: bool = False, reference: bool = False
) -> str:
    """The list of sweeps, each with its verdicts, by theme; `reference`: whether there is a page of all options."""
    verdicts = [v for content in contents for v in content["verdicts"]]
    tally = [(word, sum(v["word"] == word for v in verdicts)) for word in ("supported", "refuted", "open")]
    themes: dict[str, list[dict[str, Any]]] = {}
    for content in sorted(contents, key=lambda c: (not c["theme"], c["theme"].lower(), c["name"])):
        alike = [c for c in contents if c["question"] == content["question"]]
        apart = (content["scale"] if len({c["scale"] for c in alike}) == len(alike) else content["name"]) or "no scale"
        one = {**content, "apart": apart if len(alike) > 1 else "", "href": f"{quote(content['name'])}/index.html"}
        themes.setdefault(content["theme"], []).append(one)
    given = {
        "themes": list(themes.items()),
        "count": len(contents),
        "runs": sum(content["finished"] for content in contents),
        "tally": [(word, count) for word, count in tally if count],
        "datasets": sorted({name for content in contents for name in content["datasets"]}),
        "words": page.MEANINGS,
        "broken": broken,
        "reference": reference,
        "root": "",
        "charts": [],
    }
    return _render("index.html.j2", given, single)


def script() -> str:
    """site.js: the chart library, the charts, the tables. No text of users."""
    parts = [(HERE / name).read_text(encoding="utf-8").rstrip() for name in PARTS]
    libraries, own = "\n".join(parts[:2]), "\n".join(parts[2:])
    return f"{libraries}\n(() => {{\n{own}\n}})();\n"


def _render(template: str, given: dict[str, Any], single: bool) -> str:
    environment = Environment(
        loader=PackageLoader("bench.report.pages"),
        autoescape=True,  # whatever the file is called
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
    inside: dict[str, Any] = {"style": "", "script": "", "hash": ""}
    if single:
        text = script()
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        style = (HERE / "templates" / "style.css").read_text(encoding="utf-8")
        inside = {"style": _as_markup(style), "script": _as_markup(text), "hash": _as_markup(f"'sha256-{digest}'")}
    return environment.get_template(template).render(version=__version__, single=single, **inside, **given)


def _embedder(folder: Path | None) -> Any:
    """What becomes of a picture's name in a page: itself, or its content where the page is to hold everything."""

    def embed(name: str) -> str:
        for place in () if folder is None else (folder / name, (folder / name).with_suffix(".png")):
            if place.exists() and place.stat().st_size <= EMBEDDED_BYTES:
                return f"data:{PICTURES[place.suffix]};base64,{base64.b64encode(place.read_bytes()).decode()}"
        return name

    return embed


def _json(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"), allow_nan=False, sort_keys=False)


def _as_markup(text: str) -> Any:
    """A file of the package as it is: it holds no text of users."""
    from markupsafe import Markup

    return Markup(text)


def _put(site: Site, path: Path, text: str) -> None:
    write_atomically(path, text)
    site.files.append(path)
