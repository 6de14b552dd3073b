"""Networks: architectures, their stems, exact costs, the reference networks, and the torch modules."""
