-- What came of a message: rows are only added, in the order of the journal.
CREATE INDEX document_journal ON document (journal) WHERE journal IS NOT NULL;
