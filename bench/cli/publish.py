"""The results as a static site in a folder of its own, ready for any host of pages.

    bench publish site/                  pages, figures, tables and records, for GitHub Pages, S3 or a web server
    bench publish hub:NAME/RESULTS       the same as a static Space of the Hugging Face hub (after 'hf auth login')
    bench publish site/ --ro-crate       with ro-crate-metadata.json, which Zenodo and other repositories read

Nothing in it leads to a store or a folder of this machine. Results whose files contradict each other are refused.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
from pathlib import Path

from bench.schema.errors import RequestError

SUMMARY = "the results as a static site, in a folder or on the hub"

MARK = ".imagebench-site"  # in a folder that this verb wrote: it may be written again
HUB = re.compile(r"hub:[\w.-]+/[\w.-]+")
CARD = """\
---
title: {title}
sdk: static
app_file: index.html
tags: [imagebench]
---

Results of imagebench: index.html. Each folder holds records.csv (every run), tables, figures and
verdicts, and manifest.json.
"""


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's flags."""
    parser.add_argument("place", help="a new folder, one that was published to before, or hub:OWNER/NAME")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the results")
    parser.add_argument("--ro-crate", action="store_true", help="with metadata of an RO-Crate")


def main(args: argparse.Namespace) -> int:
    """Write or upload the site."""
    if args.place.startswith("hub"):
        where = upload(args.results, args.place, args.ro_crate)
    else:
        where = str(publish(args.results, Path(args.place), args.ro_crate) / "index.html")
    print(json.dumps({"site": where}) if args.json else where)
    return 0


def publish(results: Path, folder: Path, described: bool = False) -> Path:
    """Write the site for `results` into `folder`, whole or not at all.

    Args:
        described: with metadata for repositories of research data (`bench.report.pages.crate`).

    Raises:
        RequestError: for results that contradict each other, and for a folder that holds something else.
    """
    from bench.cli.reference import sections
    from bench.report import evidence, integrity
    from bench.report.pages import crate, site

    if folder.resolve() == results.resolve() or results.resolve() in folder.resolve().parents:
        raise RequestError(f"{folder} is in the results themselves. 'bench report' makes their pages; name another.")
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / MARK).is_file())):
        raise RequestError(f"{folder} holds something that no site of ours is. Name a new folder.")
    found = evidence.find_folders(results)
    if not found:
        raise RequestError(f"There are no results in {results}. 'bench table NAME' writes them.")
    read = [evidence.read(place) for place in found]
    for place, one in zip(found, read, strict=True):
        if faults := integrity.faults(one):
            raise RequestError(f"{place}: {faults[0]}. 'bench reproduce {place.name} --check' says all.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".site-") as scratch:
        made = Path(scratch) / "site"
        made.mkdir()
        for place in found:
            shutil.copytree(place, made / place.name, symlinks=True, ignore=shutil.ignore_patterns(".*"))
        site.build(made, reference=sections(own=False))
        if described:
            crate.describe(made, read)
        (made / ".nojekyll").touch()  # GitHub Pages: serve the files as they are
        (made / MARK).touch()
        if folder.exists():
            folder.rename(Path(scratch) / "before")
        made.rename(folder)
    return folder


def upload(results: Path, place: str, described: bool = False) -> str:
    """Publish to a static Space of the Hugging Face hub; gives its address.

    Raises:
        RequestError: without the package, a login, or an answer.
    """
    if not HUB.fullmatch(place):
        raise RequestError(f"{place}: expected hub:OWNER/NAME, such as hub:anna/results.")
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import LocalTokenNotFoundError
    except ImportError:
        raise RequestError("Publishing to the hub needs pip install 'imagebench[huggingface]'.") from None
    name = place.removeprefix("hub:")
    with tempfile.TemporaryDirectory() as scratch:
        made = publish(results, Path(scratch) / "site", described)
        (made / "README.md").write_text(CARD.format(title=name.partition("/")[2]), encoding="utf-8")
        api = HfApi()
        try:
            api.create_repo(name, repo_type="space", space_sdk="static", exist_ok=True)
            api.upload_folder(folder_path=made, repo_id=name, repo_type="space", commit_message="Results of imagebench")
        except LocalTokenNotFoundError:
            raise RequestError("The hub does not know you: 'hf auth login' first.") from None
        except Exception as error:  # which HTTP library it uses, and so what that raises, changes with its version
            raise RequestError(f"{place}: the hub did not take it ({str(error).splitlines()[0]}).") from None
    return f"https://huggingface.co/spaces/{name}"
