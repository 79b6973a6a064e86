//! Judging native documents: structure, cardinality, types and tables.
