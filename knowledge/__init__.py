"""What Opsthread knows: diagnosis, remedies, cases, embeddings. No SQL, no network but ChromaDB; weights are passed in as values."""
