"""Replay: a finished search, or a CSV file of one, as a benchmark on which samplers are compared without training.

table = read_table(Path("table.csv"), wanted("accuracy,flops"))
curves = replay(partial(landscape_of, table), ["known-cost", "tpe"], range(10), Rules(evaluations=100))
print(standings(curves, 100))
"""

from hybrid_search.analysis.replay.baselines import ENTRANTS, Entrant
from hybrid_search.analysis.replay.csv_file import known_of, read_table, wanted, write_table
from hybrid_search.analysis.replay.objective_table import Goal, Landscape, goal_of, landscape_of, whole
from hybrid_search.analysis.replay.searches import table_of_searches
from hybrid_search.analysis.replay.simulate import Curve, Rules, replay, run_once
from hybrid_search.analysis.replay.summary import standings
from hybrid_search.analysis.replay.table import Result, Table

__all__ = [
    "ENTRANTS",
    "Curve",
    "Entrant",
    "Goal",
    "Landscape",
    "Result",
    "Rules",
    "Table",
    "goal_of",
    "known_of",
    "landscape_of",
    "read_table",
    "replay",
    "run_once",
    "standings",
    "table_of_searches",
    "wanted",
    "whole",
    "write_table",
]
