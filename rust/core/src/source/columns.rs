//! Selection of the input, label and weight columns of a table, and checks of their values.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;

use crate::block::{Block, BlockBuffer};
use crate::error::{Column, Error, Result};
use crate::validity::{require_finite, require_weights};

/// A column as the caller names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnRef {
    /// By index; negative indices count from the end.
    Index(i64),
    /// By name.
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

/// The columns requested by the caller as labels, inputs and weights.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The columns of labels, one for each output; none for rows without labels.
    pub target: Vec<ColumnRef>,
    /// The inputs in order; by default every column that is neither label nor weight.
    pub columns: Option<Vec<ColumnRef>>,
    /// The column of weights.
    pub weight: Option<ColumnRef>,
}

/// Where each name of a table stands, so that a lookup among many columns takes constant time.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(HashMap<String, Place>);

#[derive(Clone, Copy, Debug)]
struct Place {
    first: usize,
    is_repeated: bool,
}

impl Places {
    /// The places of these names.
    pub(super) fn of(names: &[String]) -> Self {
        let mut places = Self::default();
        names.iter().enumerate().for_each(|(column, name)| places.insert(name, column));
        places
    }

    fn insert(&mut self, name: &str, column: usize) {
        let place = self.0.entry(name.to_owned());
        place.and_modify(|place| place.is_repeated = true).or_insert(Place { first: column, is_repeated: false });
    }

    /// The first column of a name.
    pub(super) fn first(&self, name: &str) -> Option<usize> {
        self.0.get(name).map(|place| place.first)
    }
}

/// The columns of a table, in the order in which they are stored.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// Names; empty if columns have no names.
    names: Vec<String>,
    places: Places,
    /// Number of stored columns, without those defined by names of folders.
    n_stored: usize,
    /// Columns of an index, in ascending order, which are inputs only if requested by name.
    index: Vec<usize>,
    /// Number of columns for negative indices, which do not count the index that pandas stores after the columns.
    n_counted: usize,
}

impl Columns {
    /// Columns without names.
    pub(super) fn unnamed(n_columns: usize) -> Self {
        let (names, places) = (Vec::new(), Places::default());
        Self { names, places, n_stored: n_columns, index: Vec::new(), n_counted: n_columns }
    }

    /// Stored columns with names.
    pub(super) fn named(names: Vec<String>) -> Self {
        let (n_stored, places) = (names.len(), Places::of(&names));
        Self { names, places, n_stored, index: Vec::new(), n_counted: n_stored }
    }

    /// The same columns, with those of an index excluded from the default inputs.
    pub(super) fn with_index(mut self, is_index: impl Fn(usize, &str) -> bool) -> Self {
        let columns = self.names.iter().enumerate().filter(|(column, name)| is_index(*column, name));
        self.index = columns.map(|(column, _)| column).collect();
        let last = (0..self.n_stored).rposition(|column| !self.is_index(column));
        self.n_counted = last.map_or(0, |last| last + 1);
        self
    }

    /// The same columns, followed by those that names of folders define.
    pub(super) fn with_keys<'a>(mut self, keys: impl Iterator<Item = &'a str>) -> Self {
        for key in keys {
            if self.places.first(key).is_none() {
                self.places.insert(key, self.names.len());
                self.names.push(key.to_owned());
            }
        }
        self
    }

    fn is_index(&self, column: usize) -> bool {
        self.index.binary_search(&column).is_ok()
    }

    fn len(&self) -> usize {
        self.n_stored.max(self.names.len())
    }

    /// The index of a column and, for an element of a column of lists such as `x[2]`, the index of the element.
    fn resolve(&self, argument: &str, column: &ColumnRef, origin: &str) -> Result<(usize, Option<usize>)> {
        match column {
            ColumnRef::Index(index) => {
                let n_columns = self.n_counted;
                let from_first = if *index < 0 {
                    n_columns.checked_add_signed(*index as isize)
                } else {
                    usize::try_from(*index).ok()
                };
                from_first.filter(|&index| index < n_columns).map(|column| (column, None)).ok_or_else(|| {
                    Error::argument(argument, format!("column {index} of {origin}, which has {n_columns} columns"))
                })
            }
            ColumnRef::Name(name) => {
                if let Some(column) = self.position(argument, name, origin)? {
                    return Ok((column, None));
                }
                if let Some((name, element)) = element_of(name)
                    && let Some(column) = self.position(argument, name, origin)?
                {
                    return Ok((column, Some(element)));
                }
                Err(Error::argument(argument, format!("{origin} has no column '{name}', but {}", self.listed())))
            }
        }
    }

    fn position(&self, argument: &str, name: &str, origin: &str) -> Result<Option<usize>> {
        match self.places.0.get(name) {
            Some(Place { is_repeated: true, .. }) => {
                let message = format!("{origin} has more than one column '{name}'; give its number");
                Err(Error::argument(argument, message))
            }
            place => Ok(place.map(|place| place.first)),
        }
    }

    fn listed(&self) -> String {
        let mut known: Vec<String> = self.names.iter().take(SHOWN_NAMES).map(|name| format!("'{name}'")).collect();
        if self.names.len() > SHOWN_NAMES {
            known.push(format!("... ({} in all)", self.names.len()));
        }
        known.join(", ")
    }
}

