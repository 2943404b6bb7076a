//! What goes wrong in the same way at each attempt is said once.

/// What was said last; empty where nothing is wrong.
#[derive(Debug, Default)]
pub(super) struct Once(String);

impl Once {
    /// Something is wrong; returns whether that is to be said: it was not what was said last.
    pub(super) fn is_new(&mut self, reason: &str) -> bool {
        let is_new = reason != self.0;
        if is_new {
            reason.clone_into(&mut self.0);
        }
        is_new
    }

    /// Nothing is wrong any more: what is from now on is to be said.
    pub(super) fn is_over(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Once;

    #[test]
    fn what_is_wrong_is_said_once_until_it_is_something_else_or_was_over() {
        let mut once = Once::default();
        assert_eq!(
            ["a", "a", "b", "b", "a"].map(|reason| once.is_new(reason)),
            [true, false, true, false, true]
        );
        once.is_over();
        assert_eq!(["a", "a"].map(|reason| once.is_new(reason)), [true, false]);
    }
}
