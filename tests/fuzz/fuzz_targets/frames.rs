//! WebSocket frames: a header is where it says it is, and reading it does not depend on what follows.
#![no_main]
use libfuzzer_sys::fuzz_target;
use remit_fuzz::frame::{From, header, unmask};

fuzz_target!(|data: &[u8]| {
    for from in [From::Client, From::Server] {
        if let Ok(Some(found)) = header(data, from) {
            assert!(found.size <= 14 && found.size <= data.len());
            assert_eq!(header(&data[..found.size], from), Ok(Some(found)));
            assert_eq!(header(&data[..found.size - 1], from), Ok(None));
            assert_eq!(found.mask.is_some(), from == From::Client);
            if let Some(mask) = found.mask {
                let mut once = data[found.size..].to_vec();
                unmask(mask, 3, &mut once);
                unmask(mask, 3, &mut once);
                assert_eq!(once, data[found.size..]);
            }
        }
    }
});
