//! The small world of names that the clients share: few of each, so that everything meets.

/// Items; half of them under each prefix.
pub(crate) const ITEMS: usize = 24;
/// Pages of the one site.
pub(crate) const PAGES: usize = 8;
/// Tags; the last two are what events of a model make wrong.
pub(crate) const TAGS: usize = 6;
/// Prefixes of items, and after them the one of pages.
pub(crate) const PREFIXES: usize = 3;
/// Everything that can be made wrong.
pub(crate) const TARGETS: usize = ITEMS + PAGES + TAGS + PREFIXES + 1;

/// The first tag that stands for a model.
pub(crate) const FIRST_MODEL: usize = TAGS - 2;

/// A set of tags, one bit for each.
pub(crate) type TagSet = u8;

/// What an invalidation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// One entry, by its key or URL.
    Entry(Place),
    /// A tag.
    Tag(usize),
    /// A prefix of keys.
    Prefix(usize),
    /// All of it.
    Everything,
}

impl Target {
    /// Its number among [`TARGETS`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Entry(Place::Item(item)) => item,
            Self::Entry(Place::Page(page)) => ITEMS + page,
            Self::Tag(tag) => ITEMS + PAGES + tag,
            Self::Prefix(prefix) => ITEMS + PAGES + TAGS + prefix,
            Self::Everything => TARGETS - 1,
        }
    }
}

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// An item.
    Item(usize),
    /// A page.
    Page(usize),
}

impl Place {
    /// Every place there is.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..ITEMS).map(Self::Item).chain((0..PAGES).map(Self::Page))
    }

    /// The prefix that its key begins with.
    pub(crate) fn prefix(self) -> usize {
        match self {
            Self::Item(item) => item % 2,
            Self::Page(_) => 2,
        }
    }

    /// All that makes an entry with these tags wrong here.
    pub(crate) fn targets(self, tags: TagSet) -> impl Iterator<Item = Target> {
        let tags = (0..TAGS).filter(move |tag| tags & (1 << tag) != 0).map(Target::Tag);
        tags.chain([Target::Entry(self), Target::Prefix(self.prefix()), Target::Everything])
    }
}

/// The name of a tag on the wire.
pub(crate) fn tag_name(tag: usize) -> String {
    match tag {
        FIRST_MODEL.. => format!("model:{}", model_name(tag)),
        _ => format!("tag:{tag}"),
    }
}

/// The model whose events make the tag wrong.
pub(crate) fn model_name(tag: usize) -> String {
    format!("shop.m{tag}")
}

/// The names of a set, with this between them.
pub(crate) fn tag_names(tags: TagSet, between: &str) -> String {
    let names = (0..TAGS).filter(|tag| tags & (1 << tag) != 0).map(tag_name);
    names.collect::<Vec<_>>().join(between)
}

/// The path of a page.
pub(crate) fn page_path(page: usize) -> String {
    format!("/pages/{page}")
}

/// Where names are found: pages' keys begin with the address of the server.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// `http://127.0.0.1:8080`
    pub(crate) pages: String,
}

impl Names {
    /// The key of a place.
    pub(crate) fn key(&self, place: Place) -> String {
        match place {
            Place::Item(item) => format!("{}{item}", self.prefix(place.prefix())),
            Place::Page(page) => format!("{}{}", self.pages, page_path(page)),
        }
    }

    /// A prefix.
    pub(crate) fn prefix(&self, prefix: usize) -> String {
        match prefix {
            0 => "a:".to_owned(),
            1 => "b:".to_owned(),
            _ => format!("{}/pages/", self.pages),
        }
    }
}
