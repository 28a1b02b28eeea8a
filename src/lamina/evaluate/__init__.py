"""Stage 5: what the network is worth, beside what a simpler method is worth, on rows it has never seen.

- `metrics`: one function per score; `scores`, a `class_table` and a `bootstrap` interval for the primary one;
- `baselines`: naive and classical predictors fitted on the network's own inputs;
- `calibration`: a temperature for probabilities, a conformal width for numbers and thresholds for labels;
- `verdict`: one honest sentence;
- `plots`: arrays in, SVG out; `plots.named.draw` makes those a task lists;
- `images` and `series_gallery`: what there is to see of images and of series;
- `report`: `report.json` for machines and one self-contained `report.html` for people.

A library and the engine of the report: a task calls the library, and the engine asks an `Experiment` what is its own.
NumPy, scikit-learn and matplotlib only: answers come from the predictor that is deployed, never from training.
"""
