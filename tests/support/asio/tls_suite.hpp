// SPDX-License-Identifier: MIT
/// \file tests/support/asio/tls_suite.hpp
/// The tests of AsioTcp over TLS, for both kinds of asio.
#pragma once

#include <memory>
#include <string>

#include <belay/asio/tls.hpp>

#include "support/asio/tcp_suite.hpp"
#include "support/openssl/certificate_authority.hpp"

namespace belay_test {

template <class Context, class TlsContext>
struct AsioTlsSuite {
    static constexpr const char* localhost = "subjectAltName=DNS:localhost";

    template <class Framing>
    using Transport = AsioTcp<Context, Framing, detail::OverTls>;

    static void trust(TlsContext& tls, const std::string& file, bool checks_revocation = false) {
        if (!file.empty()) tls.load_verify_file(file);
        X509_VERIFY_PARAM* const rules = SSL_CTX_get0_param(tls.native_handle());
        if (checks_revocation) X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_CRL_CHECK);
    }

    /// A rig with a server that sends every byte back.
    template <class Framing>
    struct Rig {
        Rig() { trust(tls, authority.file()); }
        CertificateAuthority authority{};
        TlsServer server{authority.issue(localhost)};
        Context context{};
        TlsContext tls{TlsContext::tls_client};
        Transport<Framing> transport{context, tls, {"localhost", server.port}, Framing{}};
        void run_once() {
            context.restart();
            context.run_one_for(200us);
        }
        void hang_up() { server.hang_up(); }
    };
    static void checked() {
        const auto verdict_on = [](auto make) {
            const auto broken = check::transport(make, nth_bytes);
            return broken ? to_string(*broken) : "right";
        };
        CHECK(verdict_on([] { return std::make_unique<Rig<LengthPrefixed>>(); }) == "right");
        CHECK(verdict_on([] { return std::make_unique<Rig<Lines>>(); }) == "right");
    }

    /// A supervised connection of one attempt.
    struct Supervised {
        Supervised(posix::Endpoint endpoint, const std::string& trusted,
                   AsioTcpOptions options = {}, bool checks_revocation = false)
            : link{AsioTcp{context, tls, std::move(endpoint), LengthPrefixed{}, options},
                   OneAttempt{MaxAttempts{1}},
                   {},
                   std::ref(app)} {
            trust(tls, trusted, checks_revocation);
            loop.attach(link);
            link.start();
        }
        template <class Done>
        void until(Done done) {
            run_until(context, done);
        }
        Failure failure() {
            until([&] { return app.ends > 0; });
            return app.failure;
        }
        /// Whether it connected, and received a message back.
        bool echoes(const Bytes& message) {
            until([&] { return app.ends > 0 || app.state == LinkState::connected; });
            if (app.ends > 0 || link.send(message) != SendResult::sent) return false;
            const std::size_t before = app.messages.size();
            until([&] { return app.ends > 0 || app.messages.size() > before; });
            return app.messages.size() > before && app.messages.back() == as_text(message);
        }
        Context context{};
        AsioLoop<Context> loop{context};
        TlsContext tls{TlsContext::tls_client};
        AsioApp app{};
        Supervisor<Transport<LengthPrefixed>, OneAttempt, std::reference_wrapper<AsioApp>> link;
    };

