-- Times are microseconds since 1970-01-01T00:00Z. Person 0 is nobody.

CREATE TABLE store (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
  seq INTEGER PRIMARY KEY,
  received INTEGER NOT NULL,
  provider TEXT NOT NULL,
  direction INTEGER NOT NULL,
  disposition INTEGER NOT NULL,
  media TEXT NOT NULL,
  control TEXT NOT NULL,
  dedup BLOB,
  body_hash BLOB NOT NULL,
  acknowledgement BLOB,
  body BLOB NOT NULL
) STRICT;

-- Accepted messages within the window.
CREATE TABLE dedup (key BLOB PRIMARY KEY, journal INTEGER NOT NULL, received INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- `now` is the person itself, or who it was merged into.
CREATE TABLE person (id INTEGER PRIMARY KEY, now INTEGER NOT NULL) STRICT;
CREATE INDEX person_merged ON person (now) WHERE now <> id;
CREATE TABLE identity (hash BLOB PRIMARY KEY, system TEXT NOT NULL, person INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX identity_person ON identity (person);
CREATE TABLE patient (
  provider TEXT NOT NULL, native TEXT NOT NULL, person INTEGER NOT NULL, PRIMARY KEY (provider, native)
) STRICT, WITHOUT ROWID;
CREATE INDEX patient_person ON patient (person);

CREATE TABLE document (id INTEGER PRIMARY KEY, journal INTEGER, body BLOB NOT NULL) STRICT;

-- Every version, for reads by id; `person` as known then. The id comes first: what comes of one message stands together.
CREATE TABLE version (
  type TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
  person INTEGER NOT NULL, updated INTEGER NOT NULL, deleted INTEGER NOT NULL, provider TEXT,
  document INTEGER, start INTEGER NOT NULL, length INTEGER NOT NULL,
  PRIMARY KEY (id, type, version)
) STRICT, WITHOUT ROWID;

-- The current version of what is not deleted, a person's together.
CREATE TABLE member (
  person INTEGER NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL,
  version INTEGER NOT NULL, updated INTEGER NOT NULL, provider TEXT,
  document INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL, facets BLOB NOT NULL,
  PRIMARY KEY (person, type, id)
) STRICT, WITHOUT ROWID;

-- Across persons, only these two.
CREATE TABLE identifier (
  type TEXT NOT NULL, value BLOB NOT NULL, system BLOB NOT NULL, id TEXT NOT NULL, PRIMARY KEY (value, type, system, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE worklist (
  role INTEGER NOT NULL, party TEXT NOT NULL, status TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (role, party, status, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (hash BLOB PRIMARY KEY, time INTEGER NOT NULL, sequence INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE native_id (
  type TEXT NOT NULL, id TEXT NOT NULL, provider TEXT NOT NULL, native TEXT NOT NULL, PRIMARY KEY (type, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE original (
  row INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, version INTEGER NOT NULL, media TEXT NOT NULL, journal INTEGER,
  body BLOB NOT NULL
) STRICT;

-- state: 0 due, 1 in flight, 2 done, 3 dead.
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY,
  provider TEXT NOT NULL, person INTEGER NOT NULL, message TEXT NOT NULL,
  created INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL, state INTEGER NOT NULL,
  kind TEXT NOT NULL, reason TEXT NOT NULL, journal INTEGER, payload BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX outbox_message ON outbox (provider, message);
CREATE INDEX outbox_open ON outbox (person, provider, id) WHERE state < 2;
CREATE INDEX outbox_dead ON outbox (id) WHERE state = 3;
-- A lane has a row while it has open messages: its head, when that is due, and whether it is being sent.
CREATE TABLE lane (
  person INTEGER NOT NULL, provider TEXT NOT NULL, head INTEGER NOT NULL, due INTEGER NOT NULL, busy INTEGER NOT NULL,
  PRIMARY KEY (person, provider)
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_due ON lane (provider, due) WHERE busy = 0;

CREATE TABLE notice (
  id INTEGER PRIMARY KEY, opened INTEGER NOT NULL, closed INTEGER, kind TEXT NOT NULL, provider TEXT NOT NULL,
  journal INTEGER, text TEXT NOT NULL, decision TEXT NOT NULL
) STRICT;
CREATE INDEX notice_open ON notice (id) WHERE closed IS NULL;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, who TEXT NOT NULL, interaction TEXT NOT NULL,
  target INTEGER NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, query BLOB,
  person INTEGER NOT NULL, providers TEXT NOT NULL, outcome TEXT NOT NULL, request TEXT NOT NULL
) STRICT;
-- A link covers the audit rows after the link before it up to `last`.
CREATE TABLE chain (last INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
