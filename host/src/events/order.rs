//! Whether an event is the newest of its source, where the source numbers its events.
//!
//! Invalidations need no order. Values that events carry do: an event that was delayed or is sent
//! again must not write its value over that of a later one.

use std::collections::HashMap;

use parking_lot::Mutex;

/// The highest number of each source since the start; with a tier, since its first event.
#[derive(Default)]
pub(super) struct Order(Mutex<HashMap<String, u64>>);

/// What is known of an event's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It came after all that are known of; this is its number.
    Newest(u64),
    /// It did not, or nobody can know: it has no number, or is the first that is known of.
    Unknown,
}

impl Order {
    /// Takes up the numbers that are known from before the start.
    pub(super) fn resume(&self, numbers: Vec<(String, u64)>) {
        self.0.lock().extend(numbers);
    }

    /// Notes the arrival of an event.
    pub(super) fn note(&self, source: &str, number: Option<u64>) -> Place {
        let Some(number) = number else { return Place::Unknown };
        let mut highest = self.0.lock();
        match highest.get_mut(source) {
            Some(highest) if *highest < number => {
                *highest = number;
                Place::Newest(number)
            }
            Some(_) => Place::Unknown,
            None => {
                highest.insert(source.to_owned(), number);
                Place::Unknown
            }
        }
    }

    /// Whether it is still the newest.
    pub(super) fn is_newest(&self, source: &str, place: Place) -> bool {
        let highest = self.0.lock().get(source).copied();
        matches!(place, Place::Newest(number) if highest == Some(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_event_above_a_known_number_is_the_newest() {
        let order = Order::default();
        assert_eq!(order.note("shop", None), Place::Unknown);
        assert_eq!(order.note("shop", Some(7)), Place::Unknown, "what came before is not known");
        let eighth = order.note("shop", Some(8));
        assert_eq!(eighth, Place::Newest(8));
        assert!(order.is_newest("shop", eighth));
        assert_eq!(order.note("shop", Some(7)), Place::Unknown, "sent again");
        assert_eq!(order.note("shop", Some(9)), Place::Newest(9));
        assert!(!order.is_newest("shop", eighth));
        assert_eq!(order.note("other", Some(10)), Place::Unknown);
    }

    #[test]
    fn an_event_from_before_the_start_is_not_the_newest_even_after_an_older_one() {
        let order = Order::default();
        order.resume(vec![("shop".to_owned(), 9)]);
        assert_eq!(order.note("shop", Some(5)), Place::Unknown);
        assert_eq!(order.note("shop", Some(7)), Place::Unknown, "sent again");
        assert_eq!(order.note("shop", Some(10)), Place::Newest(10));
    }
}
