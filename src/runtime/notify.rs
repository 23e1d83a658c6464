//! Who is told that calls wait, made of the configuration.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::config::{Config, Notify, NotifyBy};
use super::error::StartError;
use super::leases::Around;
use super::wire;
use crate::call::Secret;
use crate::lease::provider::fixed::Source;
use crate::web::{Channel, Mail, MailSettings, Node, Post, Slack, SlackSettings, Webhook, follow};

/// The channels.
pub(super) struct Channels {
    all: Vec<Arc<dyn Channel>>,
    slack: Vec<Arc<Slack>>,
    post: Post,
}

impl Channels {
    /// Reads their secrets, and makes them. Those of Slack come beside them too, for the buttons.
    pub(super) async fn of(
        config: &Config,
        around: &Around<'_>,
        node: &Arc<dyn Node>,
    ) -> Result<(Self, Vec<Arc<Slack>>), StartError> {
        let front = config.admin.url.as_ref();
        let console = front.map(|front| format!("{}://{}", front.scheme.as_str(), front.authority));
        let post = Post {
            node: node.clone(),
            journal: around.journal.clone(),
            clock: around.clock.clone(),
            console: console.unwrap_or_default(),
            meters: around.notices.clone(),
        };
        let mut channels = Self { all: Vec::new(), slack: Vec::new(), post };
        for (number, notify) in config.notify.iter().enumerate() {
            channels.add(config, number + 1, notify, around).await?;
        }
        let slack = channels.slack.clone();
        Ok((channels, slack))
    }

    /// Has each follow the journal.
    pub(super) fn start(self) -> Vec<JoinHandle<()>> {
        let post = self.post;
        self.all.into_iter().map(|channel| tokio::spawn(follow(channel, post.clone()))).collect()
    }

    async fn add(
        &mut self,
        config: &Config,
        number: usize,
        notify: &Notify,
        around: &Around<'_>,
    ) -> Result<(), StartError> {
        let Notify { name, occasions, by } = notify.clone();
        let kind = match &by {
            NotifyBy::Mail { .. } => "mail",
            NotifyBy::Slack { .. } => "slack",
            NotifyBy::Webhook { .. } => "webhook",
        };
        let name = name.unwrap_or_else(|| format!("{kind}-{number}"));
        let wrong = |why: String| StartError::Notify { name: name.clone(), why };
        let (fetch, clock) = (around.fetch.clone(), around.clock.clone());
        match by {
            NotifyBy::Mail { server: (host, port), security, user, from, to } => {
                let user = match user {
                    None => None,
                    Some((user, password)) => Some((user, read(&password).await.map_err(&wrong)?)),
                };
                let trust = anchors(config)?;
                let settings = MailSettings { host, port, security, user, from, to, occasions, trust };
                self.all.push(Arc::new(Mail::new(name.clone(), settings).map_err(wrong)?));
            }
            NotifyBy::Slack { api, token, signing, channel } => {
                let signing = match signing {
                    None => None,
                    Some(source) => Some(read(&source).await.map_err(&wrong)?),
                };
                let (api, token) =
                    (api.as_str().trim_end_matches('/').to_owned(), read(&token).await.map_err(wrong)?);
                let settings = SlackSettings { api, token, signing, channel, occasions };
                let slack = Arc::new(Slack::new(name, settings, fetch, clock));
                self.slack.push(slack.clone());
                self.all.push(slack);
            }
            NotifyBy::Webhook { url, secret } => {
                let secret = read(&secret).await.map_err(&wrong)?;
                let url = url.as_str().parse().map_err(|_| wrong("its url is none".into()))?;
                let made = Webhook::new(name.clone(), url, &secret, occasions, (fetch, clock));
                self.all.push(Arc::new(made.map_err(|error| wrong(error.to_string()))?));
            }
        }
        Ok(())
    }
}

async fn read(source: &Source) -> Result<Secret<String>, String> {
    source.read().await.map_err(|error| error.to_string())
}

/// All that a mail server's certificate may lead to.
fn anchors(config: &Config) -> Result<Vec<Vec<u8>>, StartError> {
    let mut anchors = rustls_native_certs::load_native_certs().certs;
    anchors.extend(wire::trust(&config.upstream.trust)?);
    Ok(anchors.iter().map(|anchor| anchor.to_vec()).collect())
}
