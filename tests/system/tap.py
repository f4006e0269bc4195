"""A TCP relay between the engine and a server, which sees what passes and can end it in the middle."""
import socket
import threading


class Tap:
    """Counts bytes each way; `cut(direction, bytes, then)` breaks the connection that carried so many and calls `then`."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.sent = b""
        self.rule = None
        self.lock = threading.Lock()
        self.threads = []
        self.acceptor = threading.Thread(target=self.accept)
        self.acceptor.start()

    def cut(self, direction, count, then=lambda: None):
        self.rule = (direction, count, then)

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target)
            except OSError:
                client.close()
                continue
            for direction, source, sink in (("up", client, server), ("down", server, client)):
                thread = threading.Thread(target=self.relay, args=(direction, source, sink))
                thread.start()
                self.threads.append(thread)

    def due(self, direction, count):
        with self.lock:
            if not self.rule or self.rule[0] != direction or count < self.rule[1]:
                return None
            then, self.rule = self.rule[2], None
            return then

    def relay(self, direction, source, sink):
        count = 0
        try:
            while piece := source.recv(65536):
                count += len(piece)
                if direction == "up":
                    self.sent += piece[:4096]
                then = self.due(direction, count)
                if then:
                    then()
                    break
                sink.sendall(piece)
        except OSError:
            pass
        finally:  # whatever became of `then`, nobody waits for this connection any more
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.acceptor.join()
        for thread in self.threads:
            thread.join(10)
