"""The training loop, its objectives and its schedules."""
