"""Dataset cards and pinned splits: content in `datasets/<name>/`, read strictly."""
