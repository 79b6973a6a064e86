//! Compiled facts about FHIR: types, elements, names, codes and search parameters.
