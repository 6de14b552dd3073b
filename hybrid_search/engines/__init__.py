"""The table of engines: who runs trials."""

# name -> the module whose `ready(plan)` refuses a plan, or holds what it needs for as long as it lasts, and whose
# `drive(search, plan)` runs trials meanwhile; imported on demand.
ENGINES: dict[str, str] = {
    "local": "hybrid_search.engines.local",
    "ray": "hybrid_search.engines.ray",
    "tune": "hybrid_search.engines.tune",
}
DEFAULT = "ray"
