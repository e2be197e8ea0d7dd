"""More training texts: copies of rows with words replaced by what a masked language model expects there."""
