//! The operations of device management and information reporting (Core 6, 8), as
//! requests to one device.
//!
//! Every one of them waits until the device has answered. A device in queue mode
//! that sleeps gets the request when it wakes.

use coap_lite::{CoapOption, Packet};
use lwm2m_model::{ContentFormat, Entry, Path, WriteMode};
use tokio::sync::oneshot;

use crate::message;
use crate::observation::{CancelBy, Observation, ObservationKey};
use crate::state::{Answer, Command, Job, MAX_SENT, Observe, Then};
use crate::{Error, Response, Server};

impl Server {
    /// Read (Core 6.1).
    ///
    /// # Errors
    /// What kept an answer from coming: [`Error::NotRegistered`],
    /// [`Error::NoAnswer`], [`Error::NoResponse`], [`Error::Reset`],
    /// [`Error::Moved`], [`Error::Blocks`], [`Error::QueueFull`],
    /// [`Error::Stopped`]. A refusal is no error but a [`Response`].
    pub async fn read(
        &self,
        endpoint: &str,
        path: &Path,
        accept: Option<ContentFormat>,
    ) -> Result<Response, Error> {
        let mut packet = message::request(message::GET, path);
        add_accept(&mut packet, accept);
        self.send(endpoint, path, packet).await
    }

    /// Discover (Core 6.2).
    ///
    /// # Errors
    /// As [`Server::read`].
    pub async fn discover(
        &self,
        endpoint: &str,
        path: &Path,
        depth: Option<u8>,
    ) -> Result<Response, Error> {
        let mut packet = message::request(message::GET, path);
        add_accept(&mut packet, Some(ContentFormat::LINK));
        if let Some(depth) = depth {
            packet.add_option(CoapOption::UriQuery, format!("depth={depth}").into_bytes());
        }
        self.send(endpoint, path, packet).await
    }

    /// Write (Core 6.3): PUT to replace, POST for a partial update.
    ///
    /// # Errors
    /// As [`Server::read`], and [`Error::Encode`], [`Error::TooLarge`].
    pub async fn write(
        &self,
        endpoint: &str,
        path: &Path,
        mode: WriteMode,
        format: ContentFormat,
        entries: &[Entry],
    ) -> Result<Response, Error> {
        let method = match mode {
            WriteMode::Replace => message::PUT,
            WriteMode::Partial => message::POST,
        };
        let mut packet = message::request(method, path);
        add_content(&mut packet, path, format, entries)?;
        self.send(endpoint, path, packet).await
    }

    /// Write-Attributes (Core 3.4). The query goes out as it is: `pmin=1` sets,
    /// `pmin` unsets.
    ///
    /// # Errors
    /// As [`Server::read`].
    pub async fn write_attributes(
        &self,
        endpoint: &str,
        path: &Path,
        query: &[&str],
    ) -> Result<Response, Error> {
        let mut packet = message::request(message::PUT, path);
        add_query(&mut packet, query);
        self.send(endpoint, path, packet).await
    }

    /// Execute (Core 6.4). The arguments go out as they are; none makes a request
    /// without payload.
    ///
    /// # Errors
    /// As [`Server::read`], and [`Error::TooLarge`].
    pub async fn execute(
        &self,
        endpoint: &str,
        path: &Path,
        arguments: Option<&str>,
    ) -> Result<Response, Error> {
        let mut packet = message::request(message::POST, path);
        if let Some(arguments) = arguments {
            let format = u32::from(ContentFormat::TEXT.0);
            message::set_number(&mut packet, CoapOption::ContentFormat, format);
            packet.payload = arguments.as_bytes().to_vec();
        }
        self.send(endpoint, path, packet).await
    }

    /// Create (Core 6.5): the instances that `entries` name, of the object at
    /// `path`.
    ///
    /// # Errors
    /// As [`Server::write`].
    pub async fn create(
        &self,
        endpoint: &str,
        path: &Path,
        format: ContentFormat,
        entries: &[Entry],
    ) -> Result<Response, Error> {
        let mut packet = message::request(message::POST, path);
        add_content(&mut packet, path, format, entries)?;
        self.send(endpoint, path, packet).await
    }

    /// Create (Core 6.5) of one instance of the object at `path`, whose number the
    /// device chooses: a TLV payload without Object Instance TLV. `entries` stand below
    /// instance 0.
    ///
    /// # Errors
    /// As [`Server::write`].
    pub async fn create_unnamed(
        &self,
        endpoint: &str,
        path: &Path,
        entries: &[Entry],
    ) -> Result<Response, Error> {
        let mut packet = message::request(message::POST, path);
        let below = path.child(0).unwrap_or_default();
        add_content(&mut packet, &below, ContentFormat::TLV, entries)?;
        self.send(endpoint, path, packet).await
    }

