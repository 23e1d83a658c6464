//! All orders of what can happen to two calls that differ in one byte: sent, approved, refused, time passing, the task ending,
//! other rules, a restart, a crash before a change is kept. In none of them does a call go out that was not approved, or more
//! often than it was approved.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Send(u8),
    /// The same, and the node dies before what became of it is kept.
    SendAndCrash(u8),
    Approve(u8),
    Refuse(u8),
    /// Past the life of an approval, not past that of a question.
    Wait,
    /// Past both.
    WaitLong,
    EndTask,
    OtherRules,
    Restart,
    Sweep,
}

const STEPS: [Step; 13] = [
    Step::Send(1),
    Step::Send(2),
    Step::SendAndCrash(1),
    Step::Approve(1),
    Step::Approve(2),
    Step::Refuse(1),
    Step::Refuse(2),
    Step::Wait,
    Step::WaitLong,
    Step::EndTask,
    Step::OtherRules,
    Step::Restart,
    Step::Sweep,
];

const SETTINGS: Settings = Settings {
    asked_for: Duration::from_secs(100),
    good_for: Duration::from_secs(10),
    no_stands_for: Duration::from_secs(1_000),
    waiting_per_task: 10,
    waiting_per_agent: 10,
    asks_per_minute: 100,
    owner_votes: false,
};

#[derive(Clone)]
struct World {
    holds: Holds,
    /// What the store holds.
    kept: BTreeMap<HoldId, Hold>,
    now: u64,
    rules: usize,
    over: bool,
    calls: usize,
    voters: usize,
    /// How often people said yes to each call, under which rules, and until when that is good.
    yes: Vec<(u8, usize, u64)>,
    /// What went out, and with which hold.
    sent: Vec<(u8, HoldId)>,
}

impl World {
    fn new() -> Self {
        let (holds, kept) = (Holds::new(SETTINGS, []), BTreeMap::new());
        let (yes, sent) = (Vec::new(), Vec::new());
        Self { holds, kept, now: 0, rules: 0, over: false, calls: 0, voters: 0, yes, sent }
    }

    fn rules(&self) -> String {
        format!("rules {}", self.rules)
    }

    fn digest(&self, call: u8) -> u8 {
        call * 16 + u8::try_from(self.rules).unwrap()
    }

    fn keep(&mut self, hold: Hold) {
        self.kept.insert(hold.id, hold.clone());
        self.holds.put(hold);
    }

    fn restart(&mut self) {
        self.holds = Holds::new(SETTINGS, self.kept.values().cloned());
    }

    fn send(&mut self, call: u8, crashes: bool) {
        if self.over {
            return; // refused before it is ruled on
        }
        self.calls += 1;
        let mut asked = asked(self.calls, self.digest(call), &[("g", 1)], at(self.now), &SETTINGS);
        asked.0.rules = self.rules();
        match self.holds.ask(&asked, at(self.now)) {
            Answer::Fresh(_) | Answer::Joined(_) | Answer::Approved(_) if crashes => self.restart(),
            Answer::Fresh(hold) => self.keep(*hold),
            Answer::Joined(hold) => {
                self.holds.put(*hold);
            }
            Answer::Approved(hold) => {
                let approval = approval(&hold).expect("what is spent has its proof");
                assert_eq!(approval.hold(), hold.id);
                self.keep(*hold);
                self.sent.push((call, approval.hold()));
                let good = |(yes, rules, until): &(u8, usize, u64)| {
                    *yes == call && *rules == self.rules && self.now < *until
                };
                let at = self.yes.iter().position(good);
                // Each yes is good for one call.
                self.yes
                    .remove(at.expect("it was approved, these very bytes, under these rules, and in time"));
            }
            Answer::Enough { .. } | Answer::Refused(_) => {}
        }
    }

    fn vote(&mut self, call: u8, approves: bool) {
        let waits = |hold: &&Arc<Hold>| hold.digest == CallDigest([self.digest(call); 32]);
        let Some(hold) = self.holds.all().rev().find(waits).cloned() else { return };
        self.voters += 1;
        let voter = operator(&format!("voter {}", self.voters), &["g"]);
        let Ok(after) = self.holds.vote(&ballot(&hold, approves), &voter, &self.rules(), at(self.now)) else {
            return;
        };
        if approves {
            self.yes.push((call, self.rules, self.now + SETTINGS.good_for.as_secs()));
        }
        self.keep(after);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send(call) => self.send(call, false),
            Step::SendAndCrash(call) => self.send(call, true),
            Step::Approve(call) => self.vote(call, true),
            Step::Refuse(call) => self.vote(call, false),
            Step::Wait => self.now += 20,
            Step::WaitLong => self.now += 200,
            Step::EndTask => self.over = true,
            Step::OtherRules => self.rules += 1,
            Step::Restart => self.restart(),
            Step::Sweep => {
                let over = self.over;
                let changed = self.holds.sweep(at(self.now), &self.rules(), |_| over);
                for hold in changed {
                    self.keep(hold);
                }
            }
        }
        let mut holds: Vec<_> = self.sent.iter().map(|(_, hold)| *hold).collect();
        holds.sort();
        holds.dedup();
        assert_eq!(holds.len(), self.sent.len(), "no hold lets two calls out");
    }
}

fn walk(world: &World, depth: usize, walked: &mut u64, way: &mut Vec<Step>) {
    if depth == 0 {
        *walked += 1;
        return;
    }
    for step in STEPS {
        let mut next = world.clone();
        way.push(step);
        next.step(step);
        walk(&next, depth - 1, walked, way);
        way.pop();
    }
}

#[test]
fn in_no_order_does_a_call_go_out_unapproved_or_twice() {
    // Every way begins with a call that is held.
    let mut world = World::new();
    world.step(Step::Send(1));
    let mut walked = 0;
    walk(&world, 4, &mut walked, &mut Vec::new());
    assert_eq!(walked, 13_u64.pow(4));
}

#[test]
fn long_ways_drawn_at_random_keep_to_it_too() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut sent = 0;
    for _ in 0..3_000 {
        let mut world = World::new();
        for _ in 0..40 {
            // xorshift64*
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let step = STEPS[(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % STEPS.len()];
            if step != Step::EndTask || state.is_multiple_of(8) {
                world.step(step);
            }
        }
        sent += world.sent.len();
    }
    assert!(sent > 500, "only {sent} calls went out: the ways are not what they should be");
}

#[test]
fn an_approved_call_goes_out_once_and_the_next_asks_anew() {
    let mut world = World::new();
    for step in [Step::Send(1), Step::Approve(1), Step::Restart, Step::Send(2), Step::Send(1), Step::Send(1)]
    {
        world.step(step);
    }
    assert_eq!(world.sent.len(), 1);
    let waiting = world.holds.all().filter(|hold| hold.state == HoldState::Waiting).count();
    assert_eq!(waiting, 2, "the other call, and the second sending of the first");
}
