//! Organisations' systems behind one trait: adapters, their registry and their health.
