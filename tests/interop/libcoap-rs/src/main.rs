//! A small LwM2M server on libcoap-rs 0.2.2, driven by JSON lines as the Leshan server is.
//!
//! It takes Register and Update. Its library hands out the session with a device only
//! while a request of that device is answered, so a command leaves with the next Update,
//! and its answer is fetched with the one after. `../README.md` describes the lines.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io::{BufRead, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use libcoap_rs::message::{CoapMessageCommon, CoapOption, CoapRequest, CoapResponse};
use libcoap_rs::protocol::{CoapMessageCode, CoapMessageType, CoapRequestCode, CoapResponseCode};
use libcoap_rs::session::{CoapRequestHandle, CoapServerSession, CoapSessionCommon};
use libcoap_rs::{CoapContext, CoapRequestHandler, CoapResource};
use serde_json::{Map, Value as Json, json};

fn main() -> Result<(), Box<dyn Error>> {
    let address = free_address()?;
    let mut context = CoapContext::new()?;
    context.add_endpoint_udp(address)?;
    let device = Device::default();
    // No handler for DELETE: the library registers one for FETCH in its place.
    context.add_resource(resource(REGISTER, &device));
    context.add_resource(resource(LOCATION, &device));
    print(&json!({ "event": "ready", "coap": address.port() }));
    let commands = read_commands();
    loop {
        context.do_io(Some(INTERVAL))?;
        while let Ok(command) = commands.try_recv() {
            device.0.borrow_mut().take(command);
        }
    }
}

/// The one device that may register, as the handlers of both resources share it.
#[derive(Clone, Default)]
struct Device(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    /// What it registered with; null before.
    registration: Json,
    /// Commands for which it has to be registered.
    registration_wanted: Vec<Json>,
    to_send: VecDeque<Json>,
    sent: Vec<(Json, CoapRequestHandle)>,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Device")
    }
}

fn resource(path: &'static str, device: &Device) -> CoapResource<Device> {
    let resource = CoapResource::new(path, device.clone(), false);
    let handler = move |device: &mut Device,
                        session: &mut CoapServerSession<'_>,
                        request: &CoapRequest,
                        response: CoapResponse| {
        let mut state = device.0.borrow_mut();
        let result = match path {
            REGISTER => state.register(session, request, response),
            _ => state.update(session, request, response),
        };
        // A test that waits for the answer says what is missing.
        result.unwrap_or_else(|error| eprintln!("{path}: {error}"));
    };
    resource.set_method_handler(CoapRequestCode::Post, Some(CoapRequestHandler::new(handler)));
    resource
}

impl State {
    fn register(
        &mut self,
        session: &CoapServerSession<'_>,
        request: &CoapRequest,
        mut response: CoapResponse,
    ) -> Result<(), Box<dyn Error>> {
        self.registration = registration(request, session.addr_remote());
        print(&json!({
            "event": "registered", "endpoint": self.registration["endpoint"],
            "registration": self.registration, "isReplacement": false,
        }));
        for command in std::mem::take(&mut self.registration_wanted) {
            print(&json!({ "id": command["id"], "result": self.registration }));
        }
        for segment in LOCATION.split('/') {
            response.add_option(CoapOption::LocationPath(segment.to_owned()));
        }
        response.set_code(CoapMessageCode::Response(CoapResponseCode::Created));
        session.send(response)?;
        Ok(())
    }

    fn update(
        &mut self,
        session: &CoapServerSession<'_>,
        request: &CoapRequest,
        mut response: CoapResponse,
    ) -> Result<(), Box<dyn Error>> {
        if let Some(links) = request.data().filter(|links| !links.is_empty()) {
            self.registration["links"] = parse_links(&String::from_utf8_lossy(links));
        }
        print(&json!({
            "event": "updated", "endpoint": self.registration["endpoint"],
            "registration": self.registration,
        }));
        self.fetch_answers(session);
        self.send_commands(session);
        response.set_code(CoapMessageCode::Response(CoapResponseCode::Changed));
        session.send(response)?;
        Ok(())
    }

    /// Answers commands for which there is an answer of the device.
    fn fetch_answers(&mut self, session: &CoapServerSession<'_>) {
        self.sent.retain(|(id, handle)| {
            let Some(answer) = session.poll_handle(handle).next() else { return true };
            print(&json!({ "id": id, "result": view(&answer) }));
            false
        });
    }

    fn send_commands(&mut self, session: &CoapServerSession<'_>) {
        for command in self.to_send.drain(..) {
            match request(&command).and_then(|request| Ok(session.send_request(request)?)) {
                // The library drops a response with Block1, which the answer to blocks has.
                Ok(_) if command["cmd"] == "write" => {
                    print(&json!({ "id": command["id"], "result": {} }));
                }
                Ok(handle) => self.sent.push((command["id"].clone(), handle)),
                Err(error) => refuse(&command, "badCommand", &error.to_string()),
            }
        }
    }

