"""`hybrid-search effects`: where attention helps in a search, by how much, and at what cost."""

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search._internal.counted import counted
from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.options import OUTPUT, Database, FormatOption, SearchName
from hybrid_search.cli.output import Format, print_rows, say

if TYPE_CHECKING:
    from hybrid_search.analysis.effects import SearchEffects
    from hybrid_search.objectives import Objective

FEW_TRIALS = 30  # fewer trials rarely have matched pairs
SHOWN_PARAMETERS = 6
MANY_TRIALS = 100  # fewer give a rough order of the parameters


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(effects)


def effects(
    name: SearchName = None,
    objective: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Measured objective whose differences are shown. Default: the first of the search."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show the options of operators too, such as extent, heads and kernel size.")
    ] = False,
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="Write designs that make new pairs for open questions to a JSON file, for `run --enqueue FILE`.",
        ),
    ] = None,
    db: Database = None,
    form: FormatOption = Format.table,
) -> None:
    """Show where attention helps: matched pairs of trained designs, and a model at equal FLOPs. Reads only."""
    from hybrid_search._internal.output_file import check_output_file, written_file
    from hybrid_search.analysis.effects import search_effects
    from hybrid_search.analysis.effects.effects_document import effect_rows, effects_document
    from hybrid_search.ledger import Ledger

    file = None if pairs is None else check_output_file("--pairs", pairs)
    with Ledger(db, read_only=True) as ledger:
        record = ledger.search(name)
        found = search_effects(ledger, record, objective)
    rows = effect_rows(found)
    if form is Format.json:
        print(json.dumps(effects_document(record.name, found), indent=2, allow_nan=False))
    elif form is Format.csv:
        print_rows([{key: value for key, value in row.items() if key != "bands"} for row in rows], form)
    else:
        _print_tables(record.name, found, rows, everything)
    if file is not None:
        designs = [dict(design) for question in found.questions for design in question.designs]
        with written_file(file) as path:
            path.write_text(json.dumps(designs, indent=2) + "\n", encoding="utf-8")
        say(
            f"{counted(len(designs), 'design')} written to {pairs}. To train them, repeat the command of the search "
            f"with --enqueue {shlex.quote(str(pairs))} and {counted(len(designs), 'more trial')}"
            if designs
            else f"no open question: {pairs} has an empty list"
        )


def _print_tables(name: str, found: "SearchEffects", rows: Sequence[dict[str, Any]], everything: bool) -> None:
    """Print the comparisons and the operators of the front as tables, the rest as lines."""
    from hybrid_search.charts.families import family_of

    label = found.objective.label
    left_out = f" ({counted(found.left_out, 'other trial')} left out)" if found.left_out else ""
    if not found.trials:
        say(f"search {name!r} has no complete trial yet, so there is nothing to compare")
        return
    shown = [row for row in rows if everything or row["kind"] != "option"]
    title = f"Effects on {label} in {name}: {counted(found.trials, 'trained design')}{left_out}"
    title += "\npairs are designs equal but for one choice; ± is half the 95 % interval; * decided (p < 0.05, Holm)"
    if shown:
        texts = [_texts(row, found.objective) for row in shown]
        print_rows(texts, Format.table, title=title)
    else:
        say(f"every design of {name!r} has the same operators, so there is nothing to compare")
    if found.shares:
        print_rows(
            [
                {
                    "place": share.factor.place,
                    "question": share.factor.question,
                    "choice": share.choice,
                    "trained": f"{share.trained:,}",
                    "on front": f"{share.on_front:,}",
                    f"best {label}": found.objective.text(share.best),
                }
                for share in found.shares
            ],
            Format.table,
            title="\nOperators of the front beside all trained designs",
        )
    matter = [each for each in found.importances if each.share >= 0.01][:SHOWN_PARAMETERS]
    if matter:
        listed = ", ".join(f"{each.name} {100 * each.share:.0f} % ({each.favoured})" for each in matter)
        few = ", a rough order with so few trials" if found.trials < MANY_TRIALS else ""
        more = sum(each.share >= 0.01 for each in found.importances) - len(matter)
        listed += f", and {counted(more, 'more parameter')} (--format json)" if more else ""
        say(f"\nwhat brings a design near the front, with the favoured choice{few}: {listed}")
    _say_limits(found, rows, say)
    if not any(family_of(share.choice) == "attention" for share in found.shares):
        say(f"no choice of {name!r} is between attention and another operator, so these numbers are of other choices")


def _say_limits(found: "SearchEffects", rows: Sequence[dict[str, Any]], notice: Callable[[str], None]) -> None:
    """Say what the numbers do not show, and how to learn it."""
    from hybrid_search.analysis.effects.model_effects import MOST_TRIALS as MODELLED
    from hybrid_search.analysis.effects.open_questions import MOST_PARTNERS

    if any(row["model_difference"] is not None for row in rows):
        some = f" of {MODELLED:,} trials, drawn at random," if found.trials > MODELLED else ""
        notice(
            f"at equal FLOPs: a Gaussian process{some} over FLOPs and operators; its interval holds under this model"
        )
    if not any(row["pairs"] for row in rows) and found.trials < FEW_TRIALS:
        notice(f"there is no matched pair among {counted(found.trials, 'design')}: more trials give some")
    if designs := sum(len(each.designs) for each in found.questions):
        questions = counted(len(found.questions), "open question")
        some = f"; partners are {MOST_PARTNERS} random trials" if found.trials > MOST_PARTNERS else ""
        notice(f"{questions}: --pairs FILE writes {counted(designs, 'design')} that make new pairs for them{some}")


def _texts(row: dict[str, Any], objective: "Objective") -> dict[str, str]:
    """Return one line of the table."""
    from hybrid_search.analysis.effects.effects_document import difference_text
    from hybrid_search.analysis.effects.matched_pairs import SIGNIFICANT

    decided = row["p_value"] is not None and row["p_value"] < SIGNIFICANT
    return {
        "place": row["place"],
        "question": row["question"] if row["kind"] != "stem" else "stem",
        "comparison": f"{row['choice']} - {row['instead_of']}",
        "pairs": f"{row['pairs']:,}" if row["pairs"] else "-",
        "difference": difference_text(objective, row["difference"], row["low"], row["high"]) + ("*" if decided else ""),
        "FLOPs": "-" if row["flops_ratio"] is None else f"x {row['flops_ratio']:.2f}",
        "at equal FLOPs (model)": difference_text(
            objective, row["model_difference"], row["model_low"], row["model_high"]
        ),
    }
