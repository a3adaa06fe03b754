//! A server that follows a script, and panics when its client does not.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One line of a script.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line {
    /// The server says this.
    Says(&'static str),
    /// It hears this.
    Hears(&'static str),
    /// It names this host and a port of its own, by 227.
    Pasv(&'static str),
    /// The same by 229.
    Epsv,
    /// It names a port where nobody listens.
    Deaf,
    /// The data connection: so many bytes and FIN.
    Data(usize),
    /// The same, and it waits for the FIN of the other side.
    Linger,
    /// The data connection: a few bytes and RST.
    Cut,
    /// The data connection: a few bytes and nothing more.
    Stall,
    /// It hears nothing more but the end of the connection.
    Closed,
}

/// A server for one connection. The handle is ready when its script is done.
pub(super) async fn serve(ip: IpAddr, script: Vec<Line>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let followed = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut server = Server {
            peer: BufReader::new(stream),
            ip,
            door: None,
            stalled: None,
        };
        for line in script {
            server.follow(line).await;
        }
    });
    (address, followed)
}

struct Server {
    peer: BufReader<TcpStream>,
    ip: IpAddr,
    door: Option<TcpListener>,
    stalled: Option<TcpStream>,
}

impl Server {
    async fn follow(&mut self, line: Line) {
        match line {
            Line::Says(text) => self.say(text).await,
            Line::Hears(text) => {
                let mut heard = String::new();
                self.peer.read_line(&mut heard).await.unwrap();
                assert_eq!(heard, format!("{text}\r\n"));
            }
            Line::Pasv(host) => {
                let [high, low] = self.open().await.to_be_bytes();
                let host = host.replace('.', ",");
                let text = format!("227 Entering Passive Mode ({host},{high},{low}).");
                self.say(&text).await;
            }
            Line::Epsv => {
                let port = self.open().await;
                self.say(&format!("229 Here (|||{port}|)")).await;
            }
            Line::Deaf => {
                let [high, low] = self.open().await.to_be_bytes();
                self.door = None;
                self.say(&format!("227 127,0,0,1,{high},{low}")).await;
            }
            Line::Data(bytes) => {
                let mut data = self.accept().await;
                // A check that has enough goes away before the end.
                drop(data.write_all(&vec![b'x'; bytes]).await);
            }
            Line::Linger => {
                let mut data = self.accept().await;
                data.write_all(b"all").await.unwrap();
                data.shutdown().await.unwrap();
                assert_eq!(data.read(&mut [0]).await.unwrap(), 0, "FIN");
            }
            Line::Cut => {
                let mut data = self.accept().await;
                data.write_all(b"half").await.unwrap();
                SockRef::from(&data)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }
            Line::Stall => {
                let mut data = self.accept().await;
                data.write_all(b"half").await.unwrap();
                self.stalled = Some(data);
            }
            Line::Closed => {
                let mut rest = Vec::new();
                // By FIN or by RST: it is gone.
                drop(self.peer.read_to_end(&mut rest).await);
                assert!(rest.is_empty(), "{}", rest.escape_ascii());
            }
        }
    }

    async fn say(&mut self, text: &str) {
        let line = format!("{text}\r\n");
        self.peer.write_all(line.as_bytes()).await.unwrap();
    }

    async fn open(&mut self) -> u16 {
        let door = TcpListener::bind((self.ip, 0)).await.unwrap();
        let port = door.local_addr().unwrap().port();
        self.door = Some(door);
        port
    }

    /// The data connection comes from the address of the control connection (P15).
    async fn accept(&mut self) -> TcpStream {
        let (data, peer) = self.door.as_ref().unwrap().accept().await.unwrap();
        assert_eq!(peer.ip(), self.peer.get_ref().peer_addr().unwrap().ip());
        data
    }
}
