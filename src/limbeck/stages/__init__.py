"""Stages: sequences, weighted terms, trainable parameters, optimisation and length."""
