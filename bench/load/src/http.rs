//! Just enough of an HTTP client: one GET after the other on one connection.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than any answer of the benchmark takes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection kept alive.
#[derive(Debug)]
pub struct Http {
    stream: BufReader<TcpStream>,
    host: SocketAddr,
}

impl Http {
    /// Connects to a server.
    ///
    /// # Errors
    ///
    /// Where it does not listen.
    pub fn connect(host: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { stream: BufReader::with_capacity(64 << 10, stream), host })
    }

    /// Asks for `target` and waits for the whole answer.
    ///
    /// # Errors
    ///
    /// Where the answer is not a 200 that can be read.
    pub fn get(&mut self, target: &str) -> io::Result<Vec<u8>> {
        self.ask(target)?;
        self.answer()
    }

    /// Sends the request only; [`Http::answer`] must follow.
    ///
    /// # Errors
    ///
    /// Where it cannot be sent.
    pub fn ask(&mut self, target: &str) -> io::Result<()> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.as_bytes())
    }

    /// Waits for the answer to the last request.
    ///
    /// # Errors
    ///
    /// Where it is not a 200 that can be read.
    pub fn answer(&mut self) -> io::Result<Vec<u8>> {
        let status = self.line()?;
        if !status.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(format!("the server answered {status}")));
        }
        let mut length = None;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(number(value, 10)?);
            }
        }
        let mut body = Vec::new();
        match length {
            Some(length) => self.read_into(&mut body, length)?,
            None => self.read_chunks(&mut body)?,
        }
        Ok(body)
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let size = self.line()?;
            let length = number(size.split(';').next().unwrap_or_default(), 16)?;
            self.read_into(body, length)?;
            self.line()?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn read_into(&mut self, body: &mut Vec<u8>, length: usize) -> io::Result<()> {
        let start = body.len();
        body.resize(start + length, 0);
        self.stream.read_exact(&mut body[start..])
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

fn number(text: &str, radix: u32) -> io::Result<usize> {
    usize::from_str_radix(text.trim(), radix).map_err(io::Error::other)
}
