"""Analysis of finished or running searches: confidence, effects of operators, baselines, picks, replay, status."""
