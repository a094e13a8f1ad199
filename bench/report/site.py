"""The site in results/: an index, a page a sweep, and README.md for those who read on a code host.

Every page is one file: styles, scripts and data are inside, nothing is loaded from elsewhere, and a content security
policy with the scripts' hashes makes sure of it. Text from records reaches a page only through the template engine's
escaping (HTML) or its JSON filter (data of charts and runs, which the scripts turn into text nodes).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench import __version__
from bench.disk import write_atomically
from bench.report import evidence, page, readme
from bench.schema.errors import RequestError

HERE = Path(__file__).resolve().parent
MOST_BYTES = 2_000_000  # of one page


@dataclass
class Site:
    """What was written, and the sweeps that could not be shown.

    Attributes:
        files: pages and README.md, in the order they were written.
        broken: messages, one a folder that could not be read.
    """

    files: list[Path] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def build(results: Path) -> Site:
    """Write the site for every sweep in `results`.

    A folder that cannot be read is named on the index and does not keep the others from being shown.

    Raises:
        RequestError: when the folder does not exist.
    """
    site, shown = Site(), []
    for folder in evidence.found(results):
        try:
            read = evidence.read(folder)
            content = page.content(read)
        except RequestError as error:
            site.broken.append(f"{folder.name}: {str(error).replace(str(results), results.name)}")
            continue
        shown.append((read, content))
        _put(site, folder / "index.html", sweep_page(content))
        if content["many_runs"]:
            own = {**content, "runs": content["many_runs"]}
            _put(site, folder / "runs.html", _render("runs.html.j2", ("page.js",), own))
        else:
            (folder / "runs.html").unlink(missing_ok=True)  # of an earlier, larger state
    _put(site, results / "index.html", index_page([content for _, content in shown], site.broken))
    _put(site, results / "README.md", readme.text(shown, site.broken))
    return site


def sweep_page(content: dict[str, Any]) -> str:
    """One sweep's page; where it would be too large, its charts are left to the files beside it."""
    libraries = ("vendor/d3.min.js", "vendor/plot.umd.min.js", "charts.js")
    text = _render("sweep.html.j2", ("page.js", *(libraries if content["charts"] else ())), content)
    if len(text.encode()) > MOST_BYTES and content["charts"]:
        figures = [{**f, "chart": None, "rows": []} for f in content["figures"]]
        text = _render("sweep.html.j2", ("page.js",), {**content, "charts": [], "figures": figures})
    return text


def index_page(contents: list[dict[str, Any]], broken: list[str]) -> str:
    """The list of sweeps, each with its verdicts."""
    verdicts = [v for content in contents for v in content["verdicts"]]
    tally = [(word, sum(v["word"] == word for v in verdicts)) for word in ("supported", "refuted", "open")]
    sweeps = [{**content, "href": f"{quote(content['name'])}/index.html"} for content in contents]
    given = {
        "sweeps": sweeps,
        "runs": sum(content["finished"] for content in contents),
        "tally": [(word, count) for word, count in tally if count],
        "broken": broken,
    }
    return _render("index.html.j2", (), given)


def _render(template: str, scripts: tuple[str, ...], given: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=True,  # whatever the file is called
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
    return environment.get_template(template).render(
        version=__version__,
        written="",
        style=_trusted(HERE / "templates" / "style.css"),
        scripts=[_script(HERE / (name if "/" in name else f"templates/{name}")) for name in scripts],
        **given,
    )


def _script(path: Path) -> dict[str, Any]:
    text = _trusted(path)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"text": text, "hash": _markup(f"'sha256-{digest}'")}


def _trusted(path: Path) -> Any:
    """A file of the package as it is: it holds no text of users."""
    return _markup(path.read_text(encoding="utf-8"))


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)


def _put(site: Site, path: Path, text: str) -> None:
    write_atomically(path, text)
    site.files.append(path)
