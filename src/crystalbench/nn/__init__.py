"""Layers that the networks are built of: batches, convolutions over quotient graphs, equivariant layers, capsules."""
