//! Some thousands of inputs for each target, in every run: its seeds, and what becomes of them when bytes are changed,
//! doubled, moved and cut. Always the same ones.

use crate::TARGETS;

const ROUNDS: u64 = 1500;

/// Numbers without order (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below.max(1)
    }
}

/// Bytes that parsers look at.
const ODD: &[u8] = b"\0\r\n\t \"'%&*+,-./0:;<=>?@[\\]^{|}~\x7f\x80\xc3\xff";

fn change(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.roll(bytes.len() + 1);
    match dice.roll(6) {
        0 => bytes.insert(at, ODD[dice.roll(ODD.len())]),
        1 => bytes.truncate(at),
        2 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
        3 if at < bytes.len() => {
            bytes.remove(at);
        }
        4 => {
            let end = at + dice.roll((bytes.len() - at).min(40) + 1);
            let part = bytes[at..end].to_vec();
            let place = dice.roll(bytes.len() + 1);
            bytes.splice(place..place, part);
        }
        _ if at < bytes.len() => bytes[at] = ODD[dice.roll(ODD.len())],
        _ => {}
    }
}

#[test]
fn everything_holds_of_changed_seeds() {
    for target in TARGETS {
        let mut dice = Dice(0x5EED);
        (target.run)(b"");
        for seed in target.seeds {
            (target.run)(seed);
            for round in 0..ROUNDS {
                let mut bytes = seed.to_vec();
                for _ in 0..=round % 7 {
                    change(&mut bytes, &mut dice);
                }
                (target.run)(&bytes);
            }
        }
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TARGETS.len());
}
