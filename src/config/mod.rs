//! Configuration: TOML assembled from each module's own, checked, reloaded.
