"""Search for the prompt that labels best, over variants of a prompt, on labelled development rows."""
