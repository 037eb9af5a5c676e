//! Who is interested in what: from an address to the watchers it concerns, in time that does not grow with their number.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{address::Address, key::Key, namespace::Namespace};

/// What a watcher looks at, coarsely: too much is fine, too little is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// One key.
    Key(Address),
    /// The keys of a namespace that begin with a text.
    Prefix(Namespace, String),
    /// Everything.
    Store,
}

/// The interests of all watchers, found by address.
#[derive(Debug, Default)]
pub(super) struct Interests {
    keys: HashMap<Namespace, HashMap<Key, BTreeSet<u64>>>,
    prefixes: HashMap<Namespace, Prefixes>,
    store: BTreeSet<u64>,
}

/// The prefixes of a namespace, with how many there are of each length: only those lengths are looked up.
#[derive(Debug, Default)]
struct Prefixes {
    watchers: HashMap<String, BTreeSet<u64>>,
    lengths: BTreeMap<usize, usize>,
}

impl Interests {
    pub(super) fn add(&mut self, watcher: u64, interest: &Interest) {
        match interest {
            Interest::Key(Address { namespace, key }) => {
                self.keys.entry(namespace.clone()).or_default().entry(key.clone()).or_default().insert(watcher);
            }
            Interest::Prefix(namespace, prefix) => {
                let prefixes = self.prefixes.entry(namespace.clone()).or_default();
                prefixes.watchers.entry(prefix.clone()).or_default().insert(watcher);
                *prefixes.lengths.entry(prefix.len()).or_default() += 1;
            }
            Interest::Store => {
                self.store.insert(watcher);
            }
        }
    }

    pub(super) fn remove(&mut self, watcher: u64, interest: &Interest) {
        match interest {
            Interest::Key(Address { namespace, key }) => {
                let Some(keys) = self.keys.get_mut(namespace) else { return };
                let Some(watchers) = keys.get_mut(key) else { return };
                watchers.remove(&watcher);
                if watchers.is_empty() {
                    keys.remove(key);
                }
                if keys.is_empty() {
                    self.keys.remove(namespace);
                }
            }
            Interest::Prefix(namespace, prefix) => {
                let Some(prefixes) = self.prefixes.get_mut(namespace) else { return };
                let Some(watchers) = prefixes.watchers.get_mut(prefix) else { return };
                watchers.remove(&watcher);
                if watchers.is_empty() {
                    prefixes.watchers.remove(prefix);
                }
                if let Some(count) = prefixes.lengths.get_mut(&prefix.len()) {
                    *count -= 1;
                    if *count == 0 {
                        prefixes.lengths.remove(&prefix.len());
                    }
                }
                if prefixes.lengths.is_empty() {
                    self.prefixes.remove(namespace);
                }
            }
            Interest::Store => {
                self.store.remove(&watcher);
            }
        }
    }

    /// Every watcher that a change at `address` concerns.
    pub(super) fn concerned<'a>(&'a self, address: &'a Address) -> impl Iterator<Item = u64> + 'a {
        let keys = self.keys.get(&address.namespace).and_then(|keys| keys.get(&address.key));
        let prefixes = self.prefixes.get(&address.namespace).into_iter().flat_map(|prefixes| {
            // A prefix that ends inside of a character of the key is none.
            let starts = prefixes.lengths.keys().map_while(|length| (*length <= address.key.len()).then_some(*length));
            starts.filter_map(|length| prefixes.watchers.get(address.key.get(..length)?))
        });
        keys.into_iter().chain(prefixes).chain([&self.store]).flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(key: &str) -> Address {
        Address::new(Namespace::default(), Key::new(key).expect("valid"))
    }

    #[test]
    fn an_address_finds_whom_it_concerns() {
        let prefix = |text: &str| Interest::Prefix(Namespace::default(), text.to_owned());
        let other = Interest::Prefix(Namespace::new("other").expect("valid"), String::new());
        let all = [
            Interest::Key(at("ab")),
            prefix(""),
            prefix("a"),
            prefix("ab"),
            prefix("abc"),
            prefix("ä"),
            Interest::Store,
            other,
        ];
        let mut interests = Interests::default();
        for (watcher, interest) in all.iter().enumerate() {
            interests.add(watcher as u64, interest);
        }
        let concerned = |interests: &Interests, key: &str| {
            let mut found: Vec<u64> = interests.concerned(&at(key)).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(concerned(&interests, "ab"), [0, 1, 2, 3, 6]);
        assert_eq!(concerned(&interests, "abcd"), [1, 2, 3, 4, 6]);
        assert_eq!(concerned(&interests, "äb"), [1, 5, 6]);
        // The first byte of ü is that of ä, and a key of one byte is shorter than either.
        assert_eq!(concerned(&interests, "ü"), [1, 6]);
        for (watcher, interest) in all.iter().enumerate() {
            interests.remove(watcher as u64, interest);
        }
        assert!(concerned(&interests, "ab").is_empty());
        assert!(interests.keys.is_empty() && interests.prefixes.is_empty());
    }
}
