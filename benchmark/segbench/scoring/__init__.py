"""From predictions and references to rows, and from rows to scores with intervals."""
