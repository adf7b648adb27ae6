//! A device of a few lines on coap-lite: enough of LwM2M to see that a foreign server works.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use coap_lite::{CoapOption, MessageClass, MessageType, Packet, RequestType, ResponseType};

/// The object list of every registration here.
pub(crate) const LINKS: &str = r#"</>;rt="oma.lwm2m";ct="0 11542",</1/0>,</3>;ver=1.1,</3/0>"#;
/// What `/3/0/0` holds.
pub(crate) const MANUFACTURER: &str = "fake device";

/// A socket that speaks to one server.
pub(crate) struct FakeDevice {
    socket: UdpSocket,
    next_id: u16,
}

/// The device while it answers requests; stops when dropped.
pub(crate) struct Serving {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the requests of a server did to the device.
#[derive(Default)]
struct State {
    /// Token of the observation of `/3/0/0`.
    observer: Option<Vec<u8>>,
}

impl FakeDevice {
    pub(crate) fn connect(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { socket, next_id: 1 }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Sends a request with the object list and returns the answer.
    pub(crate) fn request(&mut self, method: RequestType, path: &[&str], query: &[&str]) -> Packet {
        let mut packet = Packet::new();
        packet.header.code = MessageClass::Request(method);
        packet.header.message_id = self.next_id;
        packet.set_token(vec![0xfa, self.next_id as u8]);
        self.next_id += 1;
        path.iter().for_each(|s| packet.add_option(CoapOption::UriPath, s.as_bytes().to_vec()));
        query.iter().for_each(|q| packet.add_option(CoapOption::UriQuery, q.as_bytes().to_vec()));
        if method == RequestType::Post {
            packet.add_option(CoapOption::ContentFormat, vec![40]);
            packet.payload = LINKS.as_bytes().to_vec();
        }
        self.send(&packet);
        let answer = self.receive().expect("the server answers");
        assert_eq!(answer.get_token(), packet.get_token());
        answer
    }

    /// Registers as `endpoint`; returns the segments of the location.
    pub(crate) fn register(
        &mut self,
        endpoint: &str,
        version: &str,
    ) -> Result<Vec<String>, String> {
        let query = [&format!("ep={endpoint}"), "lt=300", &format!("lwm2m={version}"), "b=U"];
        let answer = self.request(RequestType::Post, &["rd"], &query);
        if answer.header.get_code() != "2.01" {
            return Err(answer.header.get_code());
        }
        let location = answer.get_option(CoapOption::LocationPath).unwrap();
        Ok(location.iter().map(|s| String::from_utf8(s.clone()).unwrap()).collect())
    }

    /// Answers requests from now on.
    pub(crate) fn serve(self) -> Serving {
        let stop = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || self.run(&is_stopped));
        Serving { stop, thread: Some(thread) }
    }

    fn run(mut self, is_stopped: &AtomicBool) {
        self.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut state = State::default();
        while !is_stopped.load(Ordering::Relaxed) {
            if let Some(request) = self.receive()
                && matches!(request.header.code, MessageClass::Request(_))
            {
                self.answer(&request, &mut state);
            }
        }
    }

    fn answer(&mut self, request: &Packet, state: &mut State) {
        let mut answer = Packet::new();
        answer.header.message_id = request.header.message_id;
        answer.header.set_type(MessageType::Acknowledgement);
        answer.set_token(request.get_token().to_vec());
        let path = format!("/{}", texts(request, CoapOption::UriPath).join("/"));
        let is_discover = request.get_first_option(CoapOption::Accept).is_some_and(|a| *a == [40]);
        match (&request.header.code, path.as_str()) {
            (_, "/3/0/4") => {
                answer.header.set_type(MessageType::Reset);
                answer.set_token(Vec::new());
                answer.header.code = MessageClass::Empty;
                return self.send(&answer);
            }
            (_, "/3/0/5") => return,
            (MessageClass::Request(RequestType::Get), _) if is_discover => {
                content(&mut answer, 40, "</3/0>;pmin=5,</3/0/0>");
            }
            (MessageClass::Request(RequestType::Get), "/3/0/0") => {
                content(&mut answer, 0, MANUFACTURER);
                if request.get_observe_value() == Some(Ok(0)) {
                    state.observer = Some(request.get_token().to_vec());
                    answer.set_observe_value(1);
                }
            }
            // What was asked for stands in the answer, so that a test can look at it.
            (MessageClass::Request(RequestType::Get), "/3/0/1") => {
                let query = texts(request, CoapOption::UriQuery);
                content(&mut answer, 0, &query.join("&"));
            }
            (MessageClass::Request(RequestType::Get), _) => {
                answer.header.code = MessageClass::Response(ResponseType::NotFound);
            }
            _ => answer.header.code = MessageClass::Response(ResponseType::Changed),
        }
        self.send(&answer);
        // Executing a resource makes the observed one change.
        if let (MessageClass::Request(RequestType::Post), "/3/0/12", Some(token)) =
            (&request.header.code, path.as_str(), &state.observer)
        {
            let mut notification = Packet::new();
            notification.header.message_id = self.next_id;
            self.next_id += 1;
            notification.set_token(token.clone());
            content(&mut notification, 0, "changed");
            notification.set_observe_value(2);
            self.send(&notification);
        }
    }

    fn send(&self, packet: &Packet) {
        self.socket.send(&packet.to_bytes().unwrap()).unwrap();
    }

    fn receive(&self) -> Option<Packet> {
        let mut buffer = [0; 2048];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(Packet::from_bytes(&buffer[..length]).unwrap())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A device that panicked has failed its test by its silence.
            let _ = thread.join();
        }
    }
}

fn content(answer: &mut Packet, format: u8, text: &str) {
    answer.header.code = MessageClass::Response(ResponseType::Content);
    answer.add_option(CoapOption::ContentFormat, if format == 0 { vec![] } else { vec![format] });
    answer.payload = text.as_bytes().to_vec();
}

fn texts(packet: &Packet, option: CoapOption) -> Vec<String> {
    let values = packet.get_option(option).into_iter().flatten();
    values.map(|value| String::from_utf8(value.clone()).unwrap()).collect()
}
