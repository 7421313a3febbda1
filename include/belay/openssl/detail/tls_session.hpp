// SPDX-License-Identifier: MIT
/// \file belay/openssl/detail/tls_session.hpp
/// TlsSession: TLS by OpenSSL between a stream of messages and a socket that never blocks.
#pragma once

#include <memory>        // std::unique_ptr
#include <new>           // std::bad_alloc
#include <string>        // std::string
#include <system_error>  // std::error_code, std::make_error_code
#include <utility>       // std::exchange

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <belay/core/bytes.hpp>
#include <belay/link/detail/stream_connection.hpp>
#include <belay/openssl/detail/tls_client.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The client's end of one TLS connection. Encrypted bytes pass through a pair of BIOs, whose other
/// end is read and written here by `Io`, so that no system call raises SIGPIPE.
///
/// `Io` has `StreamAnswer read(std::span<std::byte>)` and `StreamAnswer write(BytesView)`, which do
/// not wait.
///
/// Thread safety: one thread at a time.
class TlsSession {
    using Kind = StreamAnswer::Kind;

public:
    /// The result of a step of the handshake.
    enum class Step : std::uint8_t { done, awaits_input, awaits_output, failed };

    /// Throws: std::bad_alloc.
    explicit TlsSession(SSL_CTX* context) : ssl_{SSL_new(context)} {
        BIO* inner = nullptr;
        BIO* outer = nullptr;
        if (!ssl_ || BIO_new_bio_pair(&inner, 0, &outer, 0) != 1) throw std::bad_alloc{};
        outer_.reset(outer);
        SSL_set_bio(ssl_.get(), inner, inner);
        SSL_set_connect_state(ssl_.get());
        SSL_set_mode(ssl_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                     SSL_MODE_RELEASE_BUFFERS);
#if defined(SSL_OP_NO_RENEGOTIATION)
        SSL_set_options(ssl_.get(), SSL_OP_NO_RENEGOTIATION);  // a write never waits for input
#endif
    }
    [[nodiscard]] std::error_code prepare(const std::string& host, bool is_address,
                                          bool no_verify) {
        return prepare_tls(ssl_.get(), host, is_address, no_verify);
    }

    /// Continues the handshake. After `failed`, failure() is the reason.
    template <class Io>
    [[nodiscard]] Step handshake(Io io) noexcept {
        for (;;) {
            ERR_clear_error();
            const int result = SSL_do_handshake(ssl_.get());
            const int what = SSL_get_error(ssl_.get(), result);
            const StreamAnswer sent = flush(io);  // an alert of ours, too
            if (sent.kind == Kind::failed) return fails(sent.error);
            if (result != 1 && what != SSL_ERROR_WANT_READ && what != SSL_ERROR_WANT_WRITE) {
                return fails({});
            }
            if (sent.kind == Kind::would_block) return Step::awaits_output;
            if (result == 1) {
                has_more_ = true;  // the server may have sent data at once
                return Step::done;
            }
            if (what == SSL_ERROR_WANT_WRITE) continue;
            const StreamAnswer got = fill(io);
            if (got.kind == Kind::would_block) return Step::awaits_input;
            if (got.kind != Kind::moved) return fails(got.error);
        }
    }
    [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

    /// Reads decrypted bytes. After `moved` there may be more, without input from the socket.
    template <class Io>
    [[nodiscard]] StreamAnswer read(std::span<std::byte> space, Io io) noexcept {
        for (;;) {
            ERR_clear_error();
            std::size_t bytes = 0;
            const int result = SSL_read_ex(ssl_.get(), space.data(), space.size(), &bytes);
            const int what = SSL_get_error(ssl_.get(), result);
            // Data that TLS itself sends may wait: it leaves with the next output.
            static_cast<void>(flush(io));
            has_more_ = result == 1;
            if (result == 1) {
                has_read_ = true;
                return {Kind::moved, bytes};
            }
            if (what == SSL_ERROR_ZERO_RETURN) return {Kind::ended};
            if (what != SSL_ERROR_WANT_READ) return {Kind::failed, 0, error()};
            const StreamAnswer got = fill(io);
            if (got.kind != Kind::moved) return got;
        }
    }
    /// Whether read() may return bytes although the socket has none.
    [[nodiscard]] bool has_more() const noexcept { return has_more_; }

    /// Writes some of the bytes. They count as written when the socket has taken them all in their
    /// encrypted form. After `would_block`, the next call must begin with the same bytes.
    template <class Io>
    [[nodiscard]] StreamAnswer write(BytesView bytes, Io io) noexcept {
        const StreamAnswer before = flush(io);
        if (before.kind != Kind::moved) return before;
        if (taken_ == 0) {
            ERR_clear_error();
            if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &taken_) != 1) {
                taken_ = 0;
                return {Kind::failed, 0, error()};
            }
            const StreamAnswer after = flush(io);
            if (after.kind != Kind::moved) return after;
        }
        return {Kind::moved, std::exchange(taken_, 0)};
    }
    /// Ends the output with close_notify.   Returns: `would_block` if it waits for the socket.
    template <class Io>
    [[nodiscard]] StreamAnswer end_output(Io io) noexcept {
        ERR_clear_error();
        if ((SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) == 0) SSL_shutdown(ssl_.get());
        return flush(io);
    }

private:
    struct Free {
        void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
        void operator()(BIO* bio) const noexcept { BIO_free(bio); }
    };

    Step fails(const std::error_code& error) noexcept {
        failure_ = tls_failure(ssl_.get(), error);
        return Step::failed;
    }
    /// An error of TLS after the handshake. With TLS 1.3, a server may reject the handshake by its
    /// first record after it.
    [[nodiscard]] std::error_code error() const noexcept {
        if (!has_read_) return tls::Errc::handshake_failed;
        return std::make_error_code(std::errc::protocol_error);
    }
    /// Moves encrypted bytes to the socket.   Returns: `moved` if none is left.
    template <class Io>
    [[nodiscard]] StreamAnswer flush(Io io) noexcept {
        for (;;) {
            char* first = nullptr;
            const int size = BIO_nread0(outer_.get(), &first);
            if (size <= 0) return {Kind::moved};
            const auto* const bytes = reinterpret_cast<const std::byte*>(first);
            const StreamAnswer sent = io.write({bytes, static_cast<std::size_t>(size)});
            if (sent.kind != Kind::moved) return sent;
            BIO_nread(outer_.get(), &first, static_cast<int>(sent.bytes));
        }
    }
    /// Moves encrypted bytes from the socket.
    template <class Io>
    [[nodiscard]] StreamAnswer fill(Io io) noexcept {
        char* first = nullptr;
        const int size = BIO_nwrite0(outer_.get(), &first);
        if (size <= 0) return {Kind::failed, 0, std::make_error_code(std::errc::protocol_error)};
        auto* const space = reinterpret_cast<std::byte*>(first);
        const StreamAnswer got = io.read({space, static_cast<std::size_t>(size)});
        if (got.kind == Kind::moved) BIO_nwrite(outer_.get(), &first, static_cast<int>(got.bytes));
        return got;
    }

    std::unique_ptr<SSL, Free> ssl_;
    std::unique_ptr<BIO, Free> outer_;
    std::size_t taken_ = 0;  ///< bytes whose encrypted form has not all left yet
    bool has_more_ = false;
    bool has_read_ = false;
    Failure failure_{};
};

}}}  // namespace belay::detail
