"""Plots, one file each: functions of a result record that return inline SVG."""
