"""One question to the stack's Redis, in its own protocol: redis-cli would want the password told."""

import socket


def ask(layout, command):
    """The first line of what Redis answers to a command of one word, such as `+PONG`; None when it does not answer."""
    try:
        with socket.create_connection(("127.0.0.1", layout.redis_port), timeout=10) as connection:
            connection.sendall(f"AUTH {layout.secrets()['redis']}\r\n{command}\r\n".encode())
            said = b""
            while said.count(b"\r\n") < 2:
                part = connection.recv(256)
                if not part:
                    return None
                said += part
            welcome, answer = said.decode(errors="replace").split("\r\n")[:2]
            return answer if welcome == "+OK" else None
    except OSError:
        return None
