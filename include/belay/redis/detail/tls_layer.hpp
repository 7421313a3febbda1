// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/tls_layer.hpp
/// RedisTls: what a RedisConnection needs of TLS. redis::Tls implements it.
#pragma once

#include <cstddef>       // std::size_t
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/assert.hpp>

struct redisContext;

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The result of one step of TLS, which never waits.
struct RedisTlsStep {
    int count = 0;            ///< the bytes; after a handshake 1; 0: not done
    short events = 0;         ///< those of poll(2) after which the step is repeated; 0: it failed
    std::error_code error{};  ///< of a handshake that failed
    const char* reason = "";  ///< the words of OpenSSL; static
};

/// TLS over any number of connections. An interface, so that connection.hpp compiles and
/// links without the part of hiredis for TLS.
///
/// Thread safety: any thread; each `session` is used by one at a time.
class RedisTls {
public:
    virtual ~RedisTls() = default;
    /// Begins the handshake with `host` if `session` is null, or continues it. The connection owns
    /// the session.
    [[nodiscard]] virtual RedisTlsStep handshake(redisContext& connection, void*& session,
                                                 const std::string& host) const noexcept = 0;
    [[nodiscard]] virtual RedisTlsStep send(void* session,
                                            std::string_view bytes) const noexcept = 0;
    [[nodiscard]] virtual RedisTlsStep receive(void* session, char* to,
                                               std::size_t size) const noexcept = 0;
};

}}}  // namespace belay::detail
