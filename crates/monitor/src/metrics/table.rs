//! A table that is read by every event and written when a key is new.
//!
//! Rule: readers see an immutable snapshot; a writer publishes a changed copy. Two concurrent
//! writers of a key get one value, the first published. Keys are names of our own models and
//! dialects, so a quick hash is enough.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;

/// Shared values by key.
#[derive(Debug)]
pub(crate) struct Table<K, V>(ArcSwap<FxHashMap<K, Arc<V>>>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(FxHashMap::default()))
    }
}

impl<K: Clone + Eq + Hash, V: Default> Table<K, V> {
    /// Returns the value of a key, made when the key is new.
    pub(crate) fn get_or_insert<Q>(&self, key: &Q) -> Arc<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        loop {
            if let Some(value) = self.0.load().get(key) {
                return Arc::clone(value);
            }
            let fresh = Arc::new(V::default());
            self.0.rcu(|table| {
                let mut table = FxHashMap::clone(table);
                table
                    .entry(key.to_owned())
                    .or_insert_with(|| Arc::clone(&fresh));
                table
            });
        }
    }

    /// Removes a key; holders of its value may go on counting unseen.
    pub(crate) fn remove<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.rcu(|table| {
            let mut table = FxHashMap::clone(table);
            table.remove(key);
            table
        });
    }

    /// Returns all keys and values, in the order of the keys.
    pub(crate) fn sorted(&self) -> Vec<(K, Arc<V>)>
    where
        K: Ord,
    {
        let table = self.0.load();
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| (key.clone(), Arc::clone(value)))
            .collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    type Counts = Table<&'static str, AtomicUsize>;

    #[test]
    fn a_key_keeps_its_value() {
        let table = Counts::default();
        let first = table.get_or_insert(&"a");
        table.get_or_insert(&"b");
        assert!(Arc::ptr_eq(&first, &table.get_or_insert(&"a")));
    }

    #[test]
    fn a_key_that_comes_back_has_a_fresh_value() {
        let table = Counts::default();
        let old = table.get_or_insert(&"a");
        old.fetch_add(3, Ordering::Relaxed);
        table.remove(&"a");
        table.remove(&"never there");
        assert!(table.sorted().is_empty());
        old.fetch_add(1, Ordering::Relaxed);
        assert_eq!(table.get_or_insert(&"a").load(Ordering::Relaxed), 0);
    }

    #[test]
    fn keys_are_listed_in_their_order() {
        let table = Counts::default();
        for key in ["b", "c", "a", "b"] {
            table.get_or_insert(&key);
        }
        let keys: Vec<_> = table.sorted().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a", "b", "c"]);
    }

    #[test]
    fn those_who_bring_a_key_at_once_share_one_value() {
        const THREADS: usize = 4;
        const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let (table, barrier) = (Counts::default(), Barrier::new(THREADS));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    barrier.wait();
                    for key in KEYS {
                        table.get_or_insert(&key).fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let counts = table.sorted().into_iter();
        let counts: Vec<_> = counts.map(|(_, n)| n.load(Ordering::Relaxed)).collect();
        assert_eq!(counts, [THREADS; KEYS.len()]);
    }
}
