//! Location (6) from a real gpsd that is fed NMEA 0183, as a server sees it.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lwm2m_interop::Receiver;
use lwm2m_model::{Code, Path, Value};
use lwm2m_test_server::{Notification, Observation, Server};

use crate::support::{ENDPOINT, LIMIT, Lab, Link, configuration, server};

/// gpsd with a receiver that is a UDP port.
struct Gpsd {
    child: Child,
    address: SocketAddr,
    receiver: SocketAddr,
}

impl Gpsd {
    /// `None`, with a line that says so, where gpsd is missing.
    fn start(address: SocketAddr, receiver: SocketAddr) -> Option<Self> {
        let child = Command::new("gpsd")
            .env("PATH", "/usr/sbin:/usr/bin")
            .args(["-N", "-b", "-S", &address.port().to_string()])
            .arg(format!("udp://{receiver}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Some(Self { child, address, receiver }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                eprintln!("not run: needs gpsd");
                None
            }
            Err(error) => panic!("gpsd: {error}"),
        }
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn restart(mut self) -> Self {
        self.end();
        Self::start(self.address, self.receiver).expect("it was there before")
    }
}

impl Drop for Gpsd {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sends until `done` is.
async fn until<T>(
    receiver: &mut Receiver,
    minutes: Option<u32>,
    done: impl Future<Output = T>,
) -> T {
    let mut done = std::pin::pin!(tokio::time::timeout(LIMIT, done));
    loop {
        receiver.send(minutes);
        tokio::select! {
            result = &mut done => return result.expect("it happens in time"),
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}

async fn values(server: &Server) -> Option<Vec<(u16, Value)>> {
    let answer = server.read(ENDPOINT, &Path::instance(6, 0), None).await.unwrap();
    (answer.code == Code::CONTENT).then(|| {
        let entries = answer.entries.into_iter();
        entries
            .filter_map(|entry| Some((entry.path.resource_id()?, entry.value()?.clone())))
            .collect()
    })
}

/// Waits for a notification with this latitude.
async fn at(observation: &mut Observation, latitude: f64) -> Notification {
    loop {
        let notification = observation.next_within(LIMIT).await.unwrap();
        if notification.entries.iter().any(|entry| entry.value() == Some(&Value::Float(latitude))) {
            return notification;
        }
    }
}

/// OBJ-73: no instance before the first fix; with it, an Update. A move is notified, a
/// lost fix leaves the last one, and a gpsd that was restarted is heard again.
#[tokio::test]
async fn a_server_follows_a_receiver_of_gpsd() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let Some(gpsd) = Gpsd::start(port, receiver) else { return };
    let mut feed = Receiver::new(receiver).unwrap();

    let (server, address) = server().await;
    let text = configuration(&[Link::nosec(101, address)]);
    let location = format!("objects: {{location: {{source: gpsd, address: \"{port}\"}}}}\n");
    let lab = Lab::new(&(text + &location));
    let daemon = lab.start();
    let first = until(&mut feed, None, server.wait_registered(ENDPOINT, LIMIT)).await.unwrap();
    let instance = Path::instance(6, 0);
    assert!(!first.links.iter().any(|link| link.path == instance), "{:?}", first.links);
    assert_eq!(until(&mut feed, None, values(&server)).await, None);

    let has_instance = |known: &lwm2m_test_server::Registration| {
        known.links.iter().any(|link| link.path == instance)
    };
    let update = server.wait_for(has_instance, "/6/0".into(), LIMIT);
    until(&mut feed, Some(0), update).await.unwrap();
    let known = values(&server).await.unwrap();
    let ids: Vec<u16> = known.iter().map(|(id, _)| *id).collect();
    assert!([0, 1, 2, 5, 6].iter().all(|id| ids.contains(id)), "{known:?}");
    assert!(known.contains(&(0, Value::Float(48.0))), "{known:?}");
    assert!(known.contains(&(1, Value::Float(11.5))), "{known:?}");

    let observed = Path::resource(6, 0, 0);
    let mut observation = server.observe(ENDPOINT, &observed, &[], None).await.unwrap();
    until(&mut feed, Some(30), at(&mut observation, 48.5)).await;

    // The fix is lost: the last one stays, with its time.
    let (before, after) = (values(&server).await, until(&mut feed, None, values(&server)).await);
    assert_eq!(before.and_then(|it| it.into_iter().next()), Some((0, Value::Float(48.5))));
    assert_eq!(after.and_then(|it| it.into_iter().next()), Some((0, Value::Float(48.5))));

    let _gpsd = gpsd.restart();
    until(&mut feed, Some(45), at(&mut observation, 48.75)).await;
    daemon.stop().await;
}
