//! Whether the next question is worth staying awake for.
//!
//! Who has an answer often asks the next question at once: a client for two families, a crawler, a pool that connects. To
//! sleep in between and be woken costs a multiple of the answer, most of it where a halted processor has to be called back.
//! In a burst the server therefore looks again for a moment, and gives its processor to whoever wants it meanwhile; the
//! kernel's halt polling does the same for virtual machines. Who asks seldom never makes it wait.

use std::time::{Duration, Instant};

/// What comes this soon after an answer belongs to a burst. More than a client takes that has to be woken first.
const SOON: Duration = Duration::from_micros(150);
/// How long it looks for the next question: about what falling asleep and being woken would cost.
const PATIENCE: Duration = Duration::from_micros(50);
/// After a wait for nothing, so many questions that would be worth one are not.
const PAUSE: u8 = 16;

/// What the last questions say about the next one.
#[derive(Debug, Default)]
pub(crate) struct Burst {
    answered: Option<Instant>,
    pause: u8,
}

impl Burst {
    // ANCHOR: asked
    /// A question came in at `now`: how long to look for the next one, if at all.
    pub(crate) fn asked(&mut self, now: Instant) -> Option<Duration> {
        self.answered.filter(|&answered| now.saturating_duration_since(answered) <= SOON)?;
        self.pause = self.pause.saturating_sub(1);
        (self.pause == 0).then_some(PATIENCE)
    }
    // ANCHOR_END: asked

    /// Answers went out at `now`.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.answered = Some(now);
    }

    /// Nothing came in the time that [`Burst::asked`] gave.
    pub(crate) fn over(&mut self) {
        self.pause = PAUSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, micros: u64) -> Instant {
        start + Duration::from_micros(micros)
    }

    #[test]
    fn who_asks_seldom_is_not_waited_for() {
        let (start, mut burst) = (Instant::now(), Burst::default());
        for second in 0..3 {
            assert_eq!(burst.asked(after(start, second * 1_000_000)), None);
            burst.answered(after(start, second * 1_000_000 + 10));
        }
    }

    #[test]
    fn who_asks_soon_after_an_answer_is() {
        let (start, mut burst) = (Instant::now(), Burst::default());
        burst.asked(start);
        burst.answered(after(start, 10));
        assert_eq!(burst.asked(after(start, 60)), Some(PATIENCE));
    }

    #[test]
    fn a_wait_for_nothing_is_not_repeated_at_once() {
        let (start, mut burst) = (Instant::now(), Burst::default());
        burst.answered(start);
        assert!(burst.asked(after(start, 20)).is_some());
        burst.over();
        // 60 µs between an answer and the next question: soon, but never soon enough.
        let waits = (0..160).filter(|turn| {
            burst.answered(after(start, 100 * turn));
            let waits = burst.asked(after(start, 100 * turn + 60)).is_some();
            if waits {
                burst.over();
            }
            waits
        });
        assert_eq!(waits.count(), 10);
    }
}
