use super::*;

#[test]
fn ordinary_text_of_any_script_stays_as_it_is() {
    for ordinary in
        ["Open an issue", "Grüße aus Köln", "日本語のテキスト", "עברית", "🙂 ok", "<b>&amp;</b>", "a b"]
    {
        assert!(matches!(text(ordinary, 100), Cow::Borrowed(same) if same == ordinary), "{ordinary}");
    }
}

#[test]
fn what_acts_or_hides_is_written_out() {
    assert_eq!(text("a\u{1b}[31mred", 100), "a\\u{1b}[31mred", "ANSI");
    assert_eq!(text("a\u{9b}31m", 100), "a\\u{9b}31m", "C1");
    assert_eq!(
        text("user\u{202e}nimda\u{202c}", 100),
        "user\\u{202e}nimda\\u{202c}",
        "bidirectional override"
    );
    assert_eq!(text("x\u{2066}y\u{2069}", 100), "x\\u{2066}y\\u{2069}", "isolates");
    assert_eq!(text("pay\u{200b}pal", 100), "pay\\u{200b}pal", "zero width");
    assert_eq!(text("a\u{e0041}", 100), "a\\u{e0041}", "tags");
    assert_eq!(text("a\u{feff}b\u{ad}c", 100), "a\\u{feff}b\\u{ad}c");
    assert_eq!(text("one\ntwo\r\tthree\0", 100), "one\\ntwo\\r\\tthree\\u{0}");
}

#[test]
fn lines_stay_where_they_are_wanted_and_returns_do_not() {
    assert_eq!(lines("one\ntwo\tx", 100), "one\ntwo\tx");
    assert_eq!(
        lines("gone\rhidden\n", 100),
        "gone\\rhidden\n",
        "a return would let the line be written over"
    );
}

#[test]
fn what_is_longer_is_cut_and_says_so() {
    assert_eq!(text("abcdef", 3), "abc…");
    assert_eq!(text("abc", 3), "abc");
    assert_eq!(text("日本語", 2), "日本…");
}
