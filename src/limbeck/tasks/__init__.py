"""Kinds of task: what differs between them, behind one pair of protocols, a folder for each kind."""
