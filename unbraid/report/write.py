"""The page and its JSON on disk, each in one step."""

import json
import os
from pathlib import Path

from unbraid.report.evidence import Evidence, facts
from unbraid.report.page import page_of
from unbraid.report.pictures import cmc_picture, det_picture, leakage_picture


def report(evidence: Evidence, out: Path) -> Path:
    """Write one self-contained HTML page, and a JSON file of the same name beside it with every number of the page.

    out: the page, ending in .html; or a folder, which then gets report.html. Folders are made, old files replaced.
    The page needs no network, no scripts and no other file.
    Returns the path of the page.
    Raises ValueError for a name that is neither, OSError naming the place when it cannot be written.

    Example:
        report(Evidence("First run", {"colour": result}), Path("report.html"))
    """
    page = _page_path(Path(out))
    told = facts(evidence)
    pictures = [*evidence.pictures]
    if evidence.results:
        pictures.append(cmc_picture(evidence.results))
    if evidence.verifications:
        pictures.append(det_picture(evidence.verifications))
    bars = None if evidence.leakage is None else leakage_picture(evidence.leakage)
    pictures += [] if bars is None else [bars]
    html = page_of(told, pictures)
    numbers = json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        # numbers first: whoever sees the new page finds its numbers
        _write(page.with_suffix(".json"), numbers)
        _write(page, html)
    except OSError as error:
        reason = f"the report cannot be written there ({error.strerror or error}); name another place with --out"
        raise OSError(error.errno, reason, str(page)) from error
    return page


def _page_path(out: Path) -> Path:
    if out.suffix.lower() in (".html", ".htm") and not out.is_dir():
        return out
    if out.is_dir() or not out.suffix:
        return out / "report.html"
    raise ValueError(f"{out} is neither a folder nor a page; name a file that ends in .html, or a folder")


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # a lone surrogate, which a file name can hold, must not stop a report
        part.write_text(text, encoding="utf-8", errors="replace", newline="\n")
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
