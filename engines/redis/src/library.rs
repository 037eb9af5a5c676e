//! The functions that run at the server.
//!
//! A library is named by what is in it, so that another version of this program brings a library of its own and neither
//! disturbs the other. One that is there already is the same.

use std::sync::LazyLock;

/// The functions, without their name.
const SOURCE: &str = include_str!("library.lua");

/// The name of the library, with which the names of its functions begin.
pub(crate) static NAME: LazyLock<String> = LazyLock::new(|| format!("larder_{:016x}", fingerprint(SOURCE.as_bytes())));

/// The library as the server takes it.
pub(crate) fn code() -> String {
    // On one line with the first of the source, so that errors name its lines.
    format!("#!lua name={}\nlocal LIBRARY = '{}' {SOURCE}", *NAME, *NAME)
}

/// FNV-1a, as in <http://www.isthe.com/chongo/tech/comp/fnv/>: the same on every machine, for names and not for secrets.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_library_has_another_name() {
        assert_eq!(fingerprint(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint(b"foobar"), 0x8594_4171_f739_67e8);
        assert!(code().starts_with(&format!("#!lua name={}\n", *NAME)));
    }
}
