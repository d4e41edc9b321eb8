"""An app with more than HTTP: HTTP on 8000, lines with the PROXY protocol (v1) on TCP 9000, datagrams on UDP 9001, and TLS of its
own behind the PROXY protocol (v2) on 8443. The certificate is in chain.pem and key.pem. Standard library only.
"""
import socket
import ssl
import threading


def serve(port, handle):
    listener = socket.create_server(("", port))
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=guarded, args=(handle, connection), daemon=True).start()


def guarded(handle, connection):
    with connection:
        try:
            handle(connection)
        except OSError as error:
            print(error, flush=True)


def page(connection, text):
    body = text.encode()
    while b"\r\n\r\n" not in connection.recv(65536):
        pass
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    connection.sendall(head.encode() + body)


def exactly(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise OSError("the connection ended early")
        data += piece
    return data


def lines(connection):
    """Answers what came before its first line, and that line."""
    file = connection.makefile("rb")
    first = file.readline().strip().decode()
    second = file.readline().strip().decode() if first.startswith("PROXY ") else ""
    connection.sendall(f"{first}|{second}\n".encode())


def secured(connection):
    """The header of the PROXY protocol, version 2: signature, command, family, length, then addresses and ports."""
    head = exactly(connection, 16)
    if head[:12] != b"\r\n\r\n\x00\r\nQUIT\n":
        raise OSError("no PROXY header")
    rest = exactly(connection, int.from_bytes(head[14:16], "big"))
    source = f"{socket.inet_ntoa(rest[:4])}:{int.from_bytes(rest[8:10], 'big')}"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("chain.pem", "key.pem")
    with context.wrap_socket(connection, server_side=True) as inner:
        page(inner, f"through {source}")


def datagrams():
    """Says by which port it knows the client, then what came."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("", 9001))
    while True:
        data, client = server.recvfrom(65536)
        server.sendto(f"{client[1]} ".encode() + data, client)


for target, arguments in [(datagrams, ()), (serve, (9000, lines)), (serve, (8443, secured))]:
    threading.Thread(target=target, args=arguments, daemon=True).start()
print("listening", flush=True)
serve(8000, lambda connection: page(connection, "plain"))
