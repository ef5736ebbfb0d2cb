//! A part that is opened beside the mount, some time after whoever uses it.

use std::sync::{Arc, OnceLock};

/// A part that is not configured, not open yet, or open for good. Clones share it.
#[derive(Debug)]
pub struct Late<T>(Option<Arc<OnceLock<Arc<T>>>>);

impl<T> Late<T> {
    /// One that is configured, and will be there once [`Self::set`] was called.
    pub fn expected() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether it is configured.
    pub fn is_expected(&self) -> bool {
        self.0.is_some()
    }

    /// The part, once it is open.
    pub fn get(&self) -> Option<&Arc<T>> {
        self.0.as_ref()?.get()
    }

    /// It is open. Only the first call, and only of one that is expected, has an effect.
    pub fn set(&self, part: Arc<T>) {
        if let Some(place) = &self.0 {
            // Whoever came first is used by others already.
            let _ = place.set(part);
        }
    }
}

/// Not configured.
impl<T> Default for Late<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Clone for Late<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> From<Arc<T>> for Late<T> {
    fn from(part: Arc<T>) -> Self {
        Self(Some(Arc::new(OnceLock::from(part))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_see_it_once_it_is_there() {
        let late = Late::expected();
        let seen = late.clone();
        assert!(seen.is_expected() && seen.get().is_none());
        late.set(Arc::new(7));
        late.set(Arc::new(8));
        assert_eq!(seen.get().map(|part| **part), Some(7));
        let none = Late::default();
        none.set(Arc::new(7));
        assert!(!none.is_expected() && none.get().is_none());
    }
}
