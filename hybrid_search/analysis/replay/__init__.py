"""Replay: a finished search, or a CSV file of one, as a benchmark that compares samplers without training.

Example:
    >>> table = read_table(Path("table.csv"), parse_objectives("accuracy,flops"))
    >>> runs = simulate(partial(objective_table, table), ["known-cost", "tpe"], range(10), Rules(evaluations=100))
    >>> print(summarize(runs, 100))
"""

from hybrid_search.analysis.replay.compared_samplers import BASELINES, ComparedSampler
from hybrid_search.analysis.replay.csv_file import known_objectives, parse_objectives, read_table, write_table
from hybrid_search.analysis.replay.objective_table import ObjectiveTable, Target, objective_table, target_of
from hybrid_search.analysis.replay.results_table import Result, ResultsTable
from hybrid_search.analysis.replay.simulate import Rules, SimulatedRun, run_once, simulate
from hybrid_search.analysis.replay.summary import summarize
from hybrid_search.analysis.replay.table_from_searches import table_of_searches

__all__ = [
    "BASELINES",
    "ComparedSampler",
    "ObjectiveTable",
    "Result",
    "ResultsTable",
    "Rules",
    "SimulatedRun",
    "Target",
    "known_objectives",
    "objective_table",
    "parse_objectives",
    "read_table",
    "run_once",
    "simulate",
    "summarize",
    "table_of_searches",
    "target_of",
    "write_table",
]
