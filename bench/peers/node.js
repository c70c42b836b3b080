// The peers that run in node: `node node.js ws|socket.io`. It prints its port; each line of stdin is a JSON list of
// messages for everybody, and a line answers when they have been handed on.
"use strict";
const http = require("http");
const readline = require("readline");

function ws(server) {
  const { WebSocket, WebSocketServer } = require("ws");
  const wss = new WebSocketServer({ server, perMessageDeflate: false });
  // As its README broadcasts.
  return (message) => {
    wss.clients.forEach((client) => {
      if (client.readyState === WebSocket.OPEN) client.send(message);
    });
  };
}

function socketIo(server) {
  const { Server } = require("socket.io");
  // Its pings would want an answer every 25 s.
  const io = new Server(server, { transports: ["websocket"], perMessageDeflate: false, pingInterval: 3_600_000 });
  return (message) => io.emit("cue", JSON.parse(message));
}

const server = http.createServer();
const publish = { ws, "socket.io": socketIo }[process.argv[2]](server);
server.listen(0, "127.0.0.1", 1024, () => process.stdout.write(`${server.address().port}\n`));
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  for (const message of JSON.parse(line)) publish(message);
  process.stdout.write("done\n");
}).on("close", () => process.exit(0));
