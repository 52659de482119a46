"""What an interface is calibrated by: one objective a file, one table."""
