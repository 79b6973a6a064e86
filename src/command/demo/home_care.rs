//! The home-care provider: a system that knows folders of CSV files (`;`, windows-1252) and nothing else.
//!
//! What lies in `in` it collects; an order it returns through `out` with columns of its own, the route and the carer.
//! Visits it plans and makes go out as tables of their own.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::events::{Broken, Log, lock};
use super::text;
use crate::clock::Clock;

pub(super) const OID: &str = "1.2.246.10.99999003.10.0";
pub(super) const NAME: &str = "Kotihoito Näyte Oy";

/// The columns that the provider adds to an order.
pub(super) const OWN: [&str; 2] = ["reitti", "hoitaja"];
/// How often it looks into its folder.
const LOOK: Duration = Duration::from_millis(20);

/// A table as it lies in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) file: String,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    fn read(file: &str, bytes: &[u8]) -> Self {
        let decoded = text::from_windows1252(bytes);
        let mut lines = decoded.split("\r\n").flat_map(|line| line.split('\n')).filter(|line| !line.is_empty());
        let columns = lines.next().map(cells).unwrap_or_default();
        Self { file: file.to_owned(), columns, rows: lines.map(cells).collect() }
    }

    /// A cell of the first row; empty where it is not there.
    pub(super) fn cell(&self, column: &str) -> &str {
        let place = self.columns.iter().position(|name| name == column);
        let row = self.rows.first();
        place.zip(row).and_then(|(place, row)| row.get(place)).map_or("", String::as_str)
    }

    fn set(&mut self, column: &str, value: &str) {
        let place = match self.columns.iter().position(|name| name == column) {
            Some(place) => place,
            None => {
                self.columns.push(column.to_owned());
                self.columns.len() - 1
            }
        };
        for row in &mut self.rows {
            row.resize(self.columns.len(), String::new());
            if let Some(cell) = row.get_mut(place) {
                value.clone_into(cell);
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut lines = vec![line(&self.columns)];
        lines.extend(self.rows.iter().map(|row| line(row)));
        text::to_windows1252(&format!("{}\r\n", lines.join("\r\n")))
    }
}

/// The home-care provider's system.
pub(super) struct HomeCare {
    folder: PathBuf,
    clock: Clock,
    state: Mutex<State>,
    /// The tables that it collected, and those that it returned.
    pub(super) collected: Log<Table>,
    pub(super) returned: Log<Table>,
}

struct State {
    next: u64,
    /// By order number, as they are now.
    orders: BTreeMap<String, Table>,
}

impl HomeCare {
    /// The system on its folder, which may have files of former runs in it.
    pub(super) fn new(folder: &Path, clock: Clock) -> io::Result<Arc<Self>> {
        for part in ["in/haettu", "out"] {
            std::fs::create_dir_all(folder.join(part))?;
        }
        // Numbers go on where the last run ended: the gateway takes files in the order of their numbers.
        let next = u64::try_from(clock.now().as_millisecond()).unwrap_or(1);
        let state = Mutex::new(State { next, orders: BTreeMap::new() });
        let collected = Log::default();
        Ok(Arc::new(Self { folder: folder.to_owned(), clock, state, collected, returned: Log::default() }))
    }

    /// Looks into the folder until the system is gone.
    pub(super) async fn work(system: std::sync::Weak<Self>) {
        loop {
            let Some(home_care) = system.upgrade() else { return };
            home_care.look();
            let clock = home_care.clock.clone();
            drop(home_care);
            clock.sleep(LOOK).await;
        }
    }

    fn look(&self) {
        let inbox = self.folder.join("in");
        let Ok(entries) = std::fs::read_dir(&inbox) else { return };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".csv") && !name.starts_with('.'))
            .collect();
        names.sort();
        for name in names {
            let path = inbox.join(&name);
            let Ok(bytes) = std::fs::read(&path) else { continue };
            if std::fs::rename(&path, inbox.join("haettu").join(&name)).is_err() {
                continue;
            }
            self.take(Table::read(&name, &bytes));
        }
    }

    /// A new order is taken on, and returned with the route and the carer; a changed one is noted.
    fn take(&self, table: Table) {
        let number = table.cell("tilausnro").to_owned();
        let is_new = lock(&self.state).orders.insert(number.clone(), table.clone()).is_none();
        self.collected.add(table);
        if is_new {
            // That the disk is full would show as an order that never comes back.
            let _ = self.change(&number, &[("tila", "HYVAKSYTTY"), ("reitti", "Itä 2"), ("hoitaja", "Mäkelä Oona")]);
        }
    }

    /// Changes an order and returns it.
    pub(super) fn change(&self, number: &str, cells: &[(&str, &str)]) -> Result<(), Broken> {
        let table = {
            let mut state = lock(&self.state);
            let Some(order) = state.orders.get_mut(number) else {
                return Err(Broken::new("home care does not know the order"));
            };
            for (column, value) in cells {
                order.set(column, value);
            }
            order.clone()
        };
        self.put_out("tilaus", table)
    }

    /// An order as it is there.
    pub(super) fn order(&self, number: &str) -> Option<Table> {
        lock(&self.state).orders.get(number).cloned()
    }

    /// Leaves a table of one row for collection.
    pub(super) fn report(&self, kind: &str, cells: &[(&str, &str)]) -> Result<(), Broken> {
        let columns = cells.iter().map(|(column, _)| (*column).to_owned()).collect();
        let row = cells.iter().map(|(_, value)| (*value).to_owned()).collect();
        self.put_out(kind, Table { file: String::new(), columns, rows: vec![row] })
    }

    fn put_out(&self, kind: &str, mut table: Table) -> Result<(), Broken> {
        let number = {
            let mut state = lock(&self.state);
            state.next += 1;
            state.next
        };
        table.file = format!("{kind}-{number}.csv");
        let out = self.folder.join("out");
        let hidden = out.join(format!(".{}", table.file));
        std::fs::write(&hidden, table.bytes())
            .and_then(|()| std::fs::rename(&hidden, out.join(&table.file)))
            .map_err(|error| Broken::new(format!("home care cannot write a file: {error}")))?;
        self.returned.add(table);
        Ok(())
    }
}

fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            ';' if !quoted => cells.push(std::mem::take(&mut cell)),
            other => cell.push(other),
        }
    }
    cells.push(cell);
    cells
}

fn line(cells: &[String]) -> String {
    let written: Vec<String> = cells
        .iter()
        .map(|cell| if cell.contains([';', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() })
        .collect();
    written.join(";")
}
