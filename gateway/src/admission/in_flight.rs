//! The in-flight cap: how many requests one core may hold inside its handlers.
//!
//! Not a queue: beyond the cap the answer is 503 at once. It lives on one core and is not atomic; nothing of it is
//! shared, so a busy core refuses while an idle one admits.

use std::cell::Cell;
use std::rc::Rc;

/// One core's cap and count.
#[derive(Debug)]
pub struct InFlight {
    requests_max: usize,
    requests_count: Cell<usize>,
}

impl InFlight {
    /// A cap of `requests_max` for the core that calls this.
    pub fn new(requests_max: usize) -> Rc<InFlight> {
        Rc::new(InFlight { requests_max, requests_count: Cell::new(0) })
    }

    /// Takes a place, or `None` when the core is full. The place is free again when the guard drops, however the
    /// handler ended; the guard owns its share, so it can live in a task.
    pub fn try_enter(self: &Rc<Self>) -> Option<InFlightGuard> {
        let count = self.requests_count.get();
        if count >= self.requests_max {
            return None;
        }
        self.requests_count.set(count + 1);
        Some(InFlightGuard(Rc::clone(self)))
    }

    /// Requests inside handlers of this core now.
    pub fn requests_count(&self) -> usize {
        self.requests_count.get()
    }
}

/// A taken place.
#[derive(Debug)]
#[must_use = "dropping the guard frees the place"]
pub struct InFlightGuard(Rc<InFlight>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.requests_count.set(self.0.requests_count.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_refuses_and_a_dropped_guard_frees() {
        let core = InFlight::new(2);
        let first = core.try_enter().unwrap();
        let second = core.try_enter().unwrap();
        assert!(core.try_enter().is_none());
        drop(first);
        let third = core.try_enter().unwrap();
        assert_eq!(core.requests_count(), 2);
        drop((second, third));
        assert_eq!(core.requests_count(), 0);
        assert!(InFlight::new(0).try_enter().is_none());
    }
}
