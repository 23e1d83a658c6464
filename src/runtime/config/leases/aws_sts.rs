//! `[[leases]]` with `provider = "aws_sts"` (`lease/provider/aws_sts.rs`).
//!
//! | key | what | where nothing is said |
//! |---|---|---|
//! | `role_arn` | the role that is assumed | has to be said |
//! | `sts_url` | where STS listens, `https://sts.eu-central-1.amazonaws.com/` | has to be said |
//! | `region` | for which region that is signed | has to be said |
//! | `access_key_id` | the operator's key, which signs; its secret is `secret` | `secret` is a token, for `AssumeRoleWithWebIdentity` |
//! | `secret` | the secret access key, or the token | has to be said, without `svid_audience` |
//! | `svid_audience` | the token is this node's JWT-SVID for that audience; needs `identity.workload_api` | |
//! | `external_id` | what the role's trust policy asks for | none |
//! | `duration_s` | the most seconds that keys are asked for, 900 to 43,200 | 900: nobody can take them back |
//! | `iam_prefix` | the service's name in IAM | its name in the catalog behind `aws-` |
//! | `session_policy` | a policy of the operator's own, JSON; it is narrowed further by class and deadline | made from the task's grant |

use std::time::Duration;

use super::{Path, endpoint, secret, text};
use crate::lease::provider::aws_sts::policy::Narrowing;
use crate::lease::provider::aws_sts::{Settings, Who};
use crate::lease::provider::fixed::Source;
use crate::runtime::config::read::Section;

pub(super) fn settings(section: &mut Section<'_>, path: Path<'_>) -> Option<Settings<Source>> {
    for key in ["role_arn", "sts_url", "region"] {
        if !section.has(key) {
            section.lacks(key);
        }
    }
    let role_arn = section.take("role_arn", text);
    let sts_url = endpoint(section, "sts_url");
    let region = section.take("region", text);
    let access_key_id = section.take("access_key_id", text);
    let external_id = section.take("external_id", text);
    let duration = section.take("duration_s", |value| value.integer(900, 43_200, "seconds"));
    let iam_prefix = section.take("iam_prefix", text);
    let session_policy = section.take("session_policy", text);
    let audience = section.take("svid_audience", text);
    if audience.is_some() && (access_key_id.is_some() || section.has("secret")) {
        section.wrong("`svid_audience` takes the place of `secret` and `access_key_id`");
    }
    let who = match (audience, access_key_id) {
        (Some(audience), _) => Some(Who::Svid { audience }),
        (None, Some(id)) => secret(section, path).map(|secret| Who::Key { id, secret }),
        (None, None) => secret(section, path).map(Who::Token),
    };
    let settings = Settings {
        who: who?,
        role_arn: role_arn?,
        sts_url: sts_url?,
        region: region?,
        external_id,
        duration: duration.map(Duration::from_secs),
        narrowing: Narrowing { iam_prefix, session_policy },
    };
    match settings.check() {
        Ok(()) => Some(settings),
        Err(why) => {
            section.wrong(&why);
            None
        }
    }
}
