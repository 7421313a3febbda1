// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/addresses.hpp
/// Addresses: the socket addresses of an endpoint's host and port.
#pragma once

#include <cerrno>   // errno
#include <cstdio>   // std::snprintf
#include <cstring>  // std::memcpy
#include <string>   // std::string
#include <utility>  // std::exchange
#include <vector>   // std::vector

#include <netdb.h>
#include <sys/socket.h>

#include <belay/core/failure.hpp>
#include <belay/posix/detail/socket.hpp>
#include <belay/posix/endpoint.hpp>
#include <belay/posix/resolver_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {

class ResolveCategory final : public std::error_category {
public:
    constexpr ResolveCategory() noexcept = default;
    const char* name() const noexcept override { return "belay.resolve"; }
    std::string message(int value) const override { return ::gai_strerror(value); }
    // An unknown name may become known later, so no error of this category is permanent.
    std::error_condition default_error_condition(int) const noexcept override {
        return make_error_condition(Cause::refused);
    }
};

[[nodiscard]] inline const std::error_category& resolve_category() noexcept {
    static const ResolveCategory category;
    return category;
}

/// Returns the error for a result of getaddrinfo(3), which has set `errno`. A lack of resources in
/// this system is an error of the system, so that it is not mistaken for an answer of a name
/// server. If the C library has no descriptor for its own files, it reports an unknown name.
[[nodiscard]] inline std::error_code resolve_error(int answer) noexcept {
    const bool lacks_descriptors = errno == EMFILE || errno == ENFILE;
    if (answer == EAI_SYSTEM || lacks_descriptors) return {errno, std::generic_category()};
    if (answer == EAI_MEMORY) return std::make_error_code(std::errc::not_enough_memory);
    return {answer, resolve_category()};
}

/// The socket addresses of an endpoint, in the order in which to try them.
///
/// Thread safety: distinct objects safe.
class Addresses {
public:
    Addresses() noexcept = default;
    Addresses(const Addresses&) = delete;
    Addresses& operator=(const Addresses&) = delete;
    ~Addresses() { reset(); }

    /// Looks up an endpoint. Pass `passive` to listen there.
    ///
    /// Blocks: for names, as long as the system's resolver takes; not for numeric addresses.
    [[nodiscard]] std::error_code resolve(const Endpoint& endpoint, bool passive) noexcept {
        // Numeric first: only AI_NUMERICHOST guarantees that no name server is asked.
        const std::error_code error = resolve_numeric(endpoint, passive);
        if (error != std::error_code{EAI_NONAME, resolve_category()}) return error;
        return ask(endpoint, passive ? AI_PASSIVE : 0);
    }
    /// Like resolve(), for numeric addresses only. Returns EAI_NONAME for names.
    [[nodiscard]] std::error_code resolve_numeric(const Endpoint& endpoint, bool passive) noexcept {
        return ask(endpoint, AI_NUMERICHOST | (passive ? AI_PASSIVE : 0));
    }
    [[nodiscard]] const addrinfo* first() const noexcept { return first_; }
    void reset() noexcept {
        if (first_ != nullptr) ::freeaddrinfo(std::exchange(first_, nullptr));
    }

private:
    [[nodiscard]] std::error_code ask(const Endpoint& endpoint, int flags) noexcept {
        reset();
        // The system would read the name up to a null, which is another host.
        if (endpoint.host.find('\0') != endpoint.host.npos) return {EAI_NONAME, resolve_category()};
        char port[8];
        std::snprintf(port, sizeof port, "%u", static_cast<unsigned>(endpoint.port));
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_flags = flags | AI_NUMERICSERV;
        errno = 0;
        const int error = ::getaddrinfo(endpoint.host.c_str(), port, &hints, &first_);
        if (error == 0) return {};
        first_ = nullptr;
        return resolve_error(error);
    }

    addrinfo* first_ = nullptr;
};

/// The most addresses of a name that are used. The others are ignored.
inline constexpr std::size_t addresses_max = 256;

/// Appends a list of addresses of the system.   Throws: std::bad_alloc.
inline void append(std::vector<SocketAddress>& all, const addrinfo* first) {
    for (; first != nullptr && all.size() < addresses_max; first = first->ai_next) {
        if (first->ai_addrlen > sizeof(sockaddr_storage)) continue;
        SocketAddress& a = all.emplace_back();
        std::memcpy(&a.storage, first->ai_addr, first->ai_addrlen);
        a.size = first->ai_addrlen;
    }
}

/// Looks up `host` in the system.   Blocks: as long as its resolver takes.
/// Throws: std::bad_alloc.
[[nodiscard]] inline HostAddresses look_up_by_system(const std::string& host) {
    Addresses addresses;
    HostAddresses found;
    found.error = addresses.resolve(Endpoint{host, 0}, false);
    std::vector<SocketAddress> all;
    append(all, addresses.first());
    for (const SocketAddress& address : all) found.addresses.push_back(address.host());
    return found;
}

}}}  // namespace belay::posix::detail
