"""Export of a trained network to files."""

from hybrid_search.export.model_folder import export_model, load_exported

__all__ = ["export_model", "load_exported"]
