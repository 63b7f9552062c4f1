//! The pages of a column, with the sizes that they claim checked before the decoders reserve memory for them.
//!
//! The Parquet reader reserves memory for as many values as a dictionary page or a `DELTA` header claims, and decompresses
//! gzip and brotli without a bound. Pages of these two are therefore read as if they were not compressed, and decompressed
//! here.

use std::io::Read;
use std::sync::Arc;

use ::parquet::basic::{Compression, Encoding, Type as PhysicalType};
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::ColumnChunkMetaData;
use ::parquet::file::reader::SerializedPageReader;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use super::ParquetResult;
use super::file::PositionalFile;
use super::thrift::most_uncompressed;

/// Checked pages of one column of one row group.
pub(super) struct Pages {
    inner: SerializedPageReader<PositionalFile>,
    /// The compression that is undone here.
    compression: Option<Unbounded>,
    /// Fewest bytes of a value of the dictionary.
    value_bytes: usize,
    /// Values in the column of the row group.
    n_values: u64,
    /// Highest repetition and definition levels.
    levels: [i16; 2],
    repeated: Option<Allowance>,
}

/// Compressions that the Parquet reader undoes without a bound.
#[derive(Clone, Copy)]
enum Unbounded {
    Gzip,
    Brotli,
}

/// How many more values the lists of a column may hold.
///
/// A reader holds a whole row, which may be all values of the row group, and repeated levels and nulls take no bytes.
struct Allowance {
    n_left: u64,
    /// Values that one byte of a page may hold.
    per_byte: u64,
}

/// Values of lists that are believed whatever the size of the pages.
const PLAIN_LIST_VALUES: u64 = 1 << 20;
/// Longest decimal, in bytes.
const MAX_DECIMAL_BYTES: i64 = 32;
/// Lengths that one byte of a `DELTA` page may hold: a block of 128 takes at least five bytes.
const LENGTHS_PER_BYTE: usize = 32;
const BROTLI_BUFFER_BYTES: usize = 1 << 12;

impl Pages {
    /// The pages of `chunk` in a row group of `n_rows` rows; `n_elements` is the length of its lists, if it holds lists.
    pub(super) fn new(
        file: &Arc<PositionalFile>,
        chunk: &ColumnChunkMetaData,
        n_rows: i64,
        n_elements: Option<usize>,
    ) -> ParquetResult<Self> {
        let compression = match chunk.compression() {
            Compression::GZIP(_) => Some(Unbounded::Gzip),
            Compression::BROTLI(_) => Some(Unbounded::Brotli),
            _ => None,
        };
        let column = chunk.column_descr();
        let value_bytes = match column.physical_type() {
            PhysicalType::BOOLEAN => 1,
            PhysicalType::INT32 | PhysicalType::FLOAT | PhysicalType::BYTE_ARRAY => 4,
            PhysicalType::INT64 | PhysicalType::DOUBLE => 8,
            PhysicalType::INT96 => 12,
            PhysicalType::FIXED_LEN_BYTE_ARRAY => usize::try_from(column.type_length()).unwrap_or_default().max(1),
        };
        let repeated =
            n_elements.map(|n_elements| Allowance { n_left: PLAIN_LIST_VALUES, per_byte: n_elements.max(8) as u64 });
        let plain;
        let chunk_read = match compression {
            None => chunk,
            Some(_) => {
                plain = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
                &plain
            }
        };
        let inner = SerializedPageReader::new(file.clone(), chunk_read, n_rows as usize, None)?;
        let n_values = chunk.num_values().unsigned_abs();
        let levels = [column.max_rep_level(), column.max_def_level()];
        Ok(Self { inner, compression, value_bytes, n_values, levels, repeated })
    }

    fn checked(&mut self, page: Page) -> ParquetResult<Page> {
        let page = match self.compression {
            Some(compression) => decompressed(page, compression)?,
            None => page,
        };
        let (n_values, n_bytes) = (u64::from(page.num_values()), page.buffer().len());
        if let Page::DictionaryPage { .. } = page {
            if n_values > (n_bytes / self.value_bytes) as u64 {
                return Err(refused("a dictionary page that claims more values than it holds"));
            }
            return Ok(page);
        }
        if n_values > self.n_values {
            return Err(refused("a page of more values than its column"));
        }
        if let Some(allowance) = &mut self.repeated {
            let n_left = allowance.n_left.saturating_add(allowance.per_byte.saturating_mul(n_bytes as u64));
            allowance.n_left =
                n_left.checked_sub(n_values).ok_or_else(|| refused("pages of lists that claim more than they hold"))?;
        }
        if matches!(page.encoding(), Encoding::DELTA_BYTE_ARRAY | Encoding::DELTA_LENGTH_BYTE_ARRAY) {
            let values = values_of(&page, self.levels).ok_or_else(|| refused("a page shorter than its levels"))?;
            check_delta(values, page.encoding(), n_values as usize)
                .ok_or_else(|| refused("lengths of values that are more, or longer, than its page can hold"))?;
        }
        Ok(page)
    }
}