    static void reasons() {
        const CertificateCases cases;
        for (const CertificateCase& c : cases.all) {
            INFO(c.what);
            const TlsServer server{c.server};
            Supervised verified{{c.host, server.port}, c.trusted, {}, c.checks_revocation};
            CHECK(verified.echoes(to_bytes("hello")) == !c.error);
            if (c.error) CHECK(verified.failure() == Failure::from(c.error));
            Supervised trusting{{c.host, server.port}, "", {.insecure_no_verify = true}};
            CHECK(trusting.echoes(to_bytes("hello")));
        }
    }
    /// More bytes than the buffers of both kernels and of TLS hold, in both directions at once.
    static void long_messages() {
        CertificateAuthority authority;
        TlsServer server{authority.issue(localhost)};
        Supervised rig{{"localhost", server.port},
                       authority.file(),
                       {.output_bytes_max = std::size_t{64} << 20}};
        std::string text(9'000'000, '\0');
        for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * i >> 7);
        CHECK(rig.echoes(to_bytes(text)));
        for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{16384},
                                       std::size_t{16385}, std::size_t{70000}}) {
            INFO(size);
            CHECK(rig.echoes(to_bytes(std::string_view{text}.substr(0, size))));
        }
        for (int i = 0; i < 20; ++i) {
            REQUIRE(rig.link.send(to_bytes(std::string_view{text}.substr(0, 300'000))) ==
                    SendResult::sent);
        }
        rig.until([&] { return rig.app.ends > 0 || rig.app.messages.size() == 26; });
        CHECK(rig.app.messages.back() == std::string_view{text}.substr(0, 300'000));
    }
    /// The server reads late, and sends nothing, so that the client gets no event of the socket.
    static void last_byte() {
        CertificateAuthority authority;
        constexpr std::size_t bytes = 9'000'000;
        TlsServer server{authority.issue(localhost), "", bytes};
        Supervised rig{{"localhost", server.port},
                       authority.file(),
                       {.output_bytes_max = std::size_t{64} << 20}};
        CHECK(rig.echoes(Bytes(bytes)));
    }
    static void ends() {
        CertificateAuthority authority;
        const CertificateFiles files = authority.issue(localhost);
        SECTION("a stop sends a close_notify after all messages") {
            TlsServer server{files};
            Supervised rig{{"localhost", server.port}, authority.file()};
            CHECK(rig.echoes(to_bytes("hello")));
            rig.link.stop();
            rig.until([&] { return rig.app.state == LinkState::stopped; });
            CHECK(server.line_with("c") == "closed");
        }
        SECTION("the server ends") {
            TlsServer server{files};
            Supervised rig{{"localhost", server.port}, authority.file()};
            CHECK(rig.echoes(to_bytes("hello")));
            server.hang_up();
            CHECK(rig.failure() == failure_of(LinkErrc::closed_by_peer));
        }
        SECTION("the server requires a certificate of the client") {
            TlsServer server{files, authority.file()};
            Supervised rig{{"localhost", server.port}, authority.file()};
            CHECK(rig.failure() == Failure::from(tls::Errc::handshake_failed));
        }
    }
    static void bad_servers() {
        const RawSocket server = RawSocket::listen();
        Supervised rig{{"127.0.0.1", server.port()}, ""};
        rig.until([&] { return rig.app.state == LinkState::connecting; });
        rig.context.poll();
        RawSocket peer = server.accept();
        SECTION("garbage") {
            peer.send("220 mail.example.org ESMTP\r\n");
            CHECK(rig.failure() == Failure::from(tls::Errc::handshake_failed));
        }
        SECTION("an end") {
            peer.close();
            CHECK(rig.failure().cause != Cause::none);
        }
        SECTION("a reset") {
            peer.reset();
            CHECK(rig.failure().error() == std::errc::connection_reset);
        }
        SECTION("silence: the link may stop in the handshake") {
            rig.until([&] { return !peer.read_some().empty(); });
            rig.link.stop();
            rig.until([&] { return rig.app.state == LinkState::stopped; });
        }
    }
    static void destroyed_at_any_time() {
        CertificateAuthority authority;
        TlsServer server{authority.issue(localhost)};
        for (int steps = 0; steps < 20; ++steps) {
            std::optional<Supervised> rig;
            rig.emplace(posix::Endpoint{"localhost", server.port}, authority.file());
            for (int i = 0; i < steps; ++i) {
                rig->context.restart();
                rig->context.run_one_for(5ms);
                static_cast<void>(rig->link.send(Bytes(100'000)));
            }
        }
        Supervised last{{"localhost", server.port}, authority.file()};
        CHECK(last.echoes(to_bytes("hello")));
    }
};

}  // namespace belay_test
