"""Masked language modelling: the tokens behind masks in plain text."""
