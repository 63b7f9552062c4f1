//! Which columns of a table are inputs, labels and weights, and what is wrong with the values in them.

use std::fmt;

use crate::block::{Block, BlockBuffer};
use crate::error::{Column, Error, Result};
use crate::validity::{require_finite, require_weights};

/// A column as the caller names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnRef {
    /// By its place, where negative ones count from the last.
    Index(i64),
    /// By its name.
    Name(String),
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Name(name) => write!(f, "'{name}'"),
        }
    }
}

/// What the caller asks for: which columns hold labels, inputs and weights.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The column of labels.
    pub target: Option<ColumnRef>,
    /// The inputs in their order; by default every column that is neither label nor weight.
    pub columns: Option<Vec<ColumnRef>>,
    /// The column of weights.
    pub weight: Option<ColumnRef>,
}

/// The columns of a table that are read: inputs first, then labels and weights where there are any.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    /// Names of all columns of the table; empty where columns have no names.
    names: Vec<String>,
    columns: Vec<usize>,
    n_features: usize,
    label: Option<usize>,
    weight: Option<usize>,
}

impl Selection {
    /// The columns that are wanted of a table of `n_columns` columns with these names (none: columns have no names).
    pub(super) fn new(wanted: &Wanted, names: Vec<String>, n_columns: usize, origin: &str) -> Result<Self> {
        let resolve = |argument: &str, column: &ColumnRef| resolve(argument, column, &names, n_columns, origin);
        let target = wanted.target.as_ref().map(|column| resolve("target", column)).transpose()?;
        let weight = wanted.weight.as_ref().map(|column| resolve("weight", column)).transpose()?;
        if target.is_some() && target == weight {
            return Err(Error::argument("weight", "the same column as target"));
        }
        let taken = |column: &usize| Some(*column) == target || Some(*column) == weight;
        let mut columns = match &wanted.columns {
            None => (0..n_columns).filter(|column| !taken(column)).collect(),
            Some(wanted) => {
                let mut columns = Vec::with_capacity(wanted.len());
                for column in wanted {
                    let index = resolve("columns", column)?;
                    if taken(&index) || columns.contains(&index) {
                        return Err(Error::argument("columns", format!("column {column} is used twice")));
                    }
                    columns.push(index);
                }
                columns
            }
        };
        let n_features = columns.len();
        if n_features == 0 {
            return Err(Error::data(origin, format!("no input column is left of {n_columns} columns")));
        }
        let mut slot = |column: Option<usize>| {
            column.map(|column| {
                columns.push(column);
                columns.len() - 1
            })
        };
        let (label, weight) = (slot(target), slot(weight));
        Ok(Self { names, columns, n_features, label, weight })
    }

    /// Names of all columns of the table.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Names of the inputs.
    pub(super) fn input_names(&self) -> impl Iterator<Item = &str> {
        self.inputs().iter().map(|&column| &*self.names[column])
    }

    /// The column at a place in the list of columns that are read: its name, or its number where columns have no names.
    pub(super) fn named(&self, slot: usize) -> Column {
        let column = self.columns[slot];
        self.names.get(column).map_or(Column::Index(column), |name| Column::Name(name.clone()))
    }

    /// Every column that is read, by its place in the table.
    pub(super) fn all(&self) -> &[usize] {
        &self.columns
    }

    /// The inputs, by their place in the table.
    pub(super) fn inputs(&self) -> &[usize] {
        &self.columns[..self.n_features]
    }

    pub(super) fn n_features(&self) -> usize {
        self.n_features
    }

    /// Where the labels stand in the list of columns that are read.
    pub(super) fn label(&self) -> Option<usize> {
        self.label
    }

    /// Where the weights stand in the list of columns that are read.
    pub(super) fn weight(&self) -> Option<usize> {
        self.weight
    }

    /// Spreads the values of the columns that are read, one column after another, into the rows of `buffer`.
    pub(super) fn fill(&self, columns: &[Vec<f64>], buffer: &mut BlockBuffer) {
        interleave(&columns[..self.n_features], &mut buffer.x);
        for (slot, to) in [(self.label, &mut buffer.y), (self.weight, &mut buffer.weight)] {
            to.clear();
            if let Some(slot) = slot {
                to.extend_from_slice(&columns[slot]);
            }
        }
    }

    /// The rows in `buffer` as a block, once their values are known to be fit for use.
    ///
    /// `place` names the table, and the row of it at an index of the block.
    pub(super) fn block<'a>(
        &self,
        buffer: &'a BlockBuffer,
        n_rows: usize,
        place: impl Fn(usize) -> (String, u64),
    ) -> Result<Block<'a>> {
        let d = self.n_features;
        let at = |index: usize, slot: usize| {
            let (name, row) = place(index);
            (name, row, Some(self.named(slot)))
        };
        require_finite(&buffer.x, |index| at(index / d, index % d))?;
        require_finite(&buffer.y, |index| at(index, self.label.unwrap_or_default()))?;
        require_weights(&buffer.weight, |index| at(index, self.weight.unwrap_or_default()))?;
        let weight = self.weight.map(|_| &buffer.weight[..]);
        Ok(Block { x: &buffer.x, y: &buffer.y, weight, n_features: d, n_rows })
    }
}

/// Most names that a message lists.
const SHOWN_NAMES: usize = 12;

fn resolve(argument: &str, column: &ColumnRef, names: &[String], n_columns: usize, origin: &str) -> Result<usize> {
    match column {
        ColumnRef::Index(index) => {
            let from_first =
                if *index < 0 { n_columns.checked_add_signed(*index as isize) } else { usize::try_from(*index).ok() };
            from_first
                .filter(|&index| index < n_columns)
                .ok_or_else(|| Error::argument(argument, format!("column {index} of a file with {n_columns} columns")))
        }
        ColumnRef::Name(name) => {
            let mut found = names.iter().enumerate().filter(|(_, known)| *known == name).map(|(index, _)| index);
            match (found.next(), found.next()) {
                (Some(index), None) => Ok(index),
                (Some(_), Some(_)) => {
                    let message = format!("{origin} has more than one column '{name}'; give its number");
                    Err(Error::argument(argument, message))
                }
                (None, _) => {
                    let mut known: Vec<String> =
                        names.iter().take(SHOWN_NAMES).map(|name| format!("'{name}'")).collect();
                    if names.len() > SHOWN_NAMES {
                        known.push(format!("... ({} in all)", names.len()));
                    }
                    Err(Error::argument(argument, format!("{origin} has no column '{name}', but {}", known.join(", "))))
                }
            }
        }
    }
}

/// Rows of a tile when columns are turned into rows: the tile stays in the first cache.
const TILE_ROWS: usize = 32;

/// The rows of a table whose columns, all of one length, are given.
fn interleave(columns: &[Vec<f64>], out: &mut Vec<f64>) {
    let n_columns = columns.len();
    out.resize(n_columns * columns.first().map_or(0, Vec::len), 0.0);
    for (tile, first_row) in out.chunks_mut(TILE_ROWS * n_columns).zip((0..).step_by(TILE_ROWS)) {
        for (j, column) in columns.iter().enumerate() {
            tile[j..].iter_mut().step_by(n_columns).zip(&column[first_row..]).for_each(|(to, &from)| *to = from);
        }
    }
}
