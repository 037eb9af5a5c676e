//! Where the last keys of a range are.
//!
//! A cluster that is asked for the last few keys of a range reads all of it, with every value, and throws away all but these. To
//! count is much cheaper, for that it looks at no value. So the range is narrowed first, by counting parts of it, until there
//! is little more in it than what is asked for.

use bytes::Bytes;
use larder_core::Result;

use crate::{client::Client, message::RangeRequest, read::count};

/// A range is narrowed as long as it holds more than so many keys, and more than twice as many as are asked for.
const FEW: u64 = 256;

/// How many parts are counted in one question: as many as stand beside each other in a transaction.
const PARTS: u128 = 60;

/// How often it is tried at most. Keys of which each is the beginning of the next can hardly be divided.
const QUESTIONS_MAX: usize = 24;

/// How many bytes of keys are looked at as one number.
const WINDOW: usize = 15;

/// Whether of a range with `count` keys the last `limit` can be read as they are.
pub(crate) fn is_narrow(count: u64, limit: i64) -> bool {
    count <= FEW.max(limit.unsigned_abs().saturating_mul(2))
}

/// The same range from a later key on, behind which there are still as many keys as it is limited to, and not many more.
pub(crate) async fn narrow(client: &Client, range: RangeRequest, held: u64, revision: i64) -> Result<RangeRequest> {
    let (mut from, mut to, mut held) = (range.key.clone(), range.range_end.clone(), held);
    let wanted = range.limit.unsigned_abs();
    for _ in 0..QUESTIONS_MAX {
        if is_narrow(held, range.limit) {
            break;
        }
        let edges = edges(&from, &to);
        let parts: Vec<RangeRequest> = edges
            .windows(2)
            .map(|edges| RangeRequest { key: edges[0].clone(), range_end: edges[1].clone(), ..RangeRequest::default() })
            .collect();
        let counts = count(client, parts, revision).await?;
        // From the end to where there are enough.
        let mut behind = 0;
        let enough = counts.iter().rposition(|count| {
            behind += count;
            behind >= wanted
        });
        let last = counts.iter().rposition(|count| *count > 0);
        let (Some(first), Some(last)) = (enough, last) else { break };
        let (next_from, next_to) = (edges[first].clone(), edges[last + 1].clone());
        if behind == held && next_from == from && next_to == to {
            // It cannot be told where to divide it.
            break;
        }
        (from, to, held) = (next_from, next_to, behind);
    }
    Ok(RangeRequest { key: from, ..range })
}

/// Where to divide what lies between two keys: evenly, and ever closer to the beginning, because keys that are not far apart
/// mostly have the beginning in common. Both ends are among them; they are in order, none twice.
fn edges(from: &Bytes, to: &Bytes) -> Vec<Bytes> {
    let common = from.iter().zip(to).take_while(|(one, other)| one == other).count();
    let window = |key: &[u8]| {
        let mut bytes = [0; 16];
        let behind = &key[common.min(key.len())..];
        let length = behind.len().min(WINDOW);
        bytes[1..=length].copy_from_slice(&behind[..length]);
        u128::from_be_bytes(bytes)
    };
    let (low, high) = (window(from), window(to));
    let width = high.saturating_sub(low);
    let evenly = (1..PARTS).map(|part| low + width / PARTS * part);
    let doubling = (0..128).step_by(3).map(|bit| low.saturating_add(1 << bit));
    let mut numbers: Vec<u128> = evenly.chain(doubling).filter(|number| (low + 1..high).contains(number)).collect();
    // What begins with the last number stands behind it.
    numbers.push(high);
    numbers.sort_unstable();
    numbers.dedup();
    let key = |number: u128| -> Bytes { [&from[..common], &number.to_be_bytes()[1..]].concat().into() };
    let inner = numbers.into_iter().map(key).filter(|edge| edge > from && edge < to);
    let mut edges: Vec<Bytes> = std::iter::once(from.clone()).chain(inner).chain([to.clone()]).collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: impl AsRef<[u8]>) -> Bytes {
        Bytes::copy_from_slice(text.as_ref())
    }

    #[test]
    fn edges_lie_between_the_ends_and_are_in_order() {
        let long = [7; 40];
        let pairs: [(&[u8], &[u8]); 8] = [
            (b"a", b"b"),
            (b"a\0", b"a\0\0"),
            (b"r", b"s"),
            (b"prefix\0e default\0group-00001", b"prefix\0f"),
            (b"", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            (&long[..16], &long),
            (&long, b"\x08"),
            (b"a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"b"),
        ];
        for (from, to) in pairs {
            let edges = edges(&bytes(from), &bytes(to));
            assert_eq!((edges.first(), edges.last()), (Some(&bytes(from)), Some(&bytes(to))));
            assert!(edges.is_sorted_by(|one, other| one < other) && edges.len() <= 120, "{}", edges.len());
        }
        assert!(edges(&bytes("r"), &bytes("s")).len() > 90);
    }
}
