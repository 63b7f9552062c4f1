//! A check of the Thrift structures of a Parquet file before the Parquet reader parses them.
//!
//! The reader trusts sizes in the file: it allocates memory for the number of elements that a list claims, recurses to
//! the depth of the schema, and skips lists of booleans element by element although they take no bytes. The check parses
//! the same bytes once, requires the type of every field that the reader knows, so that both see the same structure, and
//! bounds sizes by the number of bytes left.

use std::result::Result;

/// A defect of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end within the structure.
    Truncated,
    /// The bytes are not a structure that can be read.
    Refused(&'static str),
    /// They tell how columns are encrypted.
    Encrypted,
}

/// Largest depth of nested structures; the format itself needs eight.
const MAX_DEPTH: usize = 24;
/// Largest depth of nested groups of a schema.
const MAX_SCHEMA_DEPTH: usize = 64;
/// Smallest number of bytes of an element of a list of structures in the format.
const MIN_STRUCT_BYTES: usize = 3;
/// Largest number of bytes of column paths per byte of the footer: the reader stores the whole path of each column.
const MAX_PATH_RATIO: usize = 64;
/// Uncompressed size of a page that is accepted for any compressed size.
const PLAIN_PAGE_BYTES: u64 = 1 << 24;
/// Largest number of uncompressed bytes per compressed byte of a larger page.
const MAX_COMPRESSION: u64 = 100;

