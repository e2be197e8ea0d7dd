"""Reads sets in their own layouts into instruction records, and checks, pairs and samples them."""
