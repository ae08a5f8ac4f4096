"""The live cache: paged lists and watches that resume, trimmed objects, and the changes seen between two versions."""
