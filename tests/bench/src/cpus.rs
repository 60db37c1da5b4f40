//! Lists of cores, and keeping to them.

use std::fmt;
use std::str::FromStr;

use rustix::thread::{CpuSet, sched_setaffinity};

/// A list of cores as `taskset -c` takes it: `0`, `0,2`, `1-3`. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cpus(Vec<usize>);

impl Cpus {
    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Keeps the calling thread, and what it starts, to these cores.
    ///
    /// # Errors
    /// None of them exists here.
    pub(crate) fn keep_to_them(&self) -> anyhow::Result<()> {
        let mut set = CpuSet::new();
        for cpu in &self.0 {
            set.set(*cpu);
        }
        sched_setaffinity(None, &set)
            .map_err(|error| anyhow::anyhow!("cores {self} can't be used: {error}"))
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Cpus {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (usize, usize) = (first.parse()?, last.parse()?);
            if first > last || last >= CpuSet::MAX_CPU {
                anyhow::bail!("cores {part:?}; ranges rise and end below {}", CpuSet::MAX_CPU);
            }
            cpus.extend(first..=last);
        }
        Ok(Self(cpus))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_are_read() {
        assert_eq!("0,2-4".parse::<Cpus>().unwrap(), Cpus(vec![0, 2, 3, 4]));
        assert_eq!("1-2".parse::<Cpus>().unwrap().to_string(), "1,2");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["", "a", "3-1", "0,", "0-99999"] {
            assert!(text.parse::<Cpus>().is_err(), "{text:?}");
        }
    }
}
