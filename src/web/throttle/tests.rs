use super::*;

const S: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn a_burst_then_a_steady_pace_and_each_key_for_itself() {
    let throttle = Throttle::new(3, S(6));
    for _ in 0..3 {
        throttle.take_at(&"a", S(100)).unwrap();
    }
    assert_eq!(throttle.take_at(&"a", S(100)), Err(S(6)));
    assert_eq!(throttle.take_at(&"a", S(104)), Err(S(2)));
    throttle.take_at(&"b", S(100)).unwrap();
    throttle.take_at(&"a", S(106)).unwrap();
    assert_eq!(throttle.take_at(&"a", S(106)), Err(S(6)));
    for _ in 0..3 {
        throttle.take_at(&"a", S(1_000)).unwrap();
    }
}

#[test]
fn strangers_do_not_fill_the_memory() {
    let throttle = Throttle::new(1, S(1));
    for key in 0..20_000_u32 {
        throttle.take_at(&key, S(5)).unwrap();
    }
    assert!(throttle.spent.lock().unwrap().len() <= MAX_KEYS);
}
