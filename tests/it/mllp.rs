//! MLLP: the framing on its own, the listener, and the sending adapter, each against scripted peers on real sockets.

mod framing;
mod header;
mod listener;
mod sending;
