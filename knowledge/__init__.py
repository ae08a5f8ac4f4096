"""What Opsthread knows: diagnosis, remedies, cases, embeddings. No SQL, no network but ChromaDB and an embedding endpoint.

Weights are passed in as values.
"""
