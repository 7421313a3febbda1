// SPDX-License-Identifier: MIT
// Goal: a TlsSession loses no byte, however few bytes its socket moves at a time. Method: a server
// of OpenSSL in memory, and a socket that moves as many bytes as the test allows.
#include <belay/openssl/detail/tls_session.hpp>

#include <algorithm>
#include <cstring>
#include <string>

#include "support/catch.hpp"
#include "support/openssl/certificate_authority.hpp"

using namespace belay;
using belay::detail::StreamAnswer;
using belay::detail::TlsSession;

namespace {

/// The server's end, and a socket that has space for `room` bytes.
struct TlsPeer {
    using Kind = StreamAnswer::Kind;

    explicit TlsPeer(const belay_test::CertificateFiles& files)
        : context{SSL_CTX_new(TLS_server_method())} {
        REQUIRE(SSL_CTX_use_certificate_file(context, files.certificates.c_str(),
                                             SSL_FILETYPE_PEM) == 1);
        REQUIRE(SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) == 1);
        ssl = SSL_new(context);
        SSL_set_bio(ssl, from_client, to_client);
        SSL_set_accept_state(ssl);
    }
    TlsPeer(const TlsPeer&) = delete;
    TlsPeer& operator=(const TlsPeer&) = delete;
    ~TlsPeer() {
        SSL_free(ssl);
        SSL_CTX_free(context);
    }

    /// Returns the bytes that the server has received.
    std::string received() {
        std::string text(100'000, '\0');
        std::size_t have = 0;
        std::size_t n = 0;
        while (have < text.size() &&
               SSL_read_ex(ssl, text.data() + have, text.size() - have, &n) == 1) {
            have += n;
        }
        text.resize(have);
        return text;
    }
    struct Io {
        TlsPeer* peer;

        [[nodiscard]] StreamAnswer read(std::span<std::byte> space) const noexcept {
            const std::size_t most = std::min(space.size(), peer->reads_at_most);
            const int n = BIO_read(peer->to_client, space.data(), static_cast<int>(most));
            if (n <= 0) return {Kind::would_block};
            return {Kind::moved, static_cast<std::size_t>(n)};
        }
        [[nodiscard]] StreamAnswer write(BytesView bytes) const noexcept {
            const std::size_t n = std::min(bytes.size(), peer->room);
            if (n == 0) return {Kind::would_block};
            peer->room -= n;
            BIO_write(peer->from_client, bytes.data(), static_cast<int>(n));
            return {Kind::moved, n};
        }
    };
    [[nodiscard]] Io io() { return Io{this}; }

    SSL_CTX* context;
    SSL* ssl = nullptr;
    BIO* from_client = BIO_new(BIO_s_mem());
    BIO* to_client = BIO_new(BIO_s_mem());
    std::size_t room = 0;
    std::size_t reads_at_most = 16;
};

/// A session whose handshake has completed.
struct TlsPair {
    TlsPair() : session{client} {
        SSL_CTX_free(client);  // the session has its own reference
        REQUIRE_FALSE(session.prepare("localhost", false, true));
        for (auto step = TlsSession::Step::failed; step != TlsSession::Step::done;) {
            peer.room += 7;
            step = session.handshake(peer.io());
            REQUIRE(step != TlsSession::Step::failed);
            if (step == TlsSession::Step::awaits_input) SSL_do_handshake(peer.ssl);
        }
        peer.room = 0;
        SSL_do_handshake(peer.ssl);
        REQUIRE(SSL_is_init_finished(peer.ssl) == 1);
    }
    belay_test::CertificateAuthority authority{};
    TlsPeer peer{authority.issue("subjectAltName=DNS:localhost")};
    SSL_CTX* client = SSL_CTX_new(TLS_client_method());
    TlsSession session;
};

}  // namespace

TEST_CASE("TlsSession::write returns moved only after the socket has taken all",
          "[asio][tls_session][unit]") {
    TlsPair pair;
    for (const std::string& text : {std::string{"hello"}, std::string(16'000, 'x')}) {
        int blocked = 0;
        std::size_t written = 0;
        while (written == 0) {
            const StreamAnswer answer = pair.session.write(as_bytes(text), pair.peer.io());
            if (answer.kind == StreamAnswer::Kind::moved) {
                written = answer.bytes;
                // These bytes arrive without a further call.
                CHECK(pair.peer.received() == text.substr(0, written));
                break;
            }
            REQUIRE(answer.kind == StreamAnswer::Kind::would_block);
            ++blocked;
            pair.peer.room = text.size() / 4 + 5;
        }
        CHECK(written == text.size());
        CHECK(blocked > 1);
        pair.peer.room = 0;
    }
}

TEST_CASE("TlsSession::read has more until the socket has nothing", "[asio][tls_session][unit]") {
    TlsPair pair;
    pair.peer.reads_at_most = 1 << 16;
    REQUIRE(SSL_write(pair.peer.ssl, "abcdef", 6) == 6);
    REQUIRE(SSL_write(pair.peer.ssl, "gh", 2) == 2);
    std::string text;
    std::byte space[4];
    CHECK(pair.session.has_more());  // nothing was read after the handshake
    while (pair.session.has_more()) {
        const StreamAnswer got = pair.session.read(space, pair.peer.io());
        if (got.kind != StreamAnswer::Kind::moved) break;
        text += as_text(BytesView{space, got.bytes});
    }
    CHECK(text == "abcdefgh");
    CHECK_FALSE(pair.session.has_more());
}

TEST_CASE("TlsSession::end_output returns would_block until the close_notify is written",
          "[asio][tls_session][unit]") {
    TlsPair pair;
    int blocked = 0;
    while (pair.session.end_output(pair.peer.io()).kind == StreamAnswer::Kind::would_block) {
        ++blocked;
        pair.peer.room = 10;
    }
    CHECK(blocked > 1);
    CHECK(pair.peer.received().empty());
    CHECK((SSL_get_shutdown(pair.peer.ssl) & SSL_RECEIVED_SHUTDOWN) != 0);
}

TEST_CASE("certificate_error has the numbers of OpenSSL", "[asio][tls_session][unit]") {
    using enum tls::Errc;
    using detail::certificate_error;
    CHECK(certificate_error(X509_V_ERR_CERT_HAS_EXPIRED) == certificate_expired);
    CHECK(certificate_error(X509_V_ERR_CERT_NOT_YET_VALID) == certificate_not_yet_valid);
    CHECK(certificate_error(X509_V_ERR_HOSTNAME_MISMATCH) == certificate_other_name);
    CHECK(certificate_error(X509_V_ERR_IP_ADDRESS_MISMATCH) == certificate_other_name);
    CHECK(certificate_error(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT) == certificate_self_signed);
    CHECK(certificate_error(X509_V_ERR_CERT_REVOKED) == certificate_revoked);
    CHECK(certificate_error(X509_V_ERR_CERT_SIGNATURE_FAILURE) == certificate_rejected);
    for (const long of_issuer :
         {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
          X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
          X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE}) {
        CHECK(certificate_error(of_issuer) == certificate_unknown_issuer);
    }
}
