"""Kinds of task, one folder each, behind one pair of protocols."""
