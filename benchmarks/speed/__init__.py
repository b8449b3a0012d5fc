"""Speed of CrystalBench compared with that of other libraries, its peers: ``python -m benchmarks.speed [NAME ...]``.

Each row of the table measures the same work with CrystalBench and with a peer, alternately and in one process, and
reports the medians. `benchmarks.speed.registry` has all rows; a row is a `benchmarks.speed.rows.Row`.
"""
