//! Shapes of load: which commands, how large, how many at a time.

use super::items::{Items, KEY_BYTES};

/// Items that each shape works on.
pub(crate) const ITEMS: u32 = 100_000;

/// Between the keys of one `get` of several; prime, so that they come from everywhere.
const STRIDE: usize = 7919;

/// One shape. Keys are chosen uniformly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// On the command line.
    pub(crate) name: &'static str,
    /// In tables.
    pub(crate) title: &'static str,
    /// Sets among ten commands.
    pub(crate) sets_of_ten: u64,
    /// Keys of every `get`.
    pub(crate) keys_per_get: usize,
    /// Length of every value.
    pub(crate) value_bytes: usize,
    /// Commands sent before a reply is waited for.
    pub(crate) pipeline: usize,
}

/// All of them.
pub(crate) const SHAPES: [Shape; 5] = [
    Shape {
        name: "mixed-p1",
        title: "9 gets : 1 set, 100 B",
        sets_of_ten: 1,
        keys_per_get: 1,
        value_bytes: 100,
        pipeline: 1,
    },
    Shape {
        name: "mixed-p20",
        title: "9 gets : 1 set, 100 B, pipeline 20",
        sets_of_ten: 1,
        keys_per_get: 1,
        value_bytes: 100,
        pipeline: 20,
    },
    Shape {
        name: "large-p20",
        title: "gets, 4 KB, pipeline 20",
        sets_of_ten: 0,
        keys_per_get: 1,
        value_bytes: 4096,
        pipeline: 20,
    },
    Shape {
        name: "multiget",
        title: "gets of 50 keys, 100 B",
        sets_of_ten: 0,
        keys_per_get: 50,
        value_bytes: 100,
        pipeline: 1,
    },
    Shape {
        name: "sets-p20",
        title: "sets, 100 B, pipeline 20",
        sets_of_ten: 10,
        keys_per_get: 1,
        value_bytes: 100,
        pipeline: 20,
    },
];

impl Shape {
    /// The shape of this name.
    ///
    /// # Errors
    /// There is none; says which there are.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let names = SHAPES.map(|shape| shape.name).join(", ");
        let found = SHAPES.into_iter().find(|shape| shape.name == name);
        found.ok_or_else(|| format!("shapes are {names}"))
    }

    /// The items it works on.
    pub(crate) fn items(&self) -> Items {
        Items::new(ITEMS, self.value_bytes)
    }

    /// The key at a position of the `get` that begins with the item `first`.
    pub(crate) fn item_at(&self, first: usize, position: usize) -> usize {
        first + position * STRIDE
    }

    /// Appends a `get` that begins with the item `first`.
    pub(crate) fn write_get(&self, items: &Items, first: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"get");
        for position in 0..self.keys_per_get {
            out.push(b' ');
            out.extend_from_slice(items.key(self.item_at(first, position)));
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Bytes of what [`Shape::write_get`] appends.
    pub(crate) fn get_bytes(&self) -> usize {
        b"get".len() + self.keys_per_get * (1 + KEY_BYTES) + b"\r\n".len()
    }

    /// Bytes of all replies to a batch, at most.
    pub(crate) fn batch_reply_bytes(&self, items: &Items) -> usize {
        self.pipeline * (self.keys_per_get * items.reply_bytes() + b"END\r\n".len())
    }
}
