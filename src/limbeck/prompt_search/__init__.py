"""Which prompt labels best: a search over variants of a prompt on labelled development rows."""
