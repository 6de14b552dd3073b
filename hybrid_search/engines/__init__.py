"""Engines: they run the trials of a search, in this process, on Ray workers or under Ray Tune.

Files:
    table.py   ENGINES, the table of engines, and what an engine is
    driver.py  what every engine shares: the context of a run, and what happens to each report
    local.py   one trial after the other, in this process
    ray/       long-lived Ray actors
    tune/      Ray Tune
    train/     Ray Train: one full training on several devices; it is no engine of a search
    worker/    the code that runs in worker processes
"""

from hybrid_search.engines.table import ENGINES, Engine, engine_name, engine_of

__all__ = ["ENGINES", "Engine", "engine_name", "engine_of"]
