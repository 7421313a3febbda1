// SPDX-License-Identifier: MIT
// Goal: the chat sends the typed lines, also those that were typed during an outage of the server.
// Method: the example's process, and a plain socket as the server.
#include "e2e/process.hpp"
#include "support/beside_program.hpp"
#include "support/catch.hpp"
#include "support/posix/raw_socket.hpp"

using namespace belay_test;

TEST_CASE("The chat stores typed lines during an outage of the server, and sends them",
          "[asio][asio_chat][integration]") {
    RawSocket server = RawSocket::listen();
    const std::uint16_t port = server.port();
    int keyboard[2];
    REQUIRE(::pipe2(keyboard, O_CLOEXEC) == 0);
    e2e::Process example{{beside_program(ASIO_CHAT_BINARY), std::to_string(port)},
                         [&] { ::dup2(keyboard[0], STDIN_FILENO); }};
    const auto type = [&](const std::string& line) {
        REQUIRE(::write(keyboard[1], line.data(), line.size()) ==
                static_cast<ssize_t>(line.size()));
    };
    REQUIRE(example.prints("(connected)"));
    {
        const RawSocket peer = server.accept();
        type("hello\n");
        CHECK(peer.read(6) == "hello\n");
        peer.send("good day\r\n");
        CHECK(example.prints("> good day"));
        server.close();
    }
    REQUIRE(example.prints("(cooldown)"));
    type("are you\nthere?\n");
    server = RawSocket::listen(16, port);
    const RawSocket again = server.accept();
    CHECK(again.read(15) == "are you\nthere?\n");
    ::close(keyboard[1]);
    ::close(keyboard[0]);
    CHECK(example.prints("(stopped)"));
    CHECK(example.wait() == 0);
}
