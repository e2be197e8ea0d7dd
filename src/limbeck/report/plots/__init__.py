"""Plots, a file for each: functions of a result record that draw inline SVG."""
