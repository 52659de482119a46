"""Surgery: banks of parts, injections, fusions, adapters and embeddings."""