/// Splits `x[2]` into the name of a column of lists and the index of an element.
fn element_of(name: &str) -> Option<(&str, usize)> {
    let (name, element) = name.strip_suffix(']')?.rsplit_once('[')?;
    Some((name, element.parse().ok()?))
}

/// Longest list that is read as inputs.
const MAX_ELEMENTS: usize = 1 << 20;

/// An input, label or weight: a column, or an element of a column of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Slot {
    /// Place of the column in the table.
    column: usize,
    /// Element of its lists; none if the column holds one number per row.
    element: Option<usize>,
}

/// A column that is read, and the destinations of its numbers.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Place of the column in the table.
    pub(super) column: usize,
    /// Numbers per row if the column holds lists.
    pub(super) n_elements: Option<usize>,
    /// The slots filled from this column, each with the element that it receives.
    slots: Vec<(usize, usize)>,
}

impl Part {
    /// The slot that receives the numbers unchanged, if the column holds one number per row.
    pub(super) fn only_slot(&self) -> Option<usize> {
        self.slots.first().filter(|_| self.n_elements.is_none()).map(|&(slot, _)| slot)
    }

    /// Appends the numbers of some rows, row after row, to their slots.
    pub(super) fn spread(&self, values: &[f64], staged: &mut [Vec<f64>]) {
        let n_elements = self.n_elements.unwrap_or(1);
        for &(slot, element) in &self.slots {
            staged[slot].extend(values.iter().skip(element).step_by(n_elements));
        }
    }
}

/// The columns of a table that are read: inputs, then labels and weights if there are any.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    columns: Columns,
    slots: Vec<Slot>,
    parts: Vec<Part>,
    n_features: usize,
    n_outputs: usize,
    weight: Option<usize>,
}

impl Selection {
    /// Selects the requested columns of a table. `n_elements` returns the length of the lists of a column that holds
    /// lists, or the reason why it cannot be read.
    pub(super) fn new(
        wanted: &Wanted,
        columns: Columns,
        origin: &str,
        mut n_elements: impl FnMut(usize) -> Result<Option<usize>>,
    ) -> Result<Self> {
        let mut lengths: HashMap<usize, Option<usize>> = HashMap::new();
        let mut slots_of = |argument: &str, (column, element): (usize, Option<usize>)| {
            let length = match lengths.get(&column) {
                Some(length) => *length,
                None => *lengths.entry(column).or_insert(n_elements(column)?),
            };
            if let Some(length) = length.filter(|length| !(1..=MAX_ELEMENTS).contains(length)) {
                let name = &columns.names[column];
                let message = format!("column '{name}' holds lists of {length} numbers; expected 1 to {MAX_ELEMENTS}");
                return Err(Error::data(origin, message));
            }
            let elements = match (element, length) {
                (Some(element), length) if length.is_none_or(|length| element >= length) => {
                    let name = &columns.names[column];
                    let found = length.map_or("numbers".to_owned(), |length| format!("lists of {length} numbers"));
                    let message = format!("element {element} of column '{name}' of {origin}, which holds {found}");
                    return Err(Error::argument(argument, message));
                }
                (Some(element), _) => vec![Some(element)],
                (None, Some(length)) => (0..length).map(Some).collect(),
                (None, None) => vec![None],
            };
            Ok(elements.into_iter().map(|element| Slot { column, element }).collect::<Vec<_>>())
        };
        let mut targets: Vec<Slot> = Vec::new();
        for column in &wanted.target {
            for slot in slots_of("target", columns.resolve("target", column, origin)?)? {
                if targets.contains(&slot) {
                    return Err(Error::argument("target", format!("column {column} is used twice")));
                }
                targets.push(slot);
            }
        }
        let weight = match &wanted.weight {
            None => None,
            Some(column) => match slots_of("weight", columns.resolve("weight", column, origin)?)?[..] {
                [slot] => Some(slot),
                ref slots => {
                    let message = format!("column {column} holds lists of {} numbers; expected one a row", slots.len());
                    return Err(Error::argument("weight", message));
                }
            },
        };
        if weight.is_some_and(|slot| targets.contains(&slot)) {
            return Err(Error::argument("weight", "the same column as target"));
        }
        let taken = |slot: &Slot| targets.contains(slot) || Some(*slot) == weight;
        let mut slots = Vec::new();
        match &wanted.columns {
            None => {
                let whole = |column: &usize| targets.iter().chain(&weight).all(|slot| slot.column != *column);
                for column in (0..columns.len()).filter(|column| !columns.is_index(*column)).filter(whole) {
                    slots.extend(slots_of("columns", (column, None))?);
                }
            }
            Some(wanted) => {
                let mut used = HashSet::new();
                for column in wanted {
                    for slot in slots_of("columns", columns.resolve("columns", column, origin)?)? {
                        if taken(&slot) || !used.insert(slot) {
                            return Err(Error::argument("columns", format!("column {column} is used twice")));
                        }
                        slots.push(slot);
                    }
                }
            }
        }
        let n_features = slots.len();
        if n_features == 0 {
            return Err(Error::data(origin, format!("no input column is left of {} columns", columns.len())));
        }
        let n_outputs = targets.len();
        slots.extend(targets);
        slots.extend(weight);
        let weight = weight.map(|_| slots.len() - 1);
        let mut parts: Vec<Part> = Vec::new();
        let mut known: HashMap<usize, usize> = HashMap::new();
        for (place, slot) in slots.iter().enumerate() {
            let part = *known.entry(slot.column).or_insert_with(|| {
                parts.push(Part { column: slot.column, n_elements: lengths[&slot.column], slots: Vec::new() });
                parts.len() - 1
            });
            parts[part].slots.push((place, slot.element.unwrap_or_default()));
        }
        Ok(Self { columns, slots, parts, n_features, n_outputs, weight })
    }

