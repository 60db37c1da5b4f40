//! Deliveries that were acknowledged, so that a sender's retry costs nothing.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use super::apply::Receipt;
use crate::limits::REMEMBERED_DELIVERIES_MAX;

type Delivery = (String, String);

/// Receipts by source and id, bounded.
#[derive(Default)]
pub(super) struct Seen(Mutex<Deliveries>);

#[derive(Default)]
struct Deliveries {
    receipts: HashMap<Delivery, Receipt>,
    order: VecDeque<Delivery>,
}

impl Seen {
    pub(super) fn receipt(&self, source: &str, id: &str) -> Option<Receipt> {
        self.0.lock().receipts.get(&(source.to_owned(), id.to_owned())).copied()
    }

    pub(super) fn note(&self, source: &str, id: &str, receipt: Receipt) {
        let mut seen = self.0.lock();
        let delivery = (source.to_owned(), id.to_owned());
        if seen.receipts.insert(delivery.clone(), receipt).is_none() {
            seen.order.push_back(delivery);
        }
        if seen.order.len() > REMEMBERED_DELIVERIES_MAX
            && let Some(oldest) = seen.order.pop_front()
        {
            seen.receipts.remove(&oldest);
        }
    }
}
