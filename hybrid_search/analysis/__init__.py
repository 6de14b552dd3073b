"""Analysis of finished or running searches: confidence, replay, status."""
