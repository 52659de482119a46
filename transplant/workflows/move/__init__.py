"""Moving a module to another backbone, with the evidence."""