    /// Names of all columns of the table.
    pub(super) fn names(&self) -> &[String] {
        &self.columns.names
    }

    /// Names of the inputs.
    pub(super) fn input_names(&self) -> impl Iterator<Item = String> {
        self.slots[..self.n_features].iter().map(|slot| self.name(*slot))
    }

    fn name(&self, slot: Slot) -> String {
        let name = &self.columns.names[slot.column];
        slot.element.map_or_else(|| name.clone(), |element| format!("{name}[{element}]"))
    }

    /// The column at an index of the list of columns that are read: its name, or its number if columns have no names.
    pub(super) fn named(&self, slot: usize) -> Column {
        let slot = self.slots[slot];
        if self.columns.names.is_empty() { Column::Index(slot.column) } else { Column::Name(self.name(slot)) }
    }

    /// The columns that are read, without repetition.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The column of a part, and the element if the part is an element of a list.
    pub(super) fn part_named(&self, part: usize, element: Option<usize>) -> Column {
        let column = self.parts[part].column;
        if self.columns.names.is_empty() {
            Column::Index(column)
        } else {
            Column::Name(self.name(Slot { column, element }))
        }
    }

    /// Every column that is read, by its index in the table: inputs, label, weight.
    pub(super) fn all(&self) -> Vec<usize> {
        self.slots.iter().map(|slot| slot.column).collect()
    }

    /// The inputs, by their indices in the table.
    pub(super) fn inputs(&self) -> Vec<usize> {
        self.slots[..self.n_features].iter().map(|slot| slot.column).collect()
    }

    /// Whether some numbers of a part are inputs.
    pub(super) fn is_input(&self, part: &Part) -> bool {
        part.slots.iter().any(|&(slot, _)| slot < self.n_features)
    }

    pub(super) fn n_features(&self) -> usize {
        self.n_features
    }

    /// Number of columns that are read.
    pub(super) fn n_slots(&self) -> usize {
        self.slots.len()
    }

    /// Number of labels of each row.
    pub(super) fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    /// Where the labels stand in the list of columns that are read.
    pub(super) fn labels(&self) -> Range<usize> {
        self.n_features..self.n_features + self.n_outputs
    }

    /// Index of the weights in the list of columns that are read.
    pub(super) fn weight(&self) -> Option<usize> {
        self.weight
    }

    /// Spreads the values of the columns that are read, one column after another, into the rows of `buffer`.
    pub(super) fn fill(&self, columns: &[Vec<f64>], buffer: &mut BlockBuffer) {
        interleave(&columns[..self.n_features], &mut buffer.x);
        buffer.y.clear();
        buffer.weight.clear();
        if self.n_outputs > 0 {
            interleave(&columns[self.labels()], &mut buffer.y);
        }
        if let Some(slot) = self.weight {
            buffer.weight.extend_from_slice(&columns[slot]);
        }
    }

    /// Returns the rows in `buffer` as a block after checking their values.
    ///
    /// `place` returns the name of the table and the row at an index of the block.
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
        let m = self.n_outputs;
        require_finite(&buffer.y, |index| at(index / m, d + index % m))?;
        require_weights(&buffer.weight, |index| at(index, self.weight.unwrap_or_default()))?;
        let weight = self.weight.map(|_| &buffer.weight[..]);
        Ok(Block { x: &buffer.x, y: &buffer.y, weight, n_features: d, n_outputs: m, n_rows })
    }
}

/// Largest number of names in a message.
const SHOWN_NAMES: usize = 12;

/// Rows of a tile when columns are transposed into rows; the tile fits into the first-level cache.
const TILE_ROWS: usize = 32;

/// Transposes columns of equal length into rows.
fn interleave(columns: &[Vec<f64>], out: &mut Vec<f64>) {
    let n_columns = columns.len();
    out.resize(n_columns * columns.first().map_or(0, Vec::len), 0.0);
    for (tile, first_row) in out.chunks_mut(TILE_ROWS * n_columns).zip((0..).step_by(TILE_ROWS)) {
        for (j, column) in columns.iter().enumerate() {
            tile[j..].iter_mut().step_by(n_columns).zip(&column[first_row..]).for_each(|(to, &from)| *to = from);
        }
    }
}
