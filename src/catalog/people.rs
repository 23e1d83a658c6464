//! Who is sent to: addresses (RFC 5322 §3.4) in fields and in whole messages. Only to count them and to see their domains.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::call::facts::{Args, DOMAINS};

use super::labels::Labels;

/// The head of a message beyond this is not read.
const HEAD_BYTES: usize = 256 << 10;

/// Addresses in a text: parted by `,` or `;`, each perhaps with a name before it. What has no `@` is one as well, of a domain
/// that nobody knows.
pub(super) fn addresses(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut from, mut quoted) = (0, false);
    let ends = text.char_indices().filter(|(_, c)| {
        quoted ^= *c == '"';
        !quoted && matches!(c, ',' | ';')
    });
    let ends: Vec<usize> = ends.map(|(at, _)| at).chain([text.len()]).collect();
    for end in ends {
        let one = text.get(from..end).unwrap_or_default().trim();
        from = end + 1;
        let bare =
            one.rsplit_once('<').map_or(one, |(_, inside)| inside.split('>').next().unwrap_or_default());
        if !bare.trim().is_empty() {
            found.push(bare.trim().to_ascii_lowercase());
        }
    }
    found
}

/// The recipients of a message in base64 (either alphabet); `None` where it is no message.
pub(super) fn of_message(packed: &str) -> Option<Vec<String>> {
    let clean: String = packed
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(&alphabet::STANDARD, config).decode(clean).ok()?;
    let text = String::from_utf8_lossy(bytes.get(..HEAD_BYTES).unwrap_or(&bytes)).into_owned();
    let mut found = Vec::new();
    let mut seen = false;
    // RFC 5322 §2.2.3: a line that begins with a blank goes on with the one before.
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().take_while(|line| !line.trim_end_matches('\r').is_empty()) {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
            _ => lines.push(line.to_owned()),
        }
    }
    for (name, value) in lines.iter().filter_map(|line| line.split_once(':')) {
        seen = true;
        if ["to", "cc", "bcc"].iter().any(|field| name.trim().eq_ignore_ascii_case(field)) {
            found.extend(addresses(value));
        }
    }
    seen.then_some(found)
}

/// Counts recipients.
pub(super) fn count(addresses: &BTreeSet<String>, labels: &Labels, args: &mut Args) {
    let domain = |address: &String| {
        address.rsplit_once('@').map(|(_, domain)| domain.trim_end_matches('.').to_owned())
    };
    let external =
        addresses.iter().filter(|address| !domain(address).is_some_and(|domain| labels.owns(&domain)));
    args.recipients = Some(addresses.len() as u64);
    args.external = Some(external.count() as u64);
    args.domains =
        addresses.iter().filter_map(domain).filter(|domain| domain.len() <= 253).take(DOMAINS).collect();
}
