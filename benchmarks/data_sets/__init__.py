"""The data sets of data.py, a module for each benchmark: where they come from, and how their rows are made."""

from data_sets import anon, encoders, few_labels, generation, ml_ipd

SETS = generation.SETS | ml_ipd.SETS | anon.SETS | few_labels.SETS | encoders.SETS
