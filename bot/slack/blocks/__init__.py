"""Values in, Block Kit out, in three languages. Pure: nothing here reads, sends or asks what time it is."""