    /// Delete (Core 6.6).
    ///
    /// # Errors
    /// As [`Server::read`].
    pub async fn delete(&self, endpoint: &str, path: &Path) -> Result<Response, Error> {
        self.send(endpoint, path, message::request(message::DELETE, path)).await
    }

    /// Observe (Core 8.1), with attributes as in [`Server::write_attributes`].
    ///
    /// # Errors
    /// As [`Server::read`], and [`Error::NoObservation`] with the device's answer.
    pub async fn observe(
        &self,
        endpoint: &str,
        path: &Path,
        query: &[&str],
        accept: Option<ContentFormat>,
    ) -> Result<Observation, Error> {
        let mut packet = message::request(message::GET, path);
        message::set_number(&mut packet, CoapOption::Observe, message::OBSERVE);
        add_query(&mut packet, query);
        add_accept(&mut packet, accept);
        let (reply, answer) = oneshot::channel();
        let then = Then::Observe(Observe { path: path.clone(), reply, stream: None });
        self.enqueue(endpoint, Job { packet, token: None, then }).await?;
        let observed = answer.await.map_err(|_| Error::Stopped)??;
        let first = Response::new(path, observed.answer);
        let Some((token, stream)) = observed.stream else {
            return Err(Error::NoObservation(Box::new(first)));
        };
        let (endpoint, path) = (endpoint.to_owned(), path.clone());
        Ok(Observation { endpoint, path, key: ObservationKey(token), first, stream })
    }

    /// Ends an observation (Core 8.3). By option it gives the device's answer. By
    /// reset there is none: the next notification is answered with RST.
    ///
    /// # Errors
    /// As [`Server::read`]; the observation then goes on.
    pub async fn cancel(
        &self,
        observation: &Observation,
        by: CancelBy,
    ) -> Result<Option<Response>, Error> {
        let token = observation.key.token().to_vec();
        let response = match by {
            CancelBy::Reset => None,
            CancelBy::Option => Some(self.cancel_by_option(observation, token.clone()).await?),
        };
        self.tell(Command::ForgetObservation { token }).await?;
        Ok(response)
    }

    async fn cancel_by_option(
        &self,
        observation: &Observation,
        token: Vec<u8>,
    ) -> Result<Response, Error> {
        let path = &observation.path;
        let mut packet = message::request(message::GET, path);
        message::set_number(&mut packet, CoapOption::Observe, message::CANCEL);
        let answer = self.exchange(&observation.endpoint, packet, Some(token)).await?;
        Ok(Response::new(path, answer))
    }

    /// Any request: code, options and payload of `packet` go out, its type, message
    /// ID and token are ours. The alternate path of the device is added.
    ///
    /// # Errors
    /// As [`Server::read`], and [`Error::TooLarge`].
    pub async fn raw(&self, endpoint: &str, packet: Packet) -> Result<Packet, Error> {
        Ok(self.exchange(endpoint, packet, None).await?.packet)
    }

    async fn send(&self, endpoint: &str, path: &Path, packet: Packet) -> Result<Response, Error> {
        Ok(Response::new(path, self.exchange(endpoint, packet, None).await?))
    }

    async fn exchange(
        &self,
        endpoint: &str,
        packet: Packet,
        token: Option<Vec<u8>>,
    ) -> Result<Answer, Error> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(endpoint, Job { packet, token, then: Then::Answer(reply) }).await?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    async fn enqueue(&self, endpoint: &str, job: Job) -> Result<(), Error> {
        if job.packet.payload.len() > MAX_SENT {
            return Err(Error::TooLarge(job.packet.payload.len()));
        }
        let endpoint = endpoint.to_owned();
        self.tell(Command::Request { endpoint, job: Box::new(job) }).await
    }
}

fn add_accept(packet: &mut Packet, accept: Option<ContentFormat>) {
    if let Some(format) = accept {
        message::set_number(packet, CoapOption::Accept, u32::from(format.0));
    }
}

fn add_query(packet: &mut Packet, query: &[&str]) {
    for parameter in query {
        packet.add_option(CoapOption::UriQuery, parameter.as_bytes().to_vec());
    }
}

fn add_content(
    packet: &mut Packet,
    path: &Path,
    format: ContentFormat,
    entries: &[Entry],
) -> Result<(), Error> {
    message::set_number(packet, CoapOption::ContentFormat, u32::from(format.0));
    lwm2m_codec::encode(format, path, entries, &mut packet.payload)?;
    Ok(())
}
