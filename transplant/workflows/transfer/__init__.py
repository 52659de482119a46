"""A transfer as one job: what is moved, the evidence, and what is stored."""
