//! Mail by SMTP (RFC 5321), in plain text. A mail has no button: whoever reads it follows the link, and says who they are there.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::{Channel, Notice, Occasion, Untold};
use crate::call::{Secret, inert};

/// For one mail.
const TIME: Duration = Duration::from_secs(30);
/// How long a subject gets, characters (RFC 5322 §2.1.1 wants lines below 78).
const SUBJECT_CHARS: usize = 70;

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// In plain text: for a server on this machine.
    None,
    /// `STARTTLS`, or nothing (RFC 3207).
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
}

/// What the operator decided about mail.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub security: Security,
    /// Who remit is there.
    pub user: Option<(String, Secret<String>)>,
    /// Whom mails are from.
    pub from: String,
    /// Whom they go to.
    pub to: Vec<String>,
    /// What is told.
    pub occasions: BTreeSet<Occasion>,
    /// Trust anchors, DER.
    pub trust: Vec<Vec<u8>>,
}

/// A way to send mail.
pub struct Mail {
    name: String,
    from: Mailbox,
    to: Vec<Mailbox>,
    occasions: BTreeSet<Occasion>,
    server: AsyncSmtpTransport<Tokio1Executor>,
}

impl Mail {
    /// With these settings; otherwise what is wrong with them.
    pub fn new(name: String, settings: MailSettings) -> Result<Self, String> {
        let MailSettings { host, port, security, user, from, to, occasions, trust } = settings;
        let mailbox = |text: &String| {
            text.parse::<Mailbox>().map_err(|error| format!("`{text}` is no mail address: {error}"))
        };
        let to: Vec<_> = to.iter().map(mailbox).collect::<Result<_, _>>()?;
        if to.is_empty() {
            return Err("`to` names nobody".to_owned());
        }
        let tls = || {
            let builder = TlsParameters::builder(host.clone()).certificate_store(CertificateStore::None);
            let anchors = trust.iter().filter_map(|der| Certificate::from_der(der.clone()).ok());
            let builder = anchors
                .fold(builder, lettre::transport::smtp::client::TlsParametersBuilder::add_root_certificate);
            builder.build().map_err(|error| format!("`{host}` cannot be spoken to by TLS: {error}"))
        };
        let tls = match security {
            Security::None => Tls::None,
            Security::StartTls => Tls::Required(tls()?),
            Security::Tls => Tls::Wrapper(tls()?),
        };
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host)
            .port(port)
            .tls(tls)
            .timeout(Some(TIME));
        if let Some((user, password)) = user {
            server = server.credentials(Credentials::new(user, password.reveal().clone()));
        }
        Ok(Self { name, from: mailbox(&from)?, to, occasions, server: server.build() })
    }

    fn message(&self, notice: &Notice) -> Result<Message, Untold> {
        let subject = inert::text(&notice.summary(), SUBJECT_CHARS).into_owned();
        let domain = self.from.email.domain();
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(format!("[remit] {subject}"))
            .message_id(Some(format!("<{}@{domain}>", notice.id)))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.clone());
        }
        message.body(body(notice)).map_err(|error| Untold::Never(error.to_string()))
    }
}

impl Channel for Mail {
    fn name(&self) -> &str {
        &self.name
    }

    fn wants(&self, occasion: Occasion) -> bool {
        self.occasions.contains(&occasion)
    }

    fn tell<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<(), Untold>> {
        async move {
            let sent = tokio::time::timeout(TIME, self.server.send(self.message(notice)?)).await;
            let late = || Untold::Later(format!("the mail server took longer than {} s", TIME.as_secs()));
            match sent.map_err(|_| late())? {
                Ok(_) => Ok(()),
                Err(error) if error.is_permanent() => Err(Untold::Never(error.to_string())),
                Err(error) => Err(Untold::Later(error.to_string())),
            }
        }
        .boxed()
    }
}

pub(super) fn body(notice: &Notice) -> String {
    let (hold, card) = (&notice.hold, &notice.card);
    let mut lines: Vec<String> =
        card.does.iter().map(|deed| format!("{} [{}]", deed.sentence, deed.class)).collect();
    lines.push(String::new());
    lines.push(format!("Agent:  {}", card.chain.join(" > ")));
    lines.push(format!("Intent: {}", card.intent));
    lines.push(format!("Task:   {}", hold.task));
    for reason in &card.reasons {
        lines.push(format!("Policy: {}  {}", reason.policy, reason.reason.as_deref().unwrap_or_default()));
    }
    lines.push(String::new());
    match notice.occasion {
        Occasion::HoldOpened => {
            lines.push(format!("It waits until {}.", hold.until));
            if !notice.url.is_empty() {
                lines.push(format!("See what would be sent, and decide: {}", notice.url));
            }
            lines.push(format!("Or: remit holds {0}, remit approve {0}, remit refuse {0}", hold.id));
        }
        Occasion::HoldSettled => {
            lines.push(format!("It is {}.", hold.state.as_str()));
            for vote in &hold.votes {
                let said = if vote.approves { "approved" } else { "refused" };
                let note = vote.note.as_deref().map(|note| format!(": {}", inert::text(note, 500)));
                lines.push(format!("{said} by {}{}", vote.by, note.unwrap_or_default()));
            }
        }
    }
    lines.join("\r\n") + "\r\n"
}
