"""From a source archive to a prepared dataset: download, unpack, pair, convert, check, audit."""
