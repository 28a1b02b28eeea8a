"""The parts of `benchmarks/many_tables.py`: tables, their splits, competitors, scores, report."""
