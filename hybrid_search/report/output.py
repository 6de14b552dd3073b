"""Write the report of a search to a file."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import hybrid_search
from hybrid_search._internal.counted import counted
from hybrid_search._internal.output_file import check_output_file, written_file
from hybrid_search._internal.paths import shown_path
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger
from hybrid_search.records import SearchRecord
from hybrid_search.report.blocks import Report
from hybrid_search.report.design_sections import cost_section, designs_section, training_section
from hybrid_search.report.html_page import MARK as HTML_MARK
from hybrid_search.report.html_page import html_page
from hybrid_search.report.markdown_page import MARK as MARKDOWN_MARK
from hybrid_search.report.markdown_page import markdown_page, pictures_of
from hybrid_search.report.origin_sections import environment_section, reproduction_section, settings_section
from hybrid_search.report.report_data import ReportData, read_report
from hybrid_search.report.result_sections import confirmed_section, effects_section, front_section

FORMATS = (".html", ".md")
LONGEST_NAME = 200  # characters of a search in the heading


def write_report(
    ledger: Ledger,
    search: SearchRecord,
    out: str | Path,
    *,
    picks: Sequence[str] | None = None,
    force: bool = False,
) -> Path:
    """Write the report of a search.

    Args:
        ledger: The ledger; read-only is enough.
        search: The search.
        out: The file: NAME.html, or NAME.md with its pictures NAME-*.svg beside it. An earlier report is replaced.
        picks: The designs to draw, as `--pick` of `export` takes them; None: the knee and the best one.
        force: Replace files that are no reports too.

    Returns:
        The absolute path of the file.

    Raises:
        SettingsError: The file has another suffix, cannot be written, or exists and is no report.
        UnknownName: A pick is unknown.

    Example:
        >>> with Ledger("sqlite:///results/hybrid-search.db", read_only=True) as ledger:
        ...     write_report(ledger, ledger.search("digits"), "digits.html")
    """
    path = check_report_file(out, force=force)
    report = report_of(read_report(ledger, search, picks))
    if path.suffix.lower() == ".html":
        _write(path, html_page(report))
        return path
    pictures = {path.with_name(name): text for name, text in pictures_of(report, path.stem).items()}
    for file in pictures:
        _check_replaceable(file, file, MARKDOWN_MARK, force=force)
    for file, text in pictures.items():
        _write(file, text)
    _write(path, markdown_page(report, path.stem))
    return path


def report_text(ledger: Ledger, search: SearchRecord, *, picks: Sequence[str] | None = None) -> str:
    """Return the HTML text of the report of a search, for example to show it in a notebook.

    Args:
        ledger: The ledger; read-only is enough.
        search: The search.
        picks: The designs to draw, as `--pick` of `export` takes them; None: the knee and the best one.

    Raises:
        UnknownName: A pick is unknown.
        SettingsError: No completed trial fulfils a pick.

    Example:
        >>> with Ledger(read_only=True) as ledger:
        ...     text = report_text(ledger, ledger.search("digits"))
    """
    return html_page(report_of(read_report(ledger, search, picks)))


def check_report_file(out: str | Path, *, force: bool) -> Path:
    """Return the absolute path of a report that can be written. Nothing is left there.

    Args:
        out: The file as typed.
        force: Whether a file that is no report may be replaced.

    Raises:
        SettingsError: It has another suffix, cannot be written, or exists and is no report.
    """
    path = check_output_file("OUT", out)
    if path.suffix.lower() not in FORMATS:
        raise SettingsError(f"OUT must be a file .html or .md, such as report.html; got {shown_path(out)}.")
    mark = HTML_MARK if path.suffix.lower() == ".html" else MARKDOWN_MARK
    _check_replaceable(path, out, mark, force=force)
    return path


def report_of(data: ReportData) -> Report:
    """Return the report of what was read.

    Args:
        data: everything that the report shows.
    """
    name = data.search.name
    title = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    sections = (
        front_section(data),
        confirmed_section(data),
        effects_section(data),
        designs_section(data),
        cost_section(data),
        training_section(data),
        settings_section(data),
        environment_section(data),
        reproduction_section(data),
    )
    now = datetime.now(UTC)
    made = f"Written by hybrid-search {hybrid_search.__version__} on {now:%Y-%m-%d %H:%M} UTC"
    if data.status.driver is not None:
        made += f", while the search was {'being confirmed' if data.status.state == 'confirming' else 'running'}"
    return Report(f"Search {title}", f"{made}.", _summary(data), tuple(each for each in sections if each is not None))


def _summary(data: ReportData) -> tuple[tuple[str, str], ...]:
    status, first = data.status, data.search.objective_list[0]
    knee = data.front.knee
    facts = [("trials ended", f"{status.ended:,} of {data.search.target:,}")]
    facts.append(("on the front", counted(len(data.front.numbers), "design")))
    if data.front.numbers:
        best = data.front.numbers[0]
        facts.append((f"best {first.label}", f"{first.text(data.front.values[best][first.name])} (trial {best})"))
        if knee is not None and knee.exists:
            values = ", ".join(
                kind.text(data.front.values[knee.number][kind.name]) for kind in data.search.objective_list
            )
            facts.append(("knee", f"trial {knee.number}: {values}"))
    facts.append(("confirmed", f"{counted(len(data.retrained), 'trial')} retrained" if data.retrained else "no"))
    return tuple(facts)


def _check_replaceable(path: Path, shown: str | Path, mark: str, *, force: bool) -> None:
    """Raise SettingsError if a file exists that is no report."""
    if force or not path.exists():
        return
    with path.open("rb") as file:
        beginning = file.read(1000)
    if mark.encode() not in beginning:
        raise SettingsError(
            f"OUT must be a new file or an earlier report; {shown_path(shown)} is another file. --force replaces it."
        )


def _write(path: Path, text: str) -> None:
    with written_file(path) as part:
        part.write_text(text, encoding="utf-8")
