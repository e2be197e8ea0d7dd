"""One short file per published method: a function that returns stages."""
