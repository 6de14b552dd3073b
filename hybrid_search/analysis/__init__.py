"""Analysis of finished or running searches: confidence, picks, replay, status."""
