//! What several areas need: outside data, generators, scripted peers.
