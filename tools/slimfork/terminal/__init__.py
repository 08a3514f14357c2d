"""What a command says and how it ends: errors with the next command to type, tables, words, paths."""