/// The type of a field that the reader knows.
#[derive(Clone, Copy)]
enum Shape {
    Bool,
    Byte,
    I16,
    I32,
    I64,
    Double,
    Binary,
    List(&'static Shape),
    Struct(Fields),
    /// The algorithm that columns are encrypted with.
    Algorithm,
    /// The list of the elements of the schema, which nest.
    Elements,
}

/// Known fields of a structure by their numbers.
type Fields = &'static [(i16, Shape)];

use Shape::{Algorithm, Binary, Bool, Byte, Double, Elements, I16, I32, I64, List, Struct};

const FILE: Fields = &[
    (1, I32),
    (2, Elements),
    (3, I64),
    (4, List(&Struct(ROW_GROUP))),
    (5, List(&Struct(KEY_VALUE))),
    (6, Binary),
    (7, List(&Struct(COLUMN_ORDER))),
    (8, Algorithm),
    (9, Binary),
];
const SCHEMA_ELEMENT: Fields = &[
    (1, I32),
    (2, I32),
    (3, I32),
    (NAME as i16, Binary),
    (CHILDREN as i16, I32),
    (6, I32),
    (7, I32),
    (8, I32),
    (9, I32),
    (10, Struct(LOGICAL_TYPE)),
];
const NAME: usize = 4;
const CHILDREN: usize = 5;
const LOGICAL_TYPE: Fields = &[
    (1, Struct(EMPTY)),
    (2, Struct(EMPTY)),
    (3, Struct(EMPTY)),
    (4, Struct(EMPTY)),
    (5, Struct(&[(1, I32), (2, I32)])),
    (6, Struct(EMPTY)),
    (7, Struct(TIME)),
    (8, Struct(TIME)),
    (10, Struct(&[(1, Byte), (2, Bool)])),
    (11, Struct(EMPTY)),
    (12, Struct(EMPTY)),
    (13, Struct(EMPTY)),
    (14, Struct(EMPTY)),
    (15, Struct(EMPTY)),
    (16, Struct(&[(1, Byte)])),
    (17, Struct(&[(1, Binary)])),
    (18, Struct(&[(1, Binary), (2, I32)])),
    (19, Struct(EMPTY)),
];
const TIME: Fields = &[(1, Bool), (2, Struct(&[(1, Struct(EMPTY)), (2, Struct(EMPTY)), (3, Struct(EMPTY))]))];
const COLUMN_ORDER: Fields = &[(1, Struct(EMPTY)), (2, Struct(EMPTY)), (3, Struct(EMPTY))];
const EMPTY: Fields = &[];
const ROW_GROUP: Fields = &[
    (1, List(&Struct(COLUMN_CHUNK))),
    (2, I64),
    (3, I64),
    (4, List(&Struct(&[(1, I32), (2, Bool), (3, Bool)]))),
    (5, I64),
    (6, I64),
    (7, I16),
];
const COLUMN_CHUNK: Fields =
    &[(1, Binary), (2, I64), (3, Struct(COLUMN_METADATA)), (4, I64), (5, I32), (6, I64), (7, I32), (9, Binary)];
const COLUMN_METADATA: Fields = &[
    (1, I32),
    (2, List(&I32)),
    (3, List(&Binary)),
    (4, I32),
    (5, I64),
    (6, I64),
    (7, I64),
    (8, List(&Struct(KEY_VALUE))),
    (9, I64),
    (10, I64),
    (11, I64),
    (12, Struct(STATISTICS)),
    (13, List(&Struct(&[(1, I32), (2, I32), (3, I32)]))),
    (14, I64),
    (15, I32),
    (16, Struct(&[(1, I64), (2, List(&I64)), (3, List(&I64))])),
    (17, Struct(&[(1, Struct(BOUNDS)), (2, List(&I32))])),
];
const BOUNDS: Fields =
    &[(1, Double), (2, Double), (3, Double), (4, Double), (5, Double), (6, Double), (7, Double), (8, Double)];
const STATISTICS: Fields =
    &[(1, Binary), (2, Binary), (3, I64), (4, I64), (5, Binary), (6, Binary), (7, Bool), (8, Bool), (9, I64)];
const KEY_VALUE: Fields = &[(1, Binary), (2, Binary)];
const PAGE: Fields = &[
    (1, I32),
    (UNCOMPRESSED as i16, I32),
    (COMPRESSED as i16, I32),
    (4, I32),
    (5, Struct(&[(1, I32), (2, I32), (3, I32), (4, I32), (5, Struct(STATISTICS))])),
    (6, Struct(EMPTY)),
    (7, Struct(&[(1, I32), (2, I32), (3, Bool)])),
    (8, Struct(&[(1, I32), (2, I32), (3, I32), (4, I32), (5, I32), (6, I32), (7, Bool), (8, Struct(STATISTICS))])),
];
const UNCOMPRESSED: usize = 2;
const COMPRESSED: usize = 3;

impl Shape {
    /// The code of the type of a field in the compact protocol.
    fn code(self) -> u8 {
        match self {
            // true; false is 2
            Bool => 1,
            Byte => 3,
            I16 => 4,
            I32 => 5,
            I64 => 6,
            Double => 7,
            Binary => 8,
            List(_) | Elements => 9,
            Struct(_) | Algorithm => 12,
        }
    }
}

/// Checks the footer of a file: its length and structure, and how its schema nests.
pub(super) fn check_footer(bytes: &[u8]) -> Result<(), Fault> {
    let mut walk = Walk { rest: bytes, schema: Schema::default(), is_encrypted: false };
    let walked = walk.fields(FILE, 0);
    if walk.is_encrypted {
        return Err(Fault::Encrypted);
    }
    walked?;
    let schema = walk.schema;
    if schema.path_bytes > MAX_PATH_RATIO * bytes.len() {
        return Err(Fault::Refused("names of nested columns take more memory than the file"));
    }
    if !schema.open.is_empty() {
        return Err(Fault::Refused("its schema has fewer elements than it claims"));
    }
    Ok(())
}

/// Checks the header of a page at the start of `bytes`; returns its length and the uncompressed size of the page.
pub(super) fn check_page_header(bytes: &[u8]) -> Result<(usize, u64), Fault> {
    let mut walk = Walk { rest: bytes, schema: Schema::default(), is_encrypted: false };
    let found = walk.fields(PAGE, 0)?;
    // the reader truncates these numbers to 32 bits
    let size = |field: usize| match u32::try_from(found[field]) {
        Ok(size) if size <= i32::MAX.cast_unsigned() => Ok(u64::from(size)),
        _ => Err(Fault::Refused("a page of impossible size")),
    };
    let (uncompressed, compressed) = (size(UNCOMPRESSED)?, size(COMPRESSED)?);
    if uncompressed > most_uncompressed(compressed) {
        return Err(Fault::Refused("a page that claims to be far larger than its compressed bytes can hold"));
    }
    Ok((bytes.len() - walk.rest.len(), uncompressed))
}

/// Largest uncompressed size of a page of `compressed` bytes.
pub(super) fn most_uncompressed(compressed: u64) -> u64 {
    PLAIN_PAGE_BYTES.max(compressed.saturating_mul(MAX_COMPRESSION))
}

/// The groups of a schema whose children are not complete.
#[derive(Default)]
struct Schema {
    /// Number of missing children and bytes of the path of each open group.
    open: Vec<(i64, usize)>,
    path_bytes: usize,
}

impl Schema {
    /// Adds the next element in depth-first order.
    fn push(&mut self, name_bytes: i64, n_children: i64, rest: usize) -> Result<(), Fault> {
        // the reader stores a string for every element besides its name
        let own = usize::try_from(name_bytes).unwrap_or_default() + size_of::<String>();
        let path = self.open.last().map_or(0, |(_, path)| *path) + own;
        self.path_bytes = self.path_bytes.saturating_add(path);
        if let Some((missing, _)) = self.open.last_mut() {
            *missing -= 1;
        }
        if n_children < 0 || n_children > rest as i64 {
            return Err(Fault::Refused("a group of its schema claims more elements than there are"));
        }
        if n_children > 0 {
            self.open.push((n_children, path));
        }
        while self.open.last().is_some_and(|(missing, _)| *missing == 0) {
            self.open.pop();
        }
        if self.open.len() > MAX_SCHEMA_DEPTH {
            return Err(Fault::Refused("its schema nests too deeply"));
        }
        Ok(())
    }
}

struct Walk<'a> {
    rest: &'a [u8],
    schema: Schema,
    is_encrypted: bool,
}

