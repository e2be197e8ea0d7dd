"""A quote at the start of a cell, closed three rows later."""

from limbeck.data.load import Fields, load_rows

for row in load_rows("train.tsv", Fields(text="text", label="label")).rows:
    print(row)
