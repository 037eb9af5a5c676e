//! Shelves: the small values of a page, side by side.
//!
//! To ask for memory, and to give it back, is much of what it costs to read a small row.

use bytes::{Bytes, BytesMut};

/// How much memory values share; as long as one of them is kept, all of it is.
const SHELF_BYTES: usize = 4096;
/// Larger values have memory of their own.
const SMALL_BYTES: usize = 512;

/// Where the small values of a page are put.
#[derive(Debug, Default)]
pub(crate) struct Shelf(BytesMut);

impl Shelf {
    /// A copy of `bytes`.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.len() > SMALL_BYTES {
            return Bytes::copy_from_slice(bytes);
        }
        if self.0.capacity() < bytes.len() {
            self.0 = BytesMut::with_capacity(SHELF_BYTES);
        }
        self.0.extend_from_slice(bytes);
        self.0.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_what_they_are() {
        let mut shelf = Shelf::default();
        let value = |n: usize| vec![u8::try_from(n % 251).expect("small"); n * 7 % 700];
        let kept: Vec<Bytes> = (0..1000).map(|n| shelf.put(&value(n))).collect();
        assert!(kept.iter().enumerate().all(|(n, kept)| *kept == value(n)));
    }
}