/// Values of the integers, and lengths of the strings, of the fields below this number.
type Found = [i64; 8];

impl Walk<'_> {
    fn byte(&mut self) -> Result<u8, Fault> {
        let (&first, rest) = self.rest.split_first().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    fn skip(&mut self, n_bytes: u64) -> Result<(), Fault> {
        let n_bytes = usize::try_from(n_bytes).map_err(|_| Fault::Truncated)?;
        self.rest = self.rest.get(n_bytes..).ok_or(Fault::Truncated)?;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).wrapping_shl(shift);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Fault::Refused("an integer of more than ten bytes"))
    }

    fn zigzag(&mut self) -> Result<i64, Fault> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Checks the fields of a structure up to its end.
    fn fields(&mut self, known: Fields, depth: usize) -> Result<Found, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::Refused("structures nest too deeply"));
        }
        let mut found = Found::default();
        let mut last = 0_i16;
        loop {
            let head = self.byte()?;
            let code = head & 0xf;
            if code == 0 {
                return Ok(found);
            }
            let delta = i16::from(head >> 4);
            let field = match delta {
                0 => i16::try_from(self.zigzag()?).ok(),
                _ => last.checked_add(delta),
            };
            let Some(field) = field.filter(|&field| field > last) else {
                return Err(Fault::Refused("the fields of a structure are out of order"));
            };
            last = field;
            let shape = known.iter().find(|(number, _)| *number == field).map(|(_, shape)| *shape);
            let value = match shape {
                None => self.any(code, depth)?,
                Some(Bool) if code == 1 || code == 2 => 0,
                Some(shape) if shape.code() == code => self.known(shape, depth)?,
                Some(_) => return Err(Fault::Refused("a field is of another type than the format says")),
            };
            if let Some(place) = usize::try_from(field).ok().and_then(|field| found.get_mut(field)) {
                *place = value;
            }
        }
    }

    /// A value of a type that the reader knows; returns an integer, or the length of a string.
    fn known(&mut self, shape: Shape, depth: usize) -> Result<i64, Fault> {
        match shape {
            List(&element) => {
                for _ in 0..self.list_of(element)? {
                    self.known(element, depth)?;
                }
                Ok(0)
            }
            Elements => {
                let n_elements = self.list_of(Struct(SCHEMA_ELEMENT))?;
                for rest in (0..n_elements).rev() {
                    let found = self.fields(SCHEMA_ELEMENT, depth + 1)?;
                    self.schema.push(found[NAME], found[CHILDREN], rest)?;
                }
                Ok(0)
            }
            Struct(fields) => self.fields(fields, depth + 1).map(|_| 0),
            Algorithm => {
                self.is_encrypted = true;
                self.any(shape.code(), depth)
            }
            I16 | I32 | I64 => self.zigzag(),
            shape => self.any(shape.code(), depth),
        }
    }

    /// Skips a value of the type `code` in a field that the reader does not know.
    fn any(&mut self, code: u8, depth: usize) -> Result<i64, Fault> {
        match code {
            1 | 2 => Ok(0),
            3 => self.skip(1).map(|()| 0),
            4..=6 => self.zigzag(),
            7 => self.skip(8).map(|()| 0),
            8 => {
                let length = self.varint()?;
                self.skip(length)?;
                Ok(length as i64)
            }
            9 | 10 => {
                let (code, n_elements) = self.list_head()?;
                self.elements(&[code], n_elements, depth)
            }
            11 => {
                let n_elements = self.count()?;
                let codes = if n_elements > 0 { self.byte()? } else { 0 };
                self.elements(&[codes >> 4, codes & 0xf], n_elements, depth)
            }
            12 => self.fields(&[], depth + 1).map(|_| 0),
            13 => self.skip(16).map(|()| 0),
            _ => Err(Fault::Refused("a field of an unknown type")),
        }
    }

    /// Skips the elements of a collection in a field that the reader does not know.
    fn elements(&mut self, codes: &[u8], n_elements: usize, depth: usize) -> Result<i64, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::Refused("structures nest too deeply"));
        }
        for _ in 0..n_elements {
            for &code in codes {
                // the reader skips such an element without reading its byte
                if code == 1 || code == 2 {
                    return Err(Fault::Refused("a collection of booleans, which the format does not have"));
                }
                self.any(code, depth + 1)?;
            }
        }
        Ok(0)
    }

    /// Number of elements of a list whose elements must have this type.
    fn list_of(&mut self, element: Shape) -> Result<usize, Fault> {
        let (code, n_elements) = self.list_head()?;
        if n_elements > 0 && code != element.code() {
            return Err(Fault::Refused("a list is of another type than the format says"));
        }
        if matches!(element, Struct(_)) && n_elements > self.rest.len() / MIN_STRUCT_BYTES {
            return Err(Fault::Truncated);
        }
        Ok(n_elements)
    }

    /// Type and number of the elements of a list.
    fn list_head(&mut self) -> Result<(u8, usize), Fault> {
        let head = self.byte()?;
        let n_elements = if head >> 4 == 15 { self.count()? } else { usize::from(head >> 4) };
        if n_elements > self.rest.len() {
            return Err(Fault::Truncated);
        }
        Ok((head & 0xf, n_elements))
    }

    /// Reads a number of elements, each of which takes at least one byte.
    fn count(&mut self) -> Result<usize, Fault> {
        let count = self.varint()?;
        usize::try_from(count).ok().filter(|&count| count <= self.rest.len()).ok_or(Fault::Truncated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_beyond_the_bytes_are_refused() {
        for bytes in [
            &b"\x19\xf1\xff\xff\xff\xff\x07\x00"[..],
            b"\x29\xfc\xff\xff\xff\xff\x07\x00",
            b"\x68\xff\xff\xff\xff\x7f\x00",
            b"\xfb\xff\xff\xff\xff\x07\x55\x00",
            b"\x19\x11\x01\x00",
        ] {
            assert!(check_footer(bytes).is_err(), "{bytes:?}");
            assert!(check_page_header(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(check_footer(b"\x00"), Ok(()));
        assert_eq!(check_footer(&[0x1c; 100]), Err(Fault::Refused("a field is of another type than the format says")));
        assert_eq!(check_footer(&[0xfc; 100]), Err(Fault::Refused("structures nest too deeply")));
    }

    /// A list of schema elements, each a name and a number of children.
    fn footer(elements: &[(&str, u8)]) -> Vec<u8> {
        let mut bytes = vec![0x29, 0xfc, elements.len() as u8];
        for (name, n_children) in elements {
            bytes.extend([0x48, name.len() as u8]);
            bytes.extend(name.bytes());
            bytes.extend([0x15, 2 * n_children, 0]);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn schemas_nest_as_they_claim() {
        assert_eq!(check_footer(&footer(&[("m", 2), ("a", 0), ("b", 1), ("c", 0)])), Ok(()));
        assert!(check_footer(&footer(&[("m", 3), ("a", 0)])).is_err());
        assert!(check_footer(&footer(&[("m", 2), ("a", 0), ("b", 1)])).is_err());
        assert!(check_footer(&footer(&[("m", 1); 100])).is_err());
        let name = "n".repeat(120);
        let mut wide = vec![("m", 1), (&*name, 60)];
        wide.extend([(&*name, 1); 60].into_iter().flat_map(|group| [group, ("a", 0)]));
        assert!(check_footer(&footer(&wide)).is_ok());
    }

    #[test]
    fn pages_are_no_larger_than_they_can_be() {
        let header = |uncompressed: u64, compressed: u64| {
            let mut bytes = vec![0x15, 0];
            for size in [uncompressed, compressed] {
                bytes.push(0x15);
                let mut rest = 2 * size;
                while rest > 0x7f {
                    bytes.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                bytes.push(rest as u8);
            }
            bytes.push(0);
            bytes
        };
        let plain = header(1000, 10);
        assert_eq!(check_page_header(&plain), Ok((plain.len(), 1000)));
        assert_eq!(check_page_header(&plain[..plain.len() - 1]), Err(Fault::Truncated));
        assert!(check_page_header(&header((1 << 31) - 1, 10)).is_err());
        assert!(check_page_header(&header((1 << 31) - 1, 1 << 25)).is_ok());
    }
}
