//! The header of a `.npy` file: type, order and shape of its values.

use std::path::Path;

use crate::error::{Error, Result};

/// First bytes of every `.npy` file.
const MAGIC: &[u8] = b"\x93NUMPY";

/// Largest number of bytes before the text of the header, which hold its length.
pub(super) const PREFIX_BYTES: usize = 12;

/// Longest header; longer headers describe structured arrays, which are refused in any case.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// Number types of `.npy` files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
    /// The upper half of a single-precision number.
    Bfloat,
}

/// Type and byte order of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) kind: Kind,
    pub(super) n_bytes: usize,
    pub(super) big_endian: bool,
}

/// The content of the header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) element: Element,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<u64>,
}

/// Position of the text of the header, from the first [`PREFIX_BYTES`] bytes of a file of `n_bytes` bytes.
pub(super) fn text_range(prefix: &[u8], n_bytes: u64, path: &Path) -> Result<std::ops::Range<u64>> {
    let refuse = |message: String| Err(Error::file(path, message));
    if prefix.is_empty() {
        return refuse("is empty; expected a .npy file".into());
    }
    if prefix.starts_with(b"PK\x03\x04") {
        return refuse("is a .npz archive; expected a .npy file with one array".into());
    }
    if !prefix.starts_with(&MAGIC[..prefix.len().min(MAGIC.len())]) {
        return refuse("does not start with the bytes \\x93NUMPY of a .npy file".into());
    }
    let (start, length) = match *prefix {
        [_, _, _, _, _, _, 1, 0, a, b, ..] => (10, u64::from(u16::from_le_bytes([a, b]))),
        [_, _, _, _, _, _, 2 | 3, 0, a, b, c, d] => (12, u64::from(u32::from_le_bytes([a, b, c, d]))),
        [_, _, _, _, _, _, major, minor, ..] if !(1..=3).contains(&major) || minor != 0 => {
            return refuse(format!("is of .npy version {major}.{minor}; versions 1.0, 2.0 and 3.0 can be read"));
        }
        _ => return refuse(format!("is truncated: {n_bytes} bytes do not hold the header of a .npy file")),
    };
    let end = start + length;
    if length > MAX_HEADER_BYTES {
        return refuse(format!("has a header of {length} bytes; at most {MAX_HEADER_BYTES} are read"));
    }
    if end > n_bytes {
        return refuse(format!("is truncated: its header ends at byte {end}, the file at byte {n_bytes}"));
    }
    Ok(start..end)
}

/// Reads the text of a header, a Python dictionary with the keys `descr`, `fortran_order` and `shape`.
pub(super) fn parse(text: &[u8], path: &Path) -> Result<Header> {
    let fields = Parser { text }.dictionary();
    let Some(Fields { descr: Some(descr), fortran_order: Some(fortran_order), shape: Some(shape) }) = fields else {
        let shown = String::from_utf8_lossy(&text[..text.len().min(100)]);
        let expected = "{'descr': ..., 'fortran_order': ..., 'shape': ...}";
        return Err(Error::file(path, format!("has a damaged header {:?}; expected {expected}", shown.trim_end())));
    };
    let element = element(&descr).map_err(|message| Error::data(path.display().to_string(), message))?;
    Ok(Header { element, fortran_order, shape })
}

/// The element described by a type string such as `<f8`, or the reason why it cannot be read.
fn element(descr: &Descr) -> std::result::Result<Element, String> {
    let expected = "expected floating-point numbers, integers or booleans";
    let Descr::Plain(text) = descr else {
        return Err(format!("structured dtype; {expected}, one array a file"));
    };
    let refuse = |what: &str| Err(format!("{what} dtype '{text}'; {expected}"));
    let mut characters = text.chars();
    let (Some(order), Some(kind)) = (characters.next(), characters.next()) else {
        return refuse("unknown");
    };
    let big_endian = match order {
        '<' | '|' => false,
        '>' => true,
        '=' => cfg!(target_endian = "big"),
        _ => return refuse("unknown"),
    };
    let (kind, n_bytes) = match (kind, characters.as_str()) {
        ('b', "1") => (Kind::Bool, 1),
        ('i', "1") => (Kind::Signed, 1),
        ('i', "2") => (Kind::Signed, 2),
        ('i', "4") => (Kind::Signed, 4),
        ('i', "8") => (Kind::Signed, 8),
        ('u', "1") => (Kind::Unsigned, 1),
        ('u', "2") => (Kind::Unsigned, 2),
        ('u', "4") => (Kind::Unsigned, 4),
        ('u', "8") => (Kind::Unsigned, 8),
        ('f', "2") => (Kind::Float, 2),
        ('f', "4") => (Kind::Float, 4),
        ('f', "8") => (Kind::Float, 8),
        ('f', _) => return refuse("extended-precision"),
        ('c', _) => return refuse("complex"),
        ('O', _) => return refuse("object"),
        ('S' | 'U' | 'a', _) => return refuse("string"),
        ('M' | 'm', _) => return refuse("date or time"),
        // NumPy writes the bfloat16 of other packages as '<V2'; raw bytes have no byte order, and are '|V2'
        ('V', "2") if order != '|' => (Kind::Bfloat, 2),
        ('V', _) => return refuse("raw"),
        _ => return refuse("unknown"),
    };
    Ok(Element { kind, n_bytes, big_endian })
}