fn refused(what: &str) -> ParquetError {
    ParquetError::General(what.into())
}

impl Iterator for Pages {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        self.inner.get_next_page()?.map(|page| self.checked(page)).transpose()
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.inner.skip_next_page()
    }

    fn supports_deferred_dictionary(&self) -> bool {
        self.inner.supports_deferred_dictionary()
    }

    fn take_deferred_dictionary(&mut self) -> ParquetResult<Option<Page>> {
        self.inner.take_deferred_dictionary()?.map(|page| self.checked(page)).transpose()
    }

    fn at_record_boundary(&mut self) -> ParquetResult<bool> {
        self.inner.at_record_boundary()
    }
}

/// A page whose bytes were read as if they were not compressed.
fn decompressed(page: Page, compression: Unbounded) -> ParquetResult<Page> {
    let undo = |bytes: &Bytes, n_plain: u32| -> ParquetResult<Bytes> {
        let n_plain = n_plain as usize;
        let (plain, compressed) =
            bytes.split_at_checked(n_plain).ok_or_else(|| refused("a page shorter than its levels"))?;
        let mut out = plain.to_vec();
        if !compressed.is_empty() {
            // one byte more than is allowed shows that there is more
            let most = most_uncompressed(bytes.len() as u64) + 1;
            match compression {
                Unbounded::Gzip => MultiGzDecoder::new(compressed).take(most).read_to_end(&mut out)?,
                Unbounded::Brotli => {
                    brotli::Decompressor::new(compressed, BROTLI_BUFFER_BYTES).take(most).read_to_end(&mut out)?
                }
            };
            if out.len() as u64 >= most + n_plain as u64 {
                return Err(refused("a page that is far larger than its compressed bytes should hold"));
            }
        }
        Ok(out.into())
    };
    Ok(match page {
        Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics } => {
            let buf = undo(&buf, 0)?;
            Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics }
        }
        Page::DictionaryPage { buf, num_values, encoding, is_sorted } => {
            Page::DictionaryPage { buf: undo(&buf, 0)?, num_values, encoding, is_sorted }
        }
        Page::DataPageV2 {
            buf,
            num_values,
            encoding,
            num_nulls,
            num_rows,
            def_levels_byte_len,
            rep_levels_byte_len,
            is_compressed,
            statistics,
        } => {
            let n_plain = def_levels_byte_len.saturating_add(rep_levels_byte_len);
            Page::DataPageV2 {
                buf: if is_compressed { undo(&buf, n_plain)? } else { buf },
                num_values,
                encoding,
                num_nulls,
                num_rows,
                def_levels_byte_len,
                rep_levels_byte_len,
                is_compressed,
                statistics,
            }
        }
    })
}

/// The bytes of a data page after its levels.
fn values_of(page: &Page, levels: [i16; 2]) -> Option<&[u8]> {
    let (mut rest, encodings): (&[u8], _) = match page {
        Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
            return buf.get(def_levels_byte_len.checked_add(*rep_levels_byte_len)? as usize..);
        }
        Page::DataPage { buf, rep_level_encoding, def_level_encoding, .. } => {
            (buf, [*rep_level_encoding, *def_level_encoding])
        }
        Page::DictionaryPage { buf, .. } => return Some(buf),
    };
    for (level, encoding) in levels.into_iter().zip(encodings) {
        let n_bytes = match (level, encoding) {
            (..=0, _) => 0,
            (_, Encoding::RLE) => 4 + u32::from_le_bytes(*rest.first_chunk()?) as usize,
            // levels that are packed in bits, as the first version of the format had them
            (level, _) => (page.num_values() as usize * (i16::BITS - level.leading_zeros()) as usize).div_ceil(8),
        };
        rest = rest.get(n_bytes..)?;
    }
    Some(rest)
}

/// Checks the lengths in a page of `n_values` values, which stand before their bytes: none where they are too many, or
/// longer than a decimal.
fn check_delta(values: &[u8], encoding: Encoding, n_values: usize) -> Option<()> {
    let most = n_values.min(values.len() * LENGTHS_PER_BYTE);
    let (first, rest) = delta_lengths(values, most)?;
    let rest_lengths = if encoding == Encoding::DELTA_BYTE_ARRAY { delta_lengths(rest, most)?.0 } else { Vec::new() };
    let longest = [&first, &rest_lengths].map(|lengths| lengths.iter().max().copied().unwrap_or_default());
    let shortest = first.iter().chain(&rest_lengths).min().copied().unwrap_or_default();
    (shortest >= 0 && longest.iter().sum::<i64>() <= 2 * MAX_DECIMAL_BYTES).then_some(())
}

