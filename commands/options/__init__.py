"""Options that several verbs share, by topic."""
