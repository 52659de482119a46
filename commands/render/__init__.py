"""How a terminal shows tables, and how steps and runs are typed."""
