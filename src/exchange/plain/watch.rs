//! Looking at what providers do to the Tasks that they were given, where they do not tell.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Instant;
use crate::exchange::partner::Partner;
use crate::exchange::workflow::state::Status;
use crate::exchange::{Current, Exchange};
use crate::provider::{Adapter, AdapterError, Read};
use crate::store::{ResourceKey, Role};

use super::{Record, merge, read_record};

/// How long until another configuration is seen, at most.
const LOOK: Duration = Duration::from_secs(5);

impl Current {
    /// Looks, as often as each provider's configuration says, until `stop`.
    pub async fn watch(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut looked: HashMap<String, Instant> = HashMap::new();
        loop {
            let exchange = self.now();
            let clock = exchange.clock().clone();
            let now = clock.instant();
            let mut wait = LOOK;
            let mut due = Vec::new();
            for partner in exchange.0.partners.values() {
                let Some(every) = partner.connection.poll() else { continue };
                let since = looked.get(partner.name()).map(|last| now.since(*last));
                match since {
                    Some(since) if since < every => wait = wait.min(every.saturating_sub(since)),
                    // The first look is one interval after the start.
                    None => {
                        looked.insert(partner.name().to_owned(), now);
                        wait = wait.min(every);
                    }
                    Some(_) => {
                        looked.insert(partner.name().to_owned(), now);
                        due.push(Arc::clone(partner));
                        wait = wait.min(every);
                    }
                }
            }
            let looking = futures_util::future::join_all(due.iter().map(|partner| exchange.look_at(partner)));
            tokio::select! {
                () = &mut stop => return,
                _ = looking => {}
            }
            tokio::select! {
                () = &mut stop => return,
                () = clock.sleep(wait) => {}
            }
        }
    }
}

impl Exchange {
    /// Looks at every open Task that a provider was given, and takes what it did to them. Gives how many had changed.
    pub(in crate::exchange) async fn look_at(&self, partner: &Arc<Partner>) -> usize {
        if !super::is_brought(partner) || !partner.connection.adapter.capabilities().of("Task").read {
            return 0;
        }
        let name = partner.name().to_owned();
        let open = self.store().read(move |view| {
            let statuses: Vec<&str> =
                Status::ALL.into_iter().filter(|status| !status.is_final()).map(Status::code).collect();
            let mut open: Vec<(ResourceKey, Record)> = Vec::new();
            for role in [Role::Owner, Role::Requester] {
                for entry in view.worklist_of(role, &name, &statuses)? {
                    if !open.iter().any(|(key, _)| *key == entry.key)
                        && let Some(record) = read_record(view, &name, &entry.key)?
                    {
                        open.push((entry.key, record));
                    }
                }
            }
            Ok(open)
        });
        let open = match open.await {
            Ok(open) => open,
            Err(error) => {
                tracing::warn!(provider = partner.name(), %error, "open Tasks cannot be listed");
                return 0;
            }
        };
        let mut changed = 0;
        for (key, record) in open {
            let read = Read {
                resource_type: "Task".to_owned(),
                native_id: record.native.clone(),
                if_none_match: merge::version(record.held.get()),
            };
            let held = match partner.connection.adapter.read(&read, self.patience()).await {
                Ok(held) => String::from_utf8_lossy(&held.bytes).into_owned(),
                Err(AdapterError::NotModified) => continue,
                // One that is gone does not hide the others; a server that fails is left alone until the next time.
                Err(AdapterError::NotFound | AdapterError::Deleted) => continue,
                Err(_) => break,
            };
            if merge::says_the_same(&held, record.held.get()) {
                continue;
            }
            match self.take_change(partner, &key, &record.native, &held).await {
                Ok(()) => changed += 1,
                Err(error) => {
                    tracing::warn!(provider = partner.name(), fault = ?error.fault(), "a change is not taken");
                }
            }
        }
        changed
    }
}
