"""Stages: sequences, weighted terms, what is trainable, how it is optimised, when it stops."""
