"""Ground of all packages: cards, files, stores, tables, errors; it knows no study and no job."""
