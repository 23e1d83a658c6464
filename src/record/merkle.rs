//! The journal as a Merkle tree (RFC 9162 §2.1, the same as RFC 6962 §2.1): the writer's side.
//!
//! A leaf is the bytes of a line without its newline. The writer needs nothing but the hashes of the perfect subtrees on
//! the right edge: one for each bit that is set in the number of leaves, so at most 64. Proofs are made and checked by
//! [`verify`](super::verify), which shares no code with this file.

#[cfg(test)]
pub(in crate::record) mod tests;

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// A tree that can only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the perfect subtrees, the largest and leftmost first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf, and gives back its hash.
    pub fn push(&mut self, line: &[u8]) -> Hash {
        let leaf = leaf(line);
        self.push_leaf(leaf);
        leaf
    }

    /// Adds a leaf of which only the hash is kept.
    pub fn push_leaf(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each trailing 1 of the size is a perfect subtree that the new leaf completes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root; of no leaves, the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            Some(last) => peaks.fold(*last, |right, left| node(left, &right)),
            None => Sha256::digest(b"").into(),
        }
    }
}

/// The hash of one line.
pub(super) fn leaf(line: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(line).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The audit path of one leaf, from the leaf up (RFC 9162 §2.1.3.1); empty where there is no such leaf.
pub(super) fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    let (mut leaves, mut index, mut up) = (leaves, index, Vec::new());
    if index >= leaves.len() {
        return up;
    }
    while leaves.len() > 1 {
        // The largest power of two below the number of leaves.
        let split = leaves.len().next_power_of_two() / 2;
        let Some((left, right)) = leaves.split_at_checked(split) else { break };
        if index < split {
            up.push(root(right));
            leaves = left;
        } else {
            up.push(root(left));
            (leaves, index) = (right, index - split);
        }
    }
    up.reverse();
    up
}

fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Frontier::default();
    for leaf in leaves {
        tree.push_leaf(*leaf);
    }
    tree.root()
}
