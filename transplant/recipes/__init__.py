"""Recipes: several verbs in one file, run in order, each step kept once it is finished."""