enum Descr {
    Plain(String),
    Structured,
}

#[derive(Default)]
struct Fields {
    descr: Option<Descr>,
    fortran_order: Option<bool>,
    shape: Option<Vec<u64>>,
}

/// A parser of the subset of Python literals that headers use; it returns `None` for any other text.
struct Parser<'a> {
    text: &'a [u8],
}

impl Parser<'_> {
    fn dictionary(mut self) -> Option<Fields> {
        let mut fields = Fields::default();
        self.take(b"{")?;
        while self.take(b"}").is_none() {
            let key = self.string()?;
            self.take(b":")?;
            match key.as_str() {
                "descr" if fields.descr.is_none() => {
                    if self.peek() == Some(b'[') {
                        // the rest is a nested list, which is not parsed
                        return Some(Fields {
                            descr: Some(Descr::Structured),
                            fortran_order: Some(false),
                            shape: Some(vec![]),
                        });
                    }
                    fields.descr = Some(Descr::Plain(self.string()?));
                }
                "fortran_order" if fields.fortran_order.is_none() => {
                    let yes = self.take(b"True").is_some();
                    if !yes {
                        self.take(b"False")?;
                    }
                    fields.fortran_order = Some(yes);
                }
                "shape" if fields.shape.is_none() => fields.shape = Some(self.tuple()?),
                _ => return None,
            }
            if self.take(b",").is_none() && self.peek() != Some(b'}') {
                return None;
            }
        }
        self.peek().is_none().then_some(fields)
    }

    fn tuple(&mut self) -> Option<Vec<u64>> {
        let mut values = Vec::new();
        self.take(b"(")?;
        while self.take(b")").is_none() {
            values.push(self.integer()?);
            if self.take(b",").is_none() && self.peek() != Some(b')') {
                return None;
            }
        }
        Some(values)
    }

    fn integer(&mut self) -> Option<u64> {
        self.peek()?;
        let n_digits = self.text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.text.split_at(n_digits);
        self.text = rest;
        self.take(b"L"); // Python 2 wrote 3L
        if n_digits > 1 && digits[0] == b'0' {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn string(&mut self) -> Option<String> {
        let quote = self.peek().filter(|byte| matches!(byte, b'\'' | b'"'))?;
        let body = &self.text[1..];
        let length = body.iter().position(|&byte| byte == quote)?;
        self.text = &body[length + 1..];
        String::from_utf8(body[..length].to_vec()).ok()
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        self.text = self.text.trim_ascii_start();
        self.text.first().copied()
    }

    fn take(&mut self, token: &[u8]) -> Option<()> {
        self.peek()?;
        self.text = self.text.strip_prefix(token)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<Header> {
        parse(text.as_bytes(), Path::new("x.npy"))
    }

    #[test]
    fn headers_as_they_are_written() {
        let header = parsed("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }          \n").unwrap();
        let element = Element { kind: Kind::Float, n_bytes: 8, big_endian: false };
        assert_eq!(header, Header { element, fortran_order: false, shape: vec![3, 4] });
        let header = parsed("{\"shape\":(3L,),\"fortran_order\":True,\"descr\":\">i2\"}").unwrap();
        let element = Element { kind: Kind::Signed, n_bytes: 2, big_endian: true };
        assert_eq!(header, Header { element, fortran_order: true, shape: vec![3] });
        assert!(parsed("{'descr': '|b1', 'fortran_order': False, 'shape': ()}").unwrap().shape.is_empty());
    }

    #[test]
    fn damaged_headers() {
        for text in [
            "",
            "{",
            "{}",
            "{'descr': '<f8', 'fortran_order': False}",
            "{'descr': '<f8', 'fortran_order': 0, 'shape': (3, 4)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3, -4)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3 4)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (03,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4)} x",
            "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (3, 4)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), 'more': 1}",
            "{'descr': '<f8",
        ] {
            assert!(matches!(parsed(text), Err(Error::File { .. })), "{text}");
        }
    }

    #[test]
    fn values_that_are_not_numbers_are_refused_by_name() {
        for (descr, word) in [
            ("'|O'", "object"),
            ("'<c16'", "complex"),
            ("'<U3'", "string"),
            ("'|S3'", "string"),
            ("'<M8[ns]'", "date"),
            ("'|V8'", "raw"),
            ("'<f16'", "extended"),
            ("[('a', '<f8'), ('b', '<i4')]", "structured"),
            ("'f'", "unknown"),
            ("'<é8'", "unknown"),
        ] {
            let error = parsed(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (3,), }}")).unwrap_err();
            assert!(matches!(&error, Error::Data { message, .. } if message.contains(word)), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[{}()',:<f8 \\[a-z0-9LTF\u{e9}]{0,80}") {
            let _ = parsed(&text);
        }

        #[test]
        fn no_prefix_panics(start in 0_usize..8, tail in proptest::collection::vec(any::<u8>(), 0..6)) {
            let mut prefix = [MAGIC, b"\x01\x00"].concat()[..start].to_vec();
            prefix.extend(tail);
            if let Ok(range) = text_range(&prefix, 100, Path::new("x.npy")) {
                prop_assert!(range.end <= 100);
            }
        }
    }
}
