//! Files as they are collected: a table row by row, so that one bad row does not hold up the others; any other document
//! whole.

use std::sync::Arc;

use bytes::Bytes;
use silta_engine::fault::Fault;
use silta_engine::native::{Format, Syntax, Tree};
use tracing::info;

use crate::provider::BoxFuture;
use crate::store::{AuditTarget, Commit, DedupKey, NewAudit, NewNotice, Occurred, StoreError, Write};

use super::error::ExchangeError;
use super::files::{CollectedFile, Handler, UnreadFile, Verdict};
use super::partner::Partner;
use super::receive::{Arrival, Received};
use super::translate::parse;
use super::translated::Translated;
use super::{Current, Exchange};

/// Takes the files of collect folders.
#[derive(Debug, Clone)]
pub struct TableHandler(Current);

impl TableHandler {
    /// Files are taken by the exchange of the moment at which they are collected.
    pub fn new(exchange: impl Into<Current>) -> Self {
        Self(exchange.into())
    }
}

impl Handler for TableHandler {
    fn handle<'a>(&'a self, file: &'a CollectedFile) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let exchange = self.0.now();
            // Not the file's fault: it waits for a configuration that knows its provider.
            let Some(partner) = exchange.partner(&file.provider) else { return Verdict::Later };
            exchange.file(&partner, file).await
        })
    }

    fn unread<'a>(&'a self, file: &'a UnreadFile) -> BoxFuture<'a, bool> {
        Box::pin(async move { self.0.now().unread(file).await.is_ok() })
    }
}

/// What came of the pieces of a file.
#[derive(Default)]
struct Tally {
    taken: usize,
    rejected: Vec<u8>,
    errors: String,
}

impl Exchange {
    /// Tells an operator of a file that was set aside unread.
    async fn unread(&self, file: &UnreadFile) -> Result<(), StoreError> {
        let now = self.clock().now();
        let number = file.sequence.map_or_else(String::new, |number| format!(" {number}"));
        let mut commit = Commit::new();
        commit.write(Write::Notice(NewNotice {
            opened: now,
            kind: "refused".to_owned(),
            provider: file.provider.to_string(),
            journal: None,
            text: format!("file{number} was set aside unread: {} bytes, at most {} are taken", file.size, file.limit),
        }));
        commit.write(Write::Audit(NewAudit {
            time: now,
            who: file.provider.to_string(),
            interaction: "message".to_owned(),
            target: AuditTarget::None,
            person: None,
            providers: Vec::new(),
            outcome: Fault::TooLarge.issue_code().to_owned(),
            request: format!("file{number}"),
        }));
        self.store().commit(commit).await.map(drop)
    }

    async fn file(&self, partner: &Arc<Partner>, file: &CollectedFile) -> Verdict {
        let syntax = syntax_of(partner, &file.bytes.0);
        let tree = match parse(&syntax, &file.bytes.0) {
            Ok(tree) => tree,
            Err(error) => {
                let arrival = arrival(partner, file, self, file.bytes.0.clone(), &file.name, &syntax);
                return match self.keep_refused(&arrival, &error).await {
                    Ok(()) => Verdict::Refused { errors: lines(&error, "") },
                    Err(_) => Verdict::Later,
                };
            }
        };
        if syntax.format() != Format::Delimited {
            let arrival = arrival(partner, file, self, file.bytes.0.clone(), &file.name, &syntax);
            return match self.take(arrival, &tree, file).await {
                Ok(()) => Verdict::Taken,
                Err(error) if is_later(&error) => Verdict::Later,
                Err(error) => Verdict::Refused { errors: lines(&error, "") },
            };
        }
        self.table(partner, file, &syntax, &tree).await
    }

    async fn table(&self, partner: &Arc<Partner>, file: &CollectedFile, syntax: &Syntax, tree: &Tree) -> Verdict {
        let mut tally = Tally::default();
        let head = header_of(tree);
        for fault in tree.row_faults() {
            let bytes = tree.bytes().get(fault.span.clone()).unwrap_or_default();
            tally.reject(&head, bytes, &format!("{}: {fault}\n", fault.location()));
            let body = Bytes::copy_from_slice(bytes);
            let kept = arrival(partner, file, self, body, &format!("{}#{}", file.name, fault.row), syntax);
            let error = ExchangeError::refused(fault.fault(), fault.to_string());
            if self.keep_refused(&kept, &error).await.is_err() {
                return Verdict::Later;
            }
        }
        for row in tree.rows() {
            let number = tree.number(row).unwrap_or_default();
            let mut bytes = head.clone();
            bytes.extend_from_slice(tree.raw(row));
            bytes.extend_from_slice(LINE_END);
            let control = format!("{}#{number}", file.name);
            let kept = arrival(partner, file, self, Bytes::from(bytes), &control, syntax);
            let outcome = match parse(syntax, &kept.body) {
                Ok(one) => self.take(kept, &one, file).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => tally.taken += 1,
                Err(error) if is_later(&error) => return Verdict::Later,
                Err(error) => tally.reject(&head, tree.raw(row), &lines(&error, &format!("row {number}"))),
            }
        }
        info!(provider = partner.name(), taken = tally.taken, rejected = !tally.errors.is_empty(), "file collected");
        match (tally.errors.is_empty(), tally.taken) {
            (true, _) => Verdict::Taken,
            (false, 0) => Verdict::Refused { errors: tally.errors },
            (false, _) => Verdict::TakenInPart { rejected: Bytes::from(tally.rejected), errors: tally.errors },
        }
    }