/// The integers of a `DELTA_BINARY_PACKED` stream of at most `most` values, and the bytes after it.
fn delta_lengths(bytes: &[u8], most: usize) -> Option<(Vec<i64>, &[u8])> {
    let mut rest = bytes;
    let block_values = usize::try_from(varint(&mut rest)?).ok()?;
    let n_minis = usize::try_from(varint(&mut rest)?).ok().filter(|&n_minis| n_minis > 0)?;
    let n_values = usize::try_from(varint(&mut rest)?).ok().filter(|&n_values| n_values <= most)?;
    let mini_values = block_values / n_minis;
    let mut last = zigzag(&mut rest)?;
    let mut lengths = Vec::new();
    lengths.try_reserve_exact(n_values).ok()?;
    lengths.extend((n_values > 0).then_some(last));
    if mini_values == 0 {
        return None;
    }
    while lengths.len() < n_values {
        let least = zigzag(&mut rest)?;
        let (widths, mut packed) = rest.split_at_checked(n_minis)?;
        for &width in widths {
            // the widths of blocks after the last value mean nothing
            let width = if lengths.len() < n_values { usize::from(width) } else { 0 };
            let (mini, after) = packed.split_at_checked(mini_values.checked_mul(width)? / 8)?;
            packed = after;
            for at in 0..mini_values.min(n_values - lengths.len()) {
                last = last.wrapping_add(least).wrapping_add(bits(mini, at * width, width)?);
                // the reader computes in 32 bits
                last = i64::from(last as i32);
                lengths.push(last);
            }
        }
        rest = packed;
    }
    Some((lengths, rest))
}

/// The number of `width` bits that starts at a bit of `bytes`.
fn bits(bytes: &[u8], start: usize, width: usize) -> Option<i64> {
    if width > 32 {
        return None;
    }
    let mut window = [0; 8];
    let from = bytes.get(start / 8..).unwrap_or_default();
    let n_bytes = from.len().min(window.len());
    window[..n_bytes].copy_from_slice(&from[..n_bytes]);
    let number = u64::from_le_bytes(window) >> (start % 8);
    Some((number & ((1_u64 << width) - 1)) as i64)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn zigzag(bytes: &mut &[u8]) -> Option<i64> {
    let value = varint(bytes)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A stream of one block of 128 values in four minis of no bits: `n_values` values of `value`.
    fn constant(n_values: u64, value: u8) -> Vec<u8> {
        let mut stream = vec![0x80, 0x01, 4];
        let mut rest = n_values;
        while rest > 0x7f {
            stream.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        stream.extend([rest as u8, 2 * value]);
        for _ in 0..n_values.saturating_sub(1).min(1280).div_ceil(128) {
            stream.extend([0; 5]);
        }
        stream
    }

    #[test]
    fn lengths_are_bounded_by_the_page() {
        let check = |bytes: &[u8], n_values| check_delta(bytes, Encoding::DELTA_LENGTH_BYTE_ARRAY, n_values).is_some();
        assert!(check(&constant(100, 4), 100));
        assert!(check(&constant(1000, 4), 1000));
        assert!(!check(&constant(100, 4), 99));
        assert!(!check(&constant(1 << 40, 4), usize::MAX));
        let both = |second: u8, value| [constant(100, 4), constant(100, value), vec![second]].concat();
        assert!(check_delta(&both(0, 4), Encoding::DELTA_BYTE_ARRAY, 100).is_some());
        assert!(check_delta(&both(0, 63), Encoding::DELTA_BYTE_ARRAY, 100).is_none());
    }

    #[test]
    fn packed_lengths() {
        // 1, 2, 3, ... 65: differences of 1 as the least, and the third value 5 more by three bits of the first mini
        let mut stream = vec![0x80, 0x01, 4, 65, 2, 2, 3, 0, 0, 0];
        let mut mini = [0; 12];
        mini[0] = 5 << 3;
        stream.extend(mini);
        stream.push(99);
        let (lengths, rest) = delta_lengths(&stream, 65).unwrap();
        assert_eq!((&lengths[..4], lengths[64], rest), (&[1, 2, 8, 9][..], 70, &[99][..]));
    }

    #[test]
    fn bombs_of_gzip_and_brotli_end_at_the_bound() {
        let zeros = vec![0_u8; 1 << 16];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let mut brotli = brotli::CompressorWriter::new(Vec::new(), 1 << 16, 5, 22);
        for _ in 0..1 << 10 {
            gzip.write_all(&zeros).unwrap();
            brotli.write_all(&zeros).unwrap();
        }
        for (bytes, compression) in
            [(gzip.finish().unwrap(), Unbounded::Gzip), (brotli.into_inner(), Unbounded::Brotli)]
        {
            let page = |bytes: Vec<u8>| Page::DictionaryPage {
                buf: bytes.into(),
                num_values: 1,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            assert!(decompressed(page(bytes), compression).is_err());
            assert!(decompressed(page(vec![1, 2, 3]), compression).is_err());
            assert!(decompressed(page(Vec::new()), compression).unwrap().buffer().is_empty());
        }
    }
}
