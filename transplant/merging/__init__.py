"""Merges of whole models by recipe, through mergekit: checked before, measured after."""
