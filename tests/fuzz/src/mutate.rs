//! Changes to inputs, the same ones in every run.

/// A source of numbers (xorshift64, Marsaglia 2003).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The source of this name's numbers.
    pub fn new(name: &str) -> Self {
        // FNV-1a.
        Self(
            name.bytes()
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)),
        )
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`; 0 where there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (self.next() >> 16) as usize % limit }
    }
}

/// Bytes that mean something somewhere.
const TELLING: &[u8] = b"\0\n\r\t \"'$%,-./:;<=>?@[\\]{|}~#!&*+019aAzZ\x7f\x80\xc0\xff";

/// The longest that a change makes an input, in bytes.
const LONGEST: usize = 8 << 10;

/// Changes an input in one to four places; `other` is one to take parts from.
pub fn mutate(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut data = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        let length = random.below(16).min(data.len() - at);
        let telling = TELLING[random.below(TELLING.len())];
        match random.below(7) {
            0 => data.insert(at, telling),
            1 if at < data.len() => data[at] = telling,
            2 if at < data.len() => data[at] ^= 1 << random.below(8),
            3 => drop(data.drain(at..at + length)),
            4 => {
                let part = data[at..at + length].repeat(1 + random.below(8));
                data.splice(at..at, part);
            }
            5 => {
                let from = random.below(other.len() + 1);
                let part = &other[from..(from + random.below(64)).min(other.len())];
                data.splice(at..at, part.iter().copied());
            }
            _ => data.truncate(at),
        }
    }
    data.truncate(LONGEST);
    data
}
