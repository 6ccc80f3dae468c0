//! Decisions that are drawn from the bytes of an input: what is left of it after they are all taken is zeros.

/// Draws from an input, from its front.
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    pub fn new(input: &'a [u8]) -> Choices<'a> {
        Choices { rest: input }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        first
    }

    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// At most so many bytes.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(most.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}

/// A sequence of numbers that looks random (xorshift, Marsaglia 2003).
pub struct Sequence(u64);

impl Sequence {
    pub fn new(seed: u64) -> Sequence {
        Sequence(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % limit as u64) as usize
    }
}

/// Cuts bytes in pieces of random lengths, of which half are short.
pub fn pieces(bytes: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut sequence = Sequence::new(seed);
    // not too many of a long input
    let longest = (1 + [3, 20, 200, 9000][sequence.below(4)]).max(bytes.len() / 50);
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let most = if sequence.below(2) == 0 { 1 + longest / 8 } else { longest };
        let (piece, after) = rest.split_at((1 + sequence.below(most)).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
