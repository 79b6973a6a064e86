-- By which question to a provider a resource was found that it cannot be asked for by itself. The person says by which
-- identifiers; where there is none, they stand here.
CREATE TABLE place (
  type TEXT NOT NULL, id TEXT NOT NULL, provider TEXT NOT NULL, types TEXT NOT NULL,
  person INTEGER NOT NULL, identifiers TEXT NOT NULL,
  PRIMARY KEY (type, id)
) STRICT, WITHOUT ROWID;
