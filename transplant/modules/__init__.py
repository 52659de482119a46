"""Interfaces, domain modules, and the hosted model that joins them to a backbone."""
