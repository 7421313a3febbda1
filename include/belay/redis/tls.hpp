// SPDX-License-Identifier: MIT
/// \file belay/redis/tls.hpp
/// redis::Tls: TLS for a redis::Stream or redis::Rooms by the part of hiredis for it. Link
/// hiredis_ssl and OpenSSL.
#pragma once

#if !__has_include(<hiredis/hiredis_ssl.h>)
#    error "belay needs hiredis/hiredis_ssl.h, or use stunnel: docs/how-to/several-servers.md"
#else

#    include <arpa/inet.h>
#    include <fcntl.h>
#    include <poll.h>
#    include <pthread.h>
#    include <signal.h>

#    include <hiredis/hiredis.h>
#    include <hiredis/hiredis_ssl.h>

#    include <openssl/err.h>
#    include <openssl/ssl.h>

#    include <algorithm>     // std::min
#    include <cerrno>        // errno
#    include <memory>        // std::unique_ptr
#    include <new>           // std::bad_alloc
#    include <string>        // std::string
#    include <string_view>   // std::string_view
#    include <system_error>  // std::error_code
#    include <utility>       // std::move

#    include <belay/core/assert.hpp>
#    include <belay/openssl/detail/tls_client.hpp>
#    include <belay/redis/options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Keeps SIGPIPE from this thread during its lifetime: OpenSSL writes without MSG_NOSIGNAL.
class SigpipeBlocked {
public:
    SigpipeBlocked() noexcept : was_pending_{is_pending()} {
        sigemptyset(&pipe_);
        sigaddset(&pipe_, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    }
    SigpipeBlocked(const SigpipeBlocked&) = delete;
    SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;
    ~SigpipeBlocked() {
        int number = 0;
        if (!was_pending_ && is_pending()) sigwait(&pipe_, &number);
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

private:
    [[nodiscard]] static bool is_pending() noexcept {
        sigset_t pending;
        sigemptyset(&pending);
        sigpending(&pending);
        return sigismember(&pending, SIGPIPE) == 1;
    }

    bool was_pending_;
    sigset_t pipe_{};
    sigset_t before_{};
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace redis {

/// Options of a Tls.
struct TlsOptions {
    /// The name that the certificate of each server must contain; it is also sent (SNI). If it is
    /// empty, this is the dialled host, which Sentinels usually name by its address.
    std::string server_name{};
    /// Accepts any certificate. Use it only for tests.
    bool insecure_no_verify = false;
};

/// TLS for all connections whose options have it: `options.tls =
/// std::make_shared<redis::Tls>(context)`.
///
/// Each server must have a certificate for its name that `context` trusts. The context also decides
/// versions, ciphers and the client's certificate. Do not change it afterwards.
///
/// Thread safety: any thread.
class Tls final : public detail::RedisTls {
public:
    /// Pre: `context` is not null. It is shared, so the caller may free its own reference.
    explicit Tls(SSL_CTX* context, TlsOptions options = {})
        : context_{context}, options_{std::move(options)} {
        BELAY_OPTION(context != nullptr, "redis::Tls: the context must not be null");
        SSL_CTX_up_ref(context);
    }

private:
    using Step = detail::RedisTlsStep;
    struct Free {
        void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
        void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
    };

    [[nodiscard]] Step handshake(redisContext& connection, void*& session,
                                 const std::string& host) const noexcept override {
        const detail::SigpipeBlocked no_signal;
        if (session == nullptr) return begin(connection, session, host);
        SSL* const ssl = static_cast<SSL*>(session);
        const Step step = result_of(ssl, [&] { return SSL_do_handshake(ssl); });
        return step.count > 0 || step.events != 0 ? step : failed(ssl, step);
    }
    /// hiredis itself verifies no name, so this prepares the session that hiredis uses.
    [[nodiscard]] Step begin(redisContext& connection, void*& session,
                             const std::string& host) const noexcept {
        std::unique_ptr<SSL, Free> ssl{SSL_new(context_.get())};
        if (!ssl) return {.error = std::make_error_code(std::errc::not_enough_memory)};
        try {
            const std::string& name = options_.server_name.empty() ? host : options_.server_name;
            if (const std::error_code error = detail::prepare_tls(ssl.get(), name, is_address(name),
                                                                  options_.insecure_no_verify)) {
                return {.error = error};
            }
        } catch (const std::bad_alloc&) {
            return {.error = std::make_error_code(std::errc::not_enough_memory)};
        }
        SSL_set_mode(ssl.get(), SSL_MODE_ENABLE_PARTIAL_WRITE);
        // poll(2) does not see what OpenSSL has read ahead.
        SSL_set_read_ahead(ssl.get(), 0);
        // Otherwise hiredis would wait, once for each message of the handshake.
        ::fcntl(connection.fd, F_SETFL, ::fcntl(connection.fd, F_GETFL) | O_NONBLOCK);
        connection.flags &= ~REDIS_BLOCK;
        if (redisInitiateSSL(&connection, ssl.get()) != REDIS_OK)
            return failed(ssl.get(), {.reason = reason()});
        session = ssl.release();
        return {.events = POLLOUT};
    }
    [[nodiscard]] Step send(void* session, std::string_view bytes) const noexcept override {
        const detail::SigpipeBlocked no_signal;
        SSL* const ssl = static_cast<SSL*>(session);
        const std::size_t size = std::min(bytes.size(), std::size_t{1} << 30);
        return result_of(ssl, [&] { return SSL_write(ssl, bytes.data(), static_cast<int>(size)); });
    }
    [[nodiscard]] Step receive(void* session, char* to, std::size_t size) const noexcept override {
        const detail::SigpipeBlocked no_signal;
        SSL* const ssl = static_cast<SSL*>(session);
        return result_of(ssl, [&] { return SSL_read(ssl, to, static_cast<int>(size)); });
    }

    template <class F>
    [[nodiscard]] static Step result_of(SSL* ssl, F&& call) noexcept {
        ERR_clear_error();
        const int count = call();
        if (count > 0) return {.count = count};
        const int error = SSL_get_error(ssl, count);
        if (error == SSL_ERROR_WANT_READ) return {.events = POLLIN};
        if (error == SSL_ERROR_WANT_WRITE) return {.events = POLLOUT};
        Step step{.reason = reason()};
        if (error == SSL_ERROR_SYSCALL && errno != 0) step.error = {errno, std::system_category()};
        return step;
    }
    [[nodiscard]] static const char* reason() noexcept {
        const char* const words = ERR_reason_error_string(ERR_peek_last_error());
        return words == nullptr ? "" : words;
    }
    [[nodiscard]] static Step failed(SSL* ssl, Step step) noexcept {
        step.error = detail::tls_failure(ssl, step.error).error();
        return step;
    }
    [[nodiscard]] static bool is_address(const std::string& host) noexcept {
        unsigned char bytes[16];
        const std::string_view text = host;
        return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 || text.find(':') != text.npos;
    }

    std::unique_ptr<SSL_CTX, Free> context_;
    TlsOptions options_;
};

}}}  // namespace belay::redis

#endif
