"""More training texts: copies of rows with words replaced, masked or left out."""
