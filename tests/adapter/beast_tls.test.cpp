// SPDX-License-Identifier: MIT
// Goal: TLS verifies the signer of the certificate and its name. Method: a server in node with a
// certificate that the test makes for one name.
#include <belay/adapter/beast_tls.hpp>

#include <cstdlib>
#include <string>

#include "support/adapter/certificate.hpp"
#include "support/adapter/node_server.hpp"
#include "support/adapter/websocket_rig.hpp"
#include "support/catch.hpp"

using namespace belay;
using belay_test::Certificate;
using belay_test::NodeServer;

namespace {

namespace ssl = boost::asio::ssl;
using Secure = beast::WebSocket<boost::beast::ssl_stream<boost::beast::tcp_stream>>;
using Socketed = beast::WebSocket<boost::beast::ssl_stream<boost::asio::ip::tcp::socket>>;
static_assert(explain::transport_like<Socketed>());

/// Dials the server by a name, trusting what it is told to.
template <class Transport = Secure>
struct SecureRig {
    SecureRig(const std::string& host, std::uint16_t port, const std::string& trusted,
              beast::WebSocketOptions options = {})
        : rig{[&](auto& io) {
              if (!trusted.empty()) tls.load_verify_file(trusted);
              options.target = "/request";
              return Transport{io, tls, {host, port}, std::move(options)};
          }} {}
    ssl::context tls{ssl::context::tls_client};
    belay_test::WebSocketRig<Transport> rig;
};

const Failure not_trusted =
    Failure::from(make_error_code(beast::WebSocketErrc::certificate_refused));

}  // namespace

TEST_CASE("A server is verified by its certificate, for its name", "[adapter][beast_tls][unit]") {
    if (!NodeServer::is_here()) return;
    const Certificate certificate{"DNS:localhost"};
    NodeServer server{certificate.arguments()};

    SecureRig<> right{"localhost", server.port, certificate.file()};
    CHECK(right.rig.message().starts_with("/request\nHost\nlocalhost:"));
    CHECK(server.line_with("name") == "name localhost");
    SecureRig<Socketed> other_stream{"localhost", server.port, certificate.file()};
    CHECK(other_stream.rig.message().starts_with("/request\n"));

    SecureRig<> wrong_name{"127.0.0.1", server.port, certificate.file()};
    CHECK(wrong_name.rig.failure() == not_trusted);
    SecureRig<> unknown_signer{"localhost", server.port, ""};
    CHECK(unknown_signer.rig.failure() == not_trusted);
    SecureRig<> is_stopped{"127.0.0.1", server.port, "", {.insecure_no_verify = true}};
    CHECK(is_stopped.rig.message().starts_with("/request\n"));
}

TEST_CASE("A certificate for an address, another name, and no TLS at all",
          "[adapter][beast_tls][unit]") {
    if (!NodeServer::is_here()) return;
    const Certificate for_address{"IP:127.0.0.1"};
    NodeServer server{for_address.arguments()};
    SecureRig<> by_address{"127.0.0.1", server.port, for_address.file()};
    CHECK(by_address.rig.message().starts_with("/request\n"));
    SecureRig<> by_name{"localhost", server.port, for_address.file()};
    CHECK(by_name.rig.failure() == not_trusted);

    NodeServer plain;
    SecureRig<> no_tls{"localhost", plain.port, for_address.file()};
    CHECK(no_tls.rig.failure() == Failure::from(make_error_code(beast::WebSocketErrc::tls_failed)));
}

TEST_CASE("Through a proxy the server's certificate counts", "[adapter][beast_tls][unit]") {
    if (!NodeServer::is_here()) return;
    const Certificate certificate{"DNS:localhost"};
    NodeServer server{certificate.arguments()};
    const beast::WebSocketOptions options{.proxy = {"127.0.0.1", server.proxy_port},
                                          .proxy_authorization = "Basic ZTpt"};
    SecureRig<> right{"localhost", server.port, certificate.file(), options};
    CHECK(right.rig.message().starts_with("/request\n"));
    SecureRig<> wrong{"other.example", server.port, certificate.file(), options};
    CHECK(wrong.rig.failure() == not_trusted);
}
