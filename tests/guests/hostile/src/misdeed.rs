//! What the hostile plugin does: one list for the plugin, which must know how, and for the tests of
//! the host, which must say what each leads to. Where either lacks one, it does not compile.
//!
//! # Invariants
//! - Names are those of the settings `mode` and `start`, of the request field `x-mode`, and of an
//!   event's `mode`.
//!
//! # Not here
//! How it is done: the plugin. What it leads to: the host's tests.

macro_rules! misdeeds {
    ($(#[$of_all:meta])* $kind:ident { $($(#[$of_one:meta])* $one:ident = $name:literal,)* }) => {
        $(#[$of_all])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $kind {
            $($(#[$of_one])* $one,)*
        }

        impl $kind {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$one,)*];

            /// Its name.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$one => $name,)*
                }
            }

            /// The one of this name.
            pub(crate) fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

misdeeds! {
    /// What a hook may do.
    Misdeed {
        /// Loops for ever.
        Spin = "spin",
        /// Loops for ever, and logs in each round: most of the time is spent in the host.
        SpinLogging = "spin-logging",
        /// Looks things up for ever, refused or not: most of the time is spent in the host.
        SpinLooking = "spin-looking",
        /// Takes memory without end.
        Grow = "grow",
        /// Panics.
        Trap = "trap",
        /// Ends the process that it believes to be in.
        Exit = "exit",
        /// Waits for an hour by an import.
        Sleep = "sleep",
        /// Calls itself without end.
        Recurse = "recurse",
        /// Has no answer, and says so.
        Error = "error",
        /// Answers more than is allowed: a long key, a flood of tags, a flood of actions.
        HugeReturn = "huge-return",
        /// Answers many long texts that share one piece of its memory.
        HeavyReturn = "heavy-return",
        /// Answers text that is not UTF-8, once the marker in its file is overwritten.
        BadUtf8 = "bad-utf8",
        /// Answers an empty key.
        Empty = "empty",
        /// Answers a tag of two lines.
        BadTag = "bad-tag",
        /// Answers a URL that is none.
        BadUrl = "bad-url",
        /// Invalidates everything.
        Everything = "everything",
        /// Names a time beyond all others.
        PutForAges = "put-for-ages",
    }
}

misdeeds! {
    /// What it may do before it is loaded.
    Start {
        /// Refuses its settings.
        RefuseConfiguration = "refuse-configuration",
        /// Panics on its settings.
        TrapInConfigure = "trap-in-configure",
        /// Loops for ever on its settings.
        SpinInConfigure = "spin-in-configure",
        /// Panics when it is asked to describe itself.
        TrapInDescribe = "trap-in-describe",
        /// Loops for ever then.
        SpinInDescribe = "spin-in-describe",
        /// Declares an input that no request has.
        BadInput = "bad-input",
    }
}
