//! The FHIR interface, through real TLS sockets.

mod answers;
mod limits;
mod routes;
mod running;
mod wire;
