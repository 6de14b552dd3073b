"""One plugin for every table of hybrid-search."""
