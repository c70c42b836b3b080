"""nchan, nginx's module for publishing and subscribing: messages are posted over HTTP."""

from __future__ import annotations

import http.client
import subprocess
from pathlib import Path

from bench._packages import file, program
from bench.peers.contract import START_S, Peer, Step, free_port, upgrade

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
CONFIG = """load_module {module};
daemon off; worker_processes 1; worker_rlimit_nofile {files}; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections {files}; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location = /sub {{
      nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest;
    }}
    location = /pub {{ nchan_publisher http; nchan_channel_id bench; nchan_message_buffer_length 10; }}
  }}
}}
"""


class Nchan(Peer):
    """One nginx worker with the module."""

    name = "nchan"
    figure = "below it"

    def start(self) -> str:
        """Run nginx in the foreground, with a configuration of its own."""
        self._nginx = program("nginx", "nginx-light")
        module = file(MODULE, "libnginx-mod-nchan")
        self.port = free_port()
        config = self.folder / "nginx.conf"
        # Beside the receivers there are the publisher's connection and nginx's own files.
        config.write_text(CONFIG.format(module=module, folder=self.folder, port=self.port, files=self.sockets + 200))
        # nginx's worker is nobody where its master is root.
        self.folder.chmod(0o755)
        self.spawn([self._nginx, "-p", str(self.folder), "-c", str(config)], obeys=False)
        self.await_port(self.port).close()
        self._link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S)
        told = subprocess.run([self._nginx, "-v"], capture_output=True, text=True, check=True).stderr
        nginx = told.strip().rpartition("/")[2]
        package = ["dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"]
        version = subprocess.run(package, capture_output=True, text=True, check=False).stdout
        return f"nchan {version}, nginx {nginx}, one worker, ten messages kept in memory, HTTP POST"

    def steps(self) -> list[Step]:
        """Upgrade, and that is all."""
        return [Step((upgrade("/sub"),), b"\r\n\r\n")]

    def publish(self, payloads: list[bytes]) -> None:
        """Post them one after the other over one connection."""
        for payload in payloads:
            self._link.request("POST", "/pub", payload, {"Content-Type": "application/json"})
            answer = self._link.getresponse()
            said = answer.read()
            if answer.status not in (201, 202):
                raise RuntimeError(f"nchan answers {answer.status}: {said!r}")

    def stop(self) -> None:
        """End it, and the publisher's connection."""
        if self._process is not None:
            self._link.close()
        super().stop()
