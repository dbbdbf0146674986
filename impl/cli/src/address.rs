//! Addresses on the command line.

/// Parses a name or an address with a port. Does not look up the name.
pub(crate) fn with_port(text: &str) -> Result<String, String> {
    match text.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some((host, Ok(_))) if !host.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is not an address with a port, as in 127.0.0.1:7102")),
    }
}
