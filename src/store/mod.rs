//! What is kept: journal, documents, members, outbox, identity links, audit.
