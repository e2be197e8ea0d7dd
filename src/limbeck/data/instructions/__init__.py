"""Reading sets in their own layouts as instruction records, and checking, pairing and sampling them."""
