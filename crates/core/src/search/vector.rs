//! Vectors: how near an entry's is to the one that is looked for.
//!
//! Entries keep them as arrays of numbers in JSON, and numbers are read where they stand: that is nearly all of the time
//! it takes.

use crate::{
    entry::Entry,
    error::{Error, Result},
    query::{IntoPath, Path, Sight, each},
};

/// So many sums are kept at once: they do not wait for each other, and their order is always the same.
const LANES: usize = 8;

/// A vector to look for, and where entries have theirs.
///
/// How near two are is the cosine of the angle between them: 1 in the same direction, 0 at right angles, -1 in the
/// opposite one. It is exact: every vector is looked at, in f64. What is no array of numbers, has another number of them,
/// or is all zeros, is not near to anything. Where the path has `[]` in it, the nearest that it reaches counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Near {
    path: Path,
    /// Of length one.
    direction: Vec<f64>,
}

impl Near {
    /// The most dimensions.
    pub const MAX_DIMENSIONS: usize = 16 * 1024;

    /// What is near to `vector` at `path`.
    ///
    /// # Errors
    /// `Invalid` for a bad path, and for a vector that is empty, all zeros, or has something in it that is not finite; `Limit`
    /// beyond [`Near::MAX_DIMENSIONS`].
    pub fn new<N: Into<f64>>(path: impl IntoPath, vector: impl IntoIterator<Item = N>) -> Result<Self> {
        let path = path.into_path()?;
        // One more than is allowed is enough to know.
        let mut direction: Vec<f64> = vector.into_iter().take(Self::MAX_DIMENSIONS + 1).map(N::into).collect();
        if direction.len() > Self::MAX_DIMENSIONS {
            return Err(Error::limit(format!("a vector has at most {} dimensions", Self::MAX_DIMENSIONS)));
        }
        if let Some(place) = direction.iter().position(|number| !number.is_finite()) {
            return Err(Error::invalid(format!("the vector's number {} of {} is not finite", place + 1, direction.len())));
        }
        let length = length(&mut direction)
            .ok_or_else(|| Error::invalid("a vector needs a direction: this one is empty, or all of it is zero"))?;
        direction.iter_mut().for_each(|number| *number /= length);
        Ok(Self { path, direction })
    }

    /// As [`Near::new`], of a JSON array of numbers.
    ///
    /// # Errors
    /// As [`Near::new`]; `Invalid` for what is no array of numbers.
    pub fn from_json(path: impl IntoPath, text: &[u8]) -> Result<Self> {
        let vector: Vec<f64> = serde_json::from_slice(text)
            .map_err(|error| Error::invalid(format!("the vector is not a JSON array of numbers: {error}")))?;
        Self::new(path, vector)
    }

    /// Where entries have theirs.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many dimensions it has.
    pub fn dimensions(&self) -> usize {
        self.direction.len()
    }

    /// How near `entry` is, from -1 to 1; `None` where it has nothing to compare. `space` is what numbers are read into.
    pub(crate) fn nearness(&self, entry: &Entry, space: &mut Vec<f64>) -> Option<f64> {
        let mut nearest: Option<f64> = None;
        each(entry, &self.path, &mut |sight| {
            if let Sight::Array(raw) = sight
                && numbers(raw, self.direction.len(), space).is_some()
                && let Some(length) = length(space)
            {
                let cosine = (dot(space, &self.direction) / length).clamp(-1.0, 1.0);
                nearest = Some(nearest.map_or(cosine, |nearest| nearest.max(cosine)));
            }
            false
        });
        nearest
    }
}

/// The sum of the products, in an order that is always the same.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// How long `vector` is; `None` where it has no direction. Where squares would be too large or too small for an f64, the
/// vector is made another one of the same direction first.
fn length(vector: &mut [f64]) -> Option<f64> {
    let squares = dot(vector, vector);
    if squares.is_finite() && squares > f64::MIN_POSITIVE / f64::EPSILON {
        return Some(squares.sqrt());
    }
    let largest = vector.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
    if largest == 0.0 {
        return None;
    }
    vector.iter_mut().for_each(|number| *number /= largest);
    Some(dot(vector, vector).sqrt())
}

/// Reads the array `raw` of `count` numbers into `space`; `None` where it is none.
fn numbers(raw: &[u8], count: usize, space: &mut Vec<f64>) -> Option<()> {
    space.clear();
    let mut rest = raw.strip_prefix(b"[")?.strip_suffix(b"]")?;
    loop {
        if space.len() == count {
            return None;
        }
        let (value, behind) = number(rest.trim_ascii_start())?;
        space.push(value);
        rest = behind.trim_ascii_start();
        match rest.split_first() {
            None => return (space.len() == count).then_some(()),
            Some((b',', behind)) => rest = behind,
            Some(_) => return None,
        }
    }
}

