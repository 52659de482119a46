"""The reports of verbs as JSON, typed: one class each, from which its JSON Schema is made."""
