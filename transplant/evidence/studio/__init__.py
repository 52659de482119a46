"""The studio as one call: names, folders and a port in, pages in a browser out."""
