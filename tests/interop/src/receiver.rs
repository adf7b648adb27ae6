//! A receiver of satellites, as gpsd hears one: NMEA 0183 sent to a UDP port.

use std::io;
use std::net::{SocketAddr, UdpSocket};

/// A receiver whose position its owner chooses.
#[derive(Debug)]
pub struct Receiver {
    socket: UdpSocket,
    to: SocketAddr,
    second: u32,
}

impl Receiver {
    /// A receiver that sends to `to`, a port of this machine.
    ///
    /// # Errors
    /// If there is no socket to be had.
    pub fn new(to: SocketAddr) -> io::Result<Self> {
        Ok(Self { socket: UdpSocket::bind("127.0.0.1:0")?, to, second: 0 })
    }

    /// Sends once more, a second later than before by its own clock: at a latitude of
    /// whole minutes (0 to 59) north of 48 degrees, or without a fix.
    pub fn send(&mut self, minutes: Option<u32>) {
        self.second += 1;
        let time = format!("12{:02}{:02}.00", self.second / 60 % 60, self.second % 60);
        let (status, mode, latitude) = match minutes {
            Some(minutes) => ("A", 3, format!("48{minutes:02}.000,N,01130.000,E")),
            None => ("V", 1, ",,,".to_owned()),
        };
        let quality = u32::from(minutes.is_some());
        let sentences = [
            format!("GPRMC,{time},{status},{latitude},019.4,090.0,150126,,,A"),
            format!("GPGGA,{time},{latitude},{quality},08,0.9,545.4,M,46.9,M,,"),
            format!("GPGSA,A,{mode},04,05,,09,12,,,24,,,,,2.5,1.3,2.1"),
        ];
        let text: String = sentences.iter().map(|text| sentence(text)).collect();
        // Nobody may listen, while gpsd rests or is gone.
        let _ = self.socket.send_to(text.as_bytes(), self.to);
    }
}

/// A sentence of NMEA 0183 with its checksum.
fn sentence(text: &str) -> String {
    format!("${text}*{:02X}\r\n", text.bytes().fold(0, |sum, byte| sum ^ byte))
}
