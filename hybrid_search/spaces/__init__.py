"""Search spaces: the space, its YAML form, known designs, budgets and equivalence of architectures."""
