//! The fuzz targets over their corpus and over random changes of it, without a fuzzer.

use std::path::Path;

use crate::memcached::fuzz;

/// How many changed inputs are tried.
const MUTATIONS: usize = 200_000;

/// Longer inputs show nothing more.
const INPUT_BYTES_MAX: usize = 4096;

/// Words that reach into the grammar.
const WORDS: [&[u8]; 16] = [
    b"get ",
    b"set ",
    b"cas ",
    b"mg ",
    b"ms ",
    b"md ",
    b"ma ",
    b"me ",
    b" noreply",
    b"\r\n",
    b"\n",
    b" b k v c t O1",
    b" 18446744073709551616",
    b" -1",
    b" HTTP/1.1",
    b" N0 T-1 C0 MA",
];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = files.collect();
    paths.sort();
    assert!(!paths.is_empty(), "no corpus of {target}");
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Choices that repeat (SplitMix64; Steele, Lea, Flood 2014).
struct Choices(u64);

impl Choices {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }

    /// One of the usual changes: a byte, a word put in, a part left out or doubled.
    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        let end = at + self.below((input.len() - at).min(20));
        match self.below(5) {
            0 if at < input.len() => input[at] = self.below(256) as u8,
            1 => drop(input.drain(at..end)),
            2 => {
                let part = input[at..end].to_vec();
                drop(input.splice(at..at, part));
            }
            _ => drop(input.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied())),
        }
        input.truncate(INPUT_BYTES_MAX);
    }
}

/// Runs a target over its corpus, then over changes, some of them deep, of what is in it.
fn holds(name: &str, target: fn(&[u8])) {
    let corpus = corpus(name);
    corpus.iter().for_each(|input| target(input));
    let mut choices = Choices(1);
    let mut input = corpus[0].clone();
    for number in 0..MUTATIONS {
        if number % 50 == 0 {
            input.clone_from(&corpus[choices.below(corpus.len())]);
        }
        choices.mutate(&mut input);
        target(&input);
    }
}

#[test]
fn text_parser_holds_for_its_corpus_and_random_changes_of_it() {
    holds("text", fuzz::text);
}

#[test]
fn binary_parser_holds_for_its_corpus_and_random_changes_of_it() {
    holds("binary", fuzz::binary);
}