    /// Applies one document of a file, or keeps it as refused.
    async fn take(&self, mut arrival: Arrival, tree: &Tree, file: &CollectedFile) -> Result<(), ExchangeError> {
        match self.seen(&arrival).await {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(()),
            Err(error) => {
                self.keep_refused(&arrival, &error).await?;
                return Err(error);
            }
        }
        let done = match self.translate_tree(&arrival.partner, tree) {
            Ok(translated) => {
                arrival.event = event_of(&translated, file);
                self.apply(&arrival, translated).await
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(Received::Applied { .. } | Received::Repeated(_) | Received::Older) => Ok(()),
            Err(error) if is_later(&error) => Err(error),
            Err(error) => {
                self.keep_refused(&arrival, &error).await?;
                Err(error)
            }
        }
    }
}

const LINE_END: &[u8] = b"\r\n";

/// The header line of a table with its line end, as it stands in the file; nothing where it has none.
fn header_of(tree: &Tree) -> Vec<u8> {
    let first = tree.rows().next().map(|row| tree.span(row).start);
    let faulty = tree.row_faults().first().map(|fault| fault.span.start);
    let end = match (first, faulty) {
        (Some(first), Some(faulty)) => first.min(faulty),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => 0,
    };
    tree.bytes().get(..end).unwrap_or_default().to_vec()
}

fn syntax_of(partner: &Partner, bytes: &[u8]) -> Syntax {
    if partner.settings.table.is_some() {
        return Syntax::Delimited(partner.dialect());
    }
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => Syntax::Json,
        Some(b'<') => Syntax::Xml,
        _ => Syntax::Delimited(partner.dialect()),
    }
}

fn arrival(
    partner: &Arc<Partner>,
    file: &CollectedFile,
    exchange: &Exchange,
    body: Bytes,
    control: &str,
    syntax: &Syntax,
) -> Arrival {
    Arrival {
        partner: Arc::clone(partner),
        received: exchange.clock().now(),
        media: match syntax.format() {
            Format::Json => "application/json",
            Format::Xml => "application/xml",
            Format::Delimited => "text/csv",
            Format::Hl7V2 => "x-application/hl7-v2+er7",
        },
        body,
        control: control.to_owned(),
        dedup: Some(DedupKey::of([partner.name(), control])),
        event: None,
        acknowledgement: None,
        afterwards: None,
        envelope_recipient: None,
        base: None,
        request: format!("file {}", file.name),
    }
}

/// Rows about one order are ordered by the files' own numbers.
fn event_of(translated: &Translated, file: &CollectedFile) -> Option<(String, Occurred)> {
    let order = translated.of_type("Task").next().and(translated.of_type("ServiceRequest").next())?;
    let sequence = file.sequence?;
    Some((format!("order {}", order.native), Occurred { time: jiff::Timestamp::UNIX_EPOCH, sequence }))
}

fn is_later(error: &ExchangeError) -> bool {
    error.fault() == Fault::StoreUnavailable
}

/// An error file's lines: where and why.
fn lines(error: &ExchangeError, row: &str) -> String {
    error
        .problems()
        .iter()
        .map(|problem| {
            let place = match (problem.location.as_deref(), problem.expression.as_deref()) {
                (Some(location), _) if row.is_empty() => location.to_owned(),
                // The row was read as a table of its own, in which it is row 2; else it is one of its columns.
                (Some(location), _) => location
                    .strip_prefix("row 2")
                    .map_or_else(|| format!("{row}/{location}"), |rest| format!("{row}{rest}")),
                (None, Some(expression)) => format!("{row} {expression}"),
                (None, None) => row.to_owned(),
            };
            format!("{}: {}\n", place.trim(), problem.text)
        })
        .collect()
}

impl Tally {
    fn reject(&mut self, head: &[u8], row: &[u8], error: &str) {
        if self.rejected.is_empty() {
            self.rejected.extend_from_slice(head);
        }
        self.rejected.extend_from_slice(row);
        self.rejected.extend_from_slice(LINE_END);
        self.errors.push_str(error);
    }
}
