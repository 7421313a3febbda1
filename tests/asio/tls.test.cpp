// SPDX-License-Identifier: MIT
// Goal: AsioTcp over TLS is a correct transport, accepts only valid certificates, and reports the
// reason for each invalid one. Method: a server by Python's OpenSSL; certificates that the test
// makes.
#include <belay/asio/tls.hpp>

#include <belay/asio/boost.hpp>

#include <boost/asio/ssl/context.hpp>

#include "support/asio/tls_suite.hpp"
#include "support/catch.hpp"

namespace {
using TlsSuite = belay_test::AsioTlsSuite<boost::asio::io_context, boost::asio::ssl::context>;
}

TEST_CASE("check::transport finds no fault in AsioTcp over TLS", "[asio][tls][unit]") {
    TlsSuite::checked();
}

TEST_CASE("AsioTcp gives the reason why it does not accept a certificate", "[asio][tls][fault]") {
    TlsSuite::reasons();
}

TEST_CASE("AsioTcp over TLS carries messages of any length, both ways at once",
          "[asio][tls][unit]") {
    TlsSuite::long_messages();
}

TEST_CASE("AsioTcp over TLS writes the last byte of a message to a slow server",
          "[asio][tls][fault]") {
    TlsSuite::last_byte();
}

TEST_CASE("AsioTcp over TLS ends with a close_notify, and reports the server's end",
          "[asio][tls][fault]") {
    TlsSuite::ends();
}

TEST_CASE("AsioTcp reports a peer that does not complete the TLS handshake", "[asio][tls][fault]") {
    TlsSuite::bad_servers();
}

TEST_CASE("AsioTcp over TLS may be destroyed at any time", "[asio][tls][fault]") {
    TlsSuite::destroyed_at_any_time();
}
