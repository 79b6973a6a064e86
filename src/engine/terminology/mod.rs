//! Value sets, code systems and concept maps, decided locally.
