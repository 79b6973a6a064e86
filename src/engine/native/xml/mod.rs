//! XML documents with namespaces, comments, order and white space kept.
