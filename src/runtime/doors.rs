//! What the node listens on: every address is taken before anything else is begun.

use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;

use super::config::Config;
use super::{NodeFacts, StartError};
use crate::accept::ca::Ca;
use crate::accept::listen::Listener;
use crate::call::principal::Entrance;

/// What the node listens on.
pub(super) struct Doors {
    pub(super) proxy: Listener,
    pub(super) proxy_address: SocketAddr,
    pub(super) proxy_tls: Option<Listener>,
    pub(super) proxy_tls_address: Option<SocketAddr>,
    pub(super) admin: TcpListener,
    pub(super) admin_address: SocketAddr,
    pub(super) admin_tls: Option<TcpListener>,
    pub(super) admin_tls_address: Option<SocketAddr>,
}

impl Doors {
    pub(super) async fn bind(config: &Config) -> Result<Self, StartError> {
        let asked = config.listen;
        let proxy = Listener::bind(asked.proxy, Entrance::Proxy).await;
        let proxy = proxy.map_err(bind_error(asked.proxy, "listen.proxy"))?;
        let admin = TcpListener::bind(asked.admin).await.map_err(bind_error(asked.admin, "listen.admin"))?;
        let proxy_tls = match asked.proxy_tls {
            None => None,
            Some(at) => {
                let bound = Listener::bind(at, Entrance::TlsProxy).await;
                Some(bound.map_err(bind_error(at, "listen.proxy_tls"))?)
            }
        };
        let proxy_tls_address = proxy_tls.as_ref().map(Listener::address).transpose();
        let proxy_tls_address = proxy_tls_address.map_err(bind_error(asked.proxy, "listen.proxy_tls"))?;
        let proxy_address = proxy.address().map_err(bind_error(asked.proxy, "listen.proxy"))?;
        let admin_address = admin.local_addr().map_err(bind_error(asked.admin, "listen.admin"))?;
        let admin_tls = match asked.admin_tls {
            None => None,
            Some(at) => Some(TcpListener::bind(at).await.map_err(bind_error(at, "listen.admin_tls"))?),
        };
        let admin_tls_address = admin_tls.as_ref().map(TcpListener::local_addr).transpose();
        let admin_tls_address = admin_tls_address.map_err(bind_error(asked.admin, "listen.admin_tls"))?;
        Ok(Self {
            proxy,
            proxy_address,
            proxy_tls,
            proxy_tls_address,
            admin,
            admin_address,
            admin_tls,
            admin_tls_address,
        })
    }

    pub(super) fn facts(&self, state_dir: &Path, ca: &Ca) -> NodeFacts {
        NodeFacts {
            proxy: self.proxy_address,
            proxy_tls: self.proxy_tls_address,
            admin: self.admin_address,
            admin_tls: self.admin_tls_address,
            state_dir: state_dir.to_owned(),
            ca: ca.files().root.clone(),
            ca_bundle: ca.files().bundle.clone(),
            admin_token: state_dir.join("admin.token"),
        }
    }
}

fn bind_error(address: SocketAddr, what: &'static str) -> impl FnOnce(std::io::Error) -> StartError {
    move |source| StartError::Bind { address, what, source }
}
