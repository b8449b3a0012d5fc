"""Side-by-side speed measurements against peers: ``python -m benchmarks.speed [NAME ...]``.

Every row does the same work twice in one process, once as CrystalBench does it and once as its peer does, in turn, and
reports the medians. `benchmarks.speed.registry` lists the rows; a row is a `benchmarks.speed.rows.Row`.
"""
