"""Two arms' answers before a person: which pairs, in which order, on which page, and what comes of it."""
