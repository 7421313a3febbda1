// SPDX-License-Identifier: MIT
// Goal: TLS verifies the signer of the certificate and its name. Method: a server in node with a
// certificate that the test makes for one name.
#include <belay/beast/tls.hpp>

#include <cstdlib>
#include <string>

#include "support/beast/node_server.hpp"
#include "support/beast/websocket_rig.hpp"
#include "support/catch.hpp"
#include "support/openssl/certificate.hpp"
#include "support/openssl/certificate_authority.hpp"
#include "support/posix/raw_socket.hpp"

using namespace belay;
using belay_test::Certificate;
using belay_test::NodeServer;

namespace {

namespace ssl = boost::asio::ssl;
using Secure = beast::WebSocket<boost::beast::ssl_stream<boost::beast::tcp_stream>>;
using Socketed = beast::WebSocket<boost::beast::ssl_stream<boost::asio::ip::tcp::socket>>;
static_assert(explain::transport_like<Socketed>());

/// Dials the server by a name, with the given trust.
template <class Transport = Secure>
struct SecureRig {
    SecureRig(const std::string& host, std::uint16_t port, const std::string& trusted,
              beast::WebSocketOptions options = {}, bool checks_revocation = false)
        : rig{[&](auto& io) {
              if (!trusted.empty()) tls.load_verify_file(trusted);
              X509_VERIFY_PARAM* const rules = SSL_CTX_get0_param(tls.native_handle());
              if (checks_revocation) X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_CRL_CHECK);
              options.target = "/request";
              return Transport{io, tls, {host, port}, std::move(options)};
          }} {}
    ssl::context tls{ssl::context::tls_client};
    belay_test::WebSocketRig<Transport> rig;
};

const Failure other_name = Failure::from(tls::Errc::certificate_other_name);
const Failure self_signed = Failure::from(tls::Errc::certificate_self_signed);

}  // namespace

TEST_CASE("A server is verified by its certificate, for its name", "[beast][tls][unit]") {
    if (!NodeServer::is_here()) return;
    const Certificate certificate{"DNS:localhost"};
    NodeServer server{certificate.arguments()};

    SecureRig<> right{"localhost", server.port, certificate.file()};
    CHECK(right.rig.message().starts_with("/request\nHost\nlocalhost:"));
    CHECK(server.line_with("name") == "name localhost");
    SecureRig<Socketed> other_stream{"localhost", server.port, certificate.file()};
    CHECK(other_stream.rig.message().starts_with("/request\n"));

    SecureRig<> wrong_name{"127.0.0.1", server.port, certificate.file()};
    CHECK(wrong_name.rig.failure() == other_name);
    SecureRig<> unknown_signer{"localhost", server.port, ""};
    CHECK(unknown_signer.rig.failure() == self_signed);
    SecureRig<> is_stopped{"127.0.0.1", server.port, "", {.insecure_no_verify = true}};
    CHECK(is_stopped.rig.message().starts_with("/request\n"));
}

TEST_CASE(
    "WebSocket over TLS verifies a certificate for an address, rejects another name, and needs TLS",
    "[beast][tls][unit]") {
    if (!NodeServer::is_here()) return;
    const Certificate for_address{"IP:127.0.0.1"};
    NodeServer server{for_address.arguments()};
    SecureRig<> by_address{"127.0.0.1", server.port, for_address.file()};
    CHECK(by_address.rig.message().starts_with("/request\n"));
    SecureRig<> by_name{"localhost", server.port, for_address.file()};
    CHECK(by_name.rig.failure() == other_name);

    NodeServer plain;
    SecureRig<> no_tls{"localhost", plain.port, for_address.file()};
    CHECK(no_tls.rig.failure() == Failure::from(tls::Errc::handshake_failed));
}

TEST_CASE("Through a proxy the certificate of the server is verified", "[beast][tls][unit]") {
    if (!NodeServer::is_here()) return;
    const Certificate certificate{"DNS:localhost"};
    NodeServer server{certificate.arguments()};
    const beast::WebSocketOptions options{.proxy = {"127.0.0.1", server.proxy_port},
                                          .proxy_authorization = "Basic ZTpt"};
    SecureRig<> right{"localhost", server.port, certificate.file(), options};
    CHECK(right.rig.message().starts_with("/request\n"));
    SecureRig<> wrong{"other.example", server.port, certificate.file(), options};
    CHECK(wrong.rig.failure() == other_name);
}

TEST_CASE("The failure of a certificate gives the reason", "[beast][tls][fault]") {
    const belay_test::CertificateCases cases;
    for (const belay_test::CertificateCase& c : cases.all) {
        INFO(c.what);
        const belay_test::TlsServer server{c.server};
        for (const bool no_verify : {false, true}) {
            SecureRig<> secure{c.host,
                               server.port,
                               c.trusted,
                               {.insecure_no_verify = no_verify},
                               c.checks_revocation};
            const Failure failure = secure.rig.failure();
            if (c.error && !no_verify) {
                CHECK(failure == Failure::from(c.error));
            } else {
                // The server sends the upgrade back, so TLS has succeeded.
                CHECK(failure.cause == Cause::protocol);
            }
        }
    }
}

TEST_CASE("A handshake that fails without verification is not reported as a certificate error",
          "[beast][tls][regression]") {
    belay_test::CertificateAuthority authority;
    const belay_test::TlsServer server{authority.issue("subjectAltName=DNS:other.example")};
    SecureRig<> secure{"localhost", server.port, "", {.insecure_no_verify = true}};
    SSL_CTX_set_max_proto_version(secure.tls.native_handle(), TLS1_1_VERSION);
    CHECK(secure.rig.failure() == Failure::from(tls::Errc::handshake_failed));
}

TEST_CASE("A connection that is reset in the TLS handshake is reported as lost, and not as refused",
          "[beast][tls][fault]") {
    const belay_test::RawSocket server = belay_test::RawSocket::listen();
    SecureRig<> secure{"127.0.0.1", server.port(), ""};
    secure.rig.until([&] { return secure.rig.app.state == LinkState::connecting; });
    secure.rig.context.poll();
    server.accept().reset();
    CHECK(secure.rig.failure().error() == std::errc::connection_reset);
}
