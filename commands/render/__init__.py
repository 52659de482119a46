"""Reports rendered: tables, plots and pages."""