    fn take(&mut self, command: Json) {
        match command["cmd"].as_str() {
            Some("waitRegistration") if self.registration.is_null() => {
                self.registration_wanted.push(command);
            }
            Some("waitRegistration") => {
                print(&json!({ "id": command["id"], "result": self.registration }));
            }
            Some("read" | "write") => self.to_send.push_back(command),
            _ => refuse(&command, "badCommand", "libcoap-rs knows waitRegistration, read, write"),
        }
    }
}

/// A Read, or a Write of the bytes in `payloadHex`.
fn request(command: &Json) -> Result<CoapRequest, Box<dyn Error>> {
    let is_write = command["cmd"] == "write";
    let method = match command["mode"].as_str() {
        _ if !is_write => CoapRequestCode::Get,
        Some("update") => CoapRequestCode::Post,
        _ => CoapRequestCode::Put,
    };
    let mut request = CoapRequest::new(CoapMessageType::Con, method)?;
    let path = command["path"].as_str().ok_or("path: expected text")?;
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        request.add_option(CoapOption::UriPath(segment.to_owned()));
    }
    let format = command["format"].as_u64().map(u16::try_from).transpose()?;
    if is_write {
        request.add_option(CoapOption::ContentFormat(format.ok_or("format: expected a number")?));
        let payload = command["payloadHex"].as_str().ok_or("payloadHex: expected text")?;
        request.set_data(Some(bytes(payload).ok_or("payloadHex: expected digits")?));
    } else if let Some(format) = format {
        request.add_option(CoapOption::Accept(format));
    }
    Ok(request)
}

fn view(answer: &CoapResponse) -> Json {
    let code = answer.code().to_raw_pdu_code() as u8;
    let payload: String =
        answer.data().unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut view = json!({
        "code": format!("{}.{:02}", code >> 5, code & 31), "payloadHex": payload,
    });
    if let Some(format) = answer.content_format() {
        view["format"] = json!(format);
    }
    view
}

fn registration(request: &CoapRequest, address: SocketAddr) -> Json {
    let query = request.uri().and_then(|uri| uri.query_iter());
    let mut others: Map<String, Json> = query
        .into_iter()
        .flatten()
        .map(|option| match option.split_once('=') {
            Some((name, value)) => (name.to_owned(), json!(value)),
            None => (option.clone(), Json::Null),
        })
        .collect();
    let mut text = |name: &str, default: &str| {
        others
            .remove(name)
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_else(|| default.to_owned())
    };
    let (endpoint, version) = (text("ep", ""), text("lwm2m", "1.0"));
    let (lifetime, binding) = (text("lt", "86400"), text("b", "U"));
    let links = String::from_utf8_lossy(request.data().unwrap_or_default()).into_owned();
    json!({
        "endpoint": endpoint,
        "registrationId": LOCATION,
        "version": version,
        "lifetime": lifetime.parse::<u64>().ok(),
        "binding": binding,
        "queueMode": others.remove("Q").is_some(),
        "address": address.to_string(),
        "scheme": "coap",
        "links": parse_links(&links),
        "otherParameters": others,
    })
}

/// Enough for lists without commas in quotes.
fn parse_links(text: &str) -> Json {
    let link = |part: &str| {
        let mut pieces = part.split(';');
        let uri = pieces.next().unwrap_or_default().trim();
        let attributes: Map<String, Json> = pieces
            .map(|attribute| match attribute.split_once('=') {
                Some((name, value)) => (name.to_owned(), json!(value)),
                None => (attribute.to_owned(), Json::Null),
            })
            .collect();
        json!({ "uri": uri.trim_start_matches('<').trim_end_matches('>'), "attributes": attributes })
    };
    text.split(',').filter(|part| !part.is_empty()).map(link).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    Some(digits?.chunks(2).map(|pair| pair.iter().fold(0, |all, digit| all << 4 | digit)).collect())
}

/// Commands, from a thread that ends the program with its standard input.
fn read_commands() -> Receiver<Json> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(command) => drop(sender.send(command)),
                Err(error) => refuse(&Json::Null, "badCommand", &error.to_string()),
            }
        }
        std::process::exit(0);
    });
    receiver
}

fn refuse(command: &Json, kind: &str, message: &str) {
    print(&json!({ "id": command["id"], "kind": kind, "error": message }));
}

fn print(line: &Json) {
    let mut out = std::io::stdout().lock();
    // Nobody is left to tell where the test that reads it has ended.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// An address that was free a moment ago: the library does not tell what port 0 became.
fn free_address() -> std::io::Result<SocketAddr> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

const REGISTER: &str = "rd";
/// Where the device is registered.
const LOCATION: &str = "rd/1";
/// How long commands may lie.
const INTERVAL: Duration = Duration::from_millis(100);
