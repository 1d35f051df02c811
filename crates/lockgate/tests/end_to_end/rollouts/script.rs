//! A server with one scripted rollout, whose event streams break after each transition.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

/// A server at work; its thread ends with the test process.
pub(crate) struct ScriptedServer {
    pub(crate) url: String,
}

struct ScriptedRollout {
    states: Vec<String>,
    /// The state of the rollout.
    at: usize,
    /// The path whose call takes the rollout one state further, after the answer.
    advance_path: String,
}

impl ScriptedServer {
    /// The rollout `digits-2` is in the first state; each call of a path takes it to the next.
    pub(crate) fn start(states: &[&str], advance_path: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut rollout = ScriptedRollout {
            states: states.iter().map(|&state| state.to_owned()).collect(),
            at: 0,
            advance_path: advance_path.to_owned(),
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                rollout.respond(stream.unwrap());
            }
        });
        Self { url }
    }
}

impl ScriptedRollout {
    fn respond(&mut self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let mut header = String::new();
        while reader.read_line(&mut header).unwrap() > 2 {
            header.clear();
        }
        let path = line.split([' ', '?']).nth(1).unwrap().to_owned();
        let (status, kind, body) = match path.strip_prefix("/api/rollouts/digits-2") {
            Some("") => (200, "application/json", self.status().to_string()),
            Some("/transitions") => (200, "application/json", self.transitions().to_string()),
            Some("/events") => (200, "text/event-stream", String::new()),
            _ => {
                let error = json!({"error": {"message": "there is no rollout like that"}});
                (404, "application/json", error.to_string())
            }
        };
        let can_move = self.at + 1 < self.states.len();
        if path == self.advance_path && can_move {
            self.at += 1;
        }
        let body = match path.ends_with("/events") {
            true => format!(
                "event: evidence\ndata: {}\n\nevent: transition\ndata: {}\n\n",
                evidence(),
                self.transition(self.at)
            ),
            false => body,
        };
        let reply = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n{body}"
        );
        // The client may have disconnected.
        drop(stream.write_all(reply.as_bytes()));
    }

    fn status(&self) -> Value {
        json!({"id": "digits-2", "model": "digits", "state": self.states[self.at],
        "step": null, "generation": self.at, "epoch": 1, "weight": 0.1, "missing": [],
        "since": "2026-01-02T03:04:00Z", "reason": null, "verdict": "unknown", "arms": [
            {"name": "stable", "version": "1", "weight": 0.9},
            {"name": "candidate", "version": "2", "weight": 0.1},
        ]})
    }

    /// The newest first.
    fn transitions(&self) -> Value {
        (1..=self.at)
            .rev()
            .map(|number| self.transition(number))
            .collect()
    }

    fn transition(&self, number: usize) -> Value {
        json!({"at": format!("2026-01-02T03:04:0{number}Z"), "from": self.states[number - 1],
            "to": self.states[number], "reason": "because", "actor": "lockgate",
            "generation": number, "evidence": evidence()})
    }
}

fn evidence() -> Value {
    json!({"metrics": [],
        "srm": {"ln_e": 0.0, "limit": 6.9}, "guards": []})
}
