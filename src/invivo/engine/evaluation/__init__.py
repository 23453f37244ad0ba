"""Evaluation: what a tweak costs on a benchmark, through lm-evaluation-harness, on the tweaked model itself.

`scorer` reads pairs and continues texts under one row; `harness` is the harness's model class around it; `tasks` finds
tasks (ours, a person's own questions, the harness's); `scores` runs rows over them and gives intervals over items.
"""
