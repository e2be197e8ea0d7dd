"""Any number of labels for texts and text pairs."""
