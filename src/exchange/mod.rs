//! Messages in and out: receive, workflow, outbox.
