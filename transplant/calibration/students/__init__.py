"""Students: what realises a donor's change of logits in the target."""
