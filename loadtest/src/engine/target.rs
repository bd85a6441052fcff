//! Where requests go.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use hyper::{Uri, header::HeaderValue};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};
use url::{Host, Url};

/// A base URL whose host was looked up once: all requests go to the one address that was judged.
#[derive(Clone)]
pub struct Target(Arc<Inner>);

struct Inner {
    url: String,
    address: SocketAddr,
    /// The path before every path, without a slash at its end.
    prefix: String,
    host: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Target {
    /// Reads a base URL and looks its host up. Only loopback is accepted unless `own_this_host`: what this program does
    /// to a server is an attack where nobody agreed to it.
    ///
    /// # Errors
    /// When it is no `http` or `https` URL, its host has no address, or it is somebody else's.
    pub fn parse(url: &str, own_this_host: bool) -> Result<Self> {
        let parsed = Url::parse(url).with_context(|| {
            format!("`{url}` is not a base URL: write for example http://127.0.0.1:8080")
        })?;
        let secure = match parsed.scheme() {
            "http" => false,
            "https" => true,
            other => bail!("`{url}` begins with {other}: only http and https are spoken"),
        };
        if !parsed.username().is_empty() || parsed.password().is_some() || parsed.query().is_some()
        {
            bail!("`{url}` has a login or a query in it: give only scheme, host, port and path");
        }
        let (Some(host), Some(port)) = (parsed.host(), parsed.port_or_known_default()) else {
            bail!("`{url}` names no host: write for example http://127.0.0.1:8080");
        };
        let addresses: Vec<SocketAddr> = match host {
            Host::Ipv4(ip) => vec![SocketAddr::new(IpAddr::V4(ip), port)],
            Host::Ipv6(ip) => vec![SocketAddr::new(IpAddr::V6(ip), port)],
            Host::Domain(name) => (name, port)
                .to_socket_addrs()
                .with_context(|| format!("no address is known for the host of {url}"))?
                .collect(),
        };
        let strangers = addresses
            .iter()
            .any(|address| !address.ip().to_canonical().is_loopback());
        if strangers && !own_this_host {
            bail!(
                "{url} is not this machine, and a load test of a host that is not yours is an attack on it. \
                 If it is yours, or its owner has agreed, say so with --i-own-this-host"
            );
        }
        // IPv4 first: that is where development servers listen whose host is called localhost.
        let address = addresses
            .iter()
            .find(|address| address.is_ipv4())
            .or(addresses.first())
            .copied()
            .with_context(|| format!("no address is known for the host of {url}"))?;
        let authority = match parsed.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        Ok(Self(Arc::new(Inner {
            url: url.trim_end_matches('/').to_owned(),
            address,
            prefix: parsed.path().trim_end_matches('/').to_owned(),
            host: HeaderValue::try_from(authority).context("the host cannot stand in a header")?,
            tls: if secure {
                Some(tls(&host.to_owned())?)
            } else {
                None
            },
        })))
    }

    /// The base URL as it was given, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The address that connections are made to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Whether that is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.0.address.ip().to_canonical().is_loopback()
    }

    pub(crate) fn host(&self) -> HeaderValue {
        self.0.host.clone()
    }

    pub(crate) fn tls(&self) -> Option<&(TlsConnector, ServerName<'static>)> {
        self.0.tls.as_ref()
    }

    /// `path` (with its query) below the base URL, as it stands in a request.
    ///
    /// # Errors
    /// When `path` is none.
    pub fn uri(&self, path: &str) -> Result<Uri> {
        Uri::try_from(format!("{}{path}", self.0.prefix))
            .with_context(|| format!("`{path}` is no path"))
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.url)
    }
}

fn tls(host: &Host<String>) -> Result<(TlsConnector, ServerName<'static>)> {
    use rustls_platform_verifier::BuilderVerifierExt as _;

    let name = match host {
        Host::Domain(name) => {
            ServerName::try_from(name.clone()).context("the host is no name for a certificate")?
        }
        Host::Ipv4(ip) => ServerName::from(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => ServerName::from(IpAddr::V6(*ip)),
    };
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()
        .context("the machine's certificate authorities cannot be read (SSL_CERT_FILE can name a file of them)")?
        .with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// How long a connection may take to be made, whatever a request may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loaded_unless_one_owns_the_other() {
        for own in [
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://[::1]:80/base/",
            "https://127.9.9.9",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(Target::parse(own, false).unwrap().is_loopback(), "{own}");
        }
        for foreign in [
            "http://192.0.2.1",
            "http://[2001:db8::1]:8080",
            "http://0.0.0.0:8080",
        ] {
            let said = Target::parse(foreign, false).unwrap_err().to_string();
            assert!(said.contains("--i-own-this-host"), "{said}");
            assert!(!Target::parse(foreign, true).unwrap().is_loopback());
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for wrong in [
            "127.0.0.1:8080",
            "ftp://127.0.0.1",
            "http://",
            "http://a:b@127.0.0.1",
            "http://127.0.0.1/?q=1",
        ] {
            assert!(Target::parse(wrong, true).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_are_below_the_base() {
        let target = Target::parse("http://127.0.0.1:80/base/", false).unwrap();
        assert_eq!(
            target.uri("/api/posts?limit=3").unwrap(),
            "/base/api/posts?limit=3"
        );
        assert_eq!(target.host(), "127.0.0.1");
        assert_eq!(
            Target::parse("http://localhost:8080", false)
                .unwrap()
                .host(),
            "localhost:8080"
        );
    }
}
