//! Who calls and what it may do: certificates, bearer secrets, interactions, audit.
