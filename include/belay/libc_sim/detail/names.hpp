// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/names.hpp
/// libc_names: getaddrinfo() of a simulated program, with the names of its world.
#pragma once

#include <arpa/inet.h>    // inet_pton
#include <netdb.h>        // addrinfo
#include <netinet/in.h>   // sockaddr_in
#include <sys/socket.h>   // AF_INET
#include <sys/utsname.h>  // utsname

#include <charconv>      // std::from_chars
#include <chrono>        // std::chrono::milliseconds
#include <cstring>       // std::strlen
#include <memory>        // std::unique_ptr
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::errc

#include <belay/libc_sim/detail/process.hpp>
#include <belay/libc_sim/detail/real.hpp>
#include <belay/libc_sim/detail/words.hpp>
#include <belay/sim/detail/socket.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail { namespace libc_names {

/// An address with what it points to. The address is the first member, so that a pointer to it
/// is one to the entry.
struct Entry {
    addrinfo info{};
    sockaddr_in address{};
    std::string name;
};

inline std::optional<std::uint16_t> port_of(const char* service, int flags) {
    if (service == nullptr) return std::uint16_t{0};
    const std::string_view text{service};
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error == std::errc{} && end == text.data() + text.size()) return port;
    if ((flags & AI_NUMERICSERV) != 0) return std::nullopt;
    if (text == "http") return std::uint16_t{80};
    if (text == "https") return std::uint16_t{443};
    return std::nullopt;
}
/// `error` is EAI_NONAME, and stays so unless no server of names answers.
inline std::optional<sim::detail::Address> address_of(LibcProcess& p, const char* node, int flags,
                                                      int& error) {
    using sim::detail::Address;
    if (node == nullptr) {
        return (flags & AI_PASSIVE) != 0 ? Address{INADDR_ANY} : sim::detail::loopback_address;
    }
    in_addr numeric{};
    if (inet_pton(AF_INET, node, &numeric) == 1) return Address{ntohl(numeric.s_addr)};
    if ((flags & AI_NUMERICHOST) != 0) return std::nullopt;
    // A server of names answers after a round trip, or not at all.
    const bool hangs = sim::detail::name_hangs(sim::detail::Kernel::fabric(p.host()), node);
    const Duration takes = hangs ? sim::detail::hang_time : Duration{std::chrono::milliseconds{1}};
    p.pass(takes);
    if (hangs) return error = EAI_AGAIN, std::nullopt;
    if (sim::detail::Kernel::lacks_descriptors(p.host())) {
        return errno = EMFILE, std::nullopt;  // as the C library reports it
    }
    return sim::detail::Socket::look_up(p.host(), node);
}

inline int getaddrinfo(LibcProcess& p, const char* node, const char* service, const addrinfo* hints,
                       addrinfo** out) {
    if (node == nullptr && service == nullptr) return EAI_NONAME;
    const addrinfo none{};
    const addrinfo& asked = hints != nullptr ? *hints : none;
    if (asked.ai_family != AF_UNSPEC && asked.ai_family != AF_INET) return EAI_ADDRFAMILY;
    if (asked.ai_socktype != 0 && asked.ai_socktype != SOCK_STREAM) {
        p.refuse("called \"getaddrinfo\" with " +
                 libc_words::of(libc_words::kinds, asked.ai_socktype, "type") +
                 ", but a world has TCP over IPv4 only");
    }
    const auto port = port_of(service, asked.ai_flags);
    if (!port) return EAI_SERVICE;
    int error = EAI_NONAME;
    const auto address = address_of(p, node, asked.ai_flags, error);
    if (!address) return error;
    auto entry = std::make_unique<Entry>();
    entry->address.sin_family = AF_INET;
    entry->address.sin_port = htons(*port);
    entry->address.sin_addr.s_addr = htonl(*address);
    entry->info.ai_family = AF_INET;
    entry->info.ai_socktype = SOCK_STREAM;
    entry->info.ai_protocol = IPPROTO_TCP;
    entry->info.ai_addrlen = sizeof entry->address;
    entry->info.ai_addr = reinterpret_cast<sockaddr*>(&entry->address);
    if ((asked.ai_flags & AI_CANONNAME) != 0 && node != nullptr) {
        entry->name = node;
        entry->info.ai_canonname = entry->name.data();
    }
    *out = &entry.release()->info;
    return 0;
}
inline void freeaddrinfo(LibcProcess&, addrinfo* info) {
    const std::unique_ptr<Entry> entry{reinterpret_cast<Entry*>(info)};
}
// NOLINTNEXTLINE(readability-function-size): the parameters of the C library
inline int getnameinfo(LibcProcess& p, const sockaddr* address, socklen_t size, char* name,
                       socklen_t name_size, char* service, socklen_t service_size, int flags) {
    if (name != nullptr && name_size != 0 && (flags & NI_NUMERICHOST) == 0) {
        p.refuse(
            "called \"getnameinfo\" without NI_NUMERICHOST; a world has no names for addresses");
    }
    return libc_real<"getnameinfo", int>(address, size, name, name_size, service, service_size,
                                         flags);
}
inline int gethostname(LibcProcess& p, char* out, std::size_t size) {
    const std::string name{p.host().name()};
    if (size <= name.size()) return libc_fail(ENAMETOOLONG);
    std::memcpy(out, name.c_str(), name.size() + 1);
    return 0;
}
inline int uname(LibcProcess& p, utsname* out) {
    const int result = libc_real<"uname", int>(out);
    return result != 0 ? result : libc_names::gethostname(p, out->nodename, sizeof out->nodename);
}

}}}}  // namespace belay::detail::libc_names