/// The powers of ten that are exact.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// The number that `text` begins with, and what is behind it.
///
/// Where its digits are a whole number below 2^53, and the power of ten behind them is exact, one operation rounds, so the
/// answer is the nearest (Clinger, 1990). Most numbers of vectors are like that; the others are read by the standard library.
fn number(text: &[u8]) -> Option<(f64, &[u8])> {
    let minus = text.first() == Some(&b'-');
    let first = usize::from(minus);
    if !text.get(first)?.is_ascii_digit() {
        return None;
    }
    let (mut whole, mut at, mut point) = (0_u64, first, None);
    while let Some(byte) = text.get(at) {
        match byte {
            b'0'..=b'9' => whole = whole.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')),
            b'.' if point.is_none() => point = Some(at),
            b',' | b' ' | b'\t' | b'\n' | b'\r' => break,
            _ => return long(text),
        }
        at += 1;
    }
    let decimals = point.map_or(0, |point| at - point - 1);
    // 19 digits do not go beyond 64 bits.
    let few = at - first - usize::from(point.is_some()) <= 19;
    let (true, true, Some(ten)) = (few, whole < 1 << 53, TENS.get(decimals)) else { return long(text) };
    let value = whole as f64 / ten;
    Some((if minus { -value } else { value }, &text[at..]))
}

fn long(text: &[u8]) -> Option<(f64, &[u8])> {
    let end = text.iter().position(|byte| matches!(byte, b',' | b' ' | b'\t' | b'\n' | b'\r')).unwrap_or(text.len());
    let value: f64 = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    value.is_finite().then_some((value, &text[end..]))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_vector_without_direction_is_refused() {
        for vector in [vec![], vec![0.0, -0.0], vec![1.0, f64::NAN], vec![f64::INFINITY]] {
            assert_eq!(Near::new("v", vector).map_err(|error| error.kind()), Err(ErrorKind::Invalid));
        }
        assert_eq!(Near::new("v", vec![1.0; 100_000]).map_err(|error| error.kind()), Err(ErrorKind::Limit));
        assert!(Near::new("v", vec![1.0_f32; 16 * 1024]).is_ok());
        for text in ["", "[1", "5", "[\"1\"]", "[null]", "{}"] {
            assert_eq!(
                Near::from_json("v", text.as_bytes()).map_err(|error| error.kind()),
                Err(ErrorKind::Invalid),
                "{text}"
            );
        }
    }

    #[test]
    fn arrays_of_numbers_are_read_where_they_stand() {
        let mut space = Vec::new();
        for (raw, expected) in [
            ("[1,2]", Some([1.0, 2.0])),
            ("[ -0.5 ,\n2e3 ]", Some([-0.5, 2000.0])),
            ("[18446744073709551615,0.1]", Some([18_446_744_073_709_551_615.0, 0.1])),
            ("[1]", None),
            ("[]", None),
            ("[1,2,3]", None),
            ("[1,\"2\"]", None),
            ("[1,null]", None),
            ("[1,[2]]", None),
            ("[1,]", None),
            ("[1 2]", None),
            ("{\"a\":1}", None),
            ("[1,-inf]", None),
            ("", None),
        ] {
            let found = numbers(raw.as_bytes(), 2, &mut space).map(|()| space.as_slice());
            assert_eq!(found, expected.as_ref().map(<[f64; 2]>::as_slice), "{raw}");
        }
    }

    /// The cosine, written as it is taught.
    fn cosine(a: &[f64], b: &[f64]) -> f64 {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
    }

    fn near(a: &[f64], b: &[f64]) -> Option<f64> {
        let near = Near::new("v", a.to_vec()).expect("has a direction");
        let mut b = b.to_vec();
        length(&mut b).map(|length| dot(&b, &near.direction) / length)
    }

    #[test]
    fn extremes_have_directions_too() {
        for scale in [1e308, 1e-300, 5e-324, 1.0] {
            let found = near(&[scale, 0.0], &[scale, scale]).expect("has a direction");
            assert!((found - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-12, "{scale}: {found}");
        }
        assert_eq!(near(&[1.0], &[0.0]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

        #[test]
        fn it_is_the_cosine((a, b) in (1..70_usize).prop_flat_map(|length| (vec(-1.0..1.0, length), vec(-1.0..1.0, length)))) {
            prop_assume!(a.iter().any(|number| *number != 0.0) && b.iter().any(|number| *number != 0.0));
            let found = near(&a, &b).expect("has a direction");
            prop_assert!((found - cosine(&a, &b)).abs() < 1e-12, "{} and {}", found, cosine(&a, &b));
        }

        #[test]
        fn numbers_are_read_as_the_standard_library_reads_them(
            text in prop_oneof!["-?(0|[1-9][0-9]{0,20})([.][0-9]{1,25})?([eE][-+]?[0-9]{1,3})?", any::<f64>().prop_map(|float| float.to_string()), any::<f32>().prop_map(|float| float.to_string())]
        ) {
            let expected = text.parse::<f64>().ok().filter(|float| float.is_finite());
            let found = number(text.as_bytes());
            prop_assert!(found.is_none_or(|(_, behind)| behind.is_empty()), "all of it is read");
            prop_assert_eq!(found.map(|(number, _)| number.to_bits()), expected.filter(|_| !text.contains(['N', 'i'])).map(f64::to_bits));
        }
    }
}
