// SPDX-License-Identifier: MIT
/// \file tests/support/posix/own_names.hpp
/// Look-ups that hang, and sockets that connect to themselves: functions that replace those of the
/// C library. One file of a program includes them.
#pragma once

#include <atomic>
#include <string_view>
#include <thread>

#include <dlfcn.h>
#include <netdb.h>
#include <sys/socket.h>

namespace belay_test {

/// Names that begin with "hangs" hang while one of these exists. Its destructor waits for the
/// look-ups under way.
class HangingNames {
public:
    HangingNames() { hang = true; }
    HangingNames(const HangingNames&) = delete;
    HangingNames& operator=(const HangingNames&) = delete;
    ~HangingNames() {
        hang = false;
        hang.notify_all();
        while (inside != 0) std::this_thread::yield();
    }

    static inline std::atomic<bool> hang{false};
    static inline std::atomic<int> inside{0};
};

/// While one of these exists, each socket that dials an address over IPv4 has that address itself.
struct SelfConnections {
    SelfConnections() { on = true; }
    SelfConnections(const SelfConnections&) = delete;
    SelfConnections& operator=(const SelfConnections&) = delete;
    ~SelfConnections() { on = false; }

    static inline std::atomic<bool> on{false};
};

}  // namespace belay_test

extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** found) {
    using belay_test::HangingNames;
    const bool is_numeric = hints != nullptr && (hints->ai_flags & AI_NUMERICHOST) != 0;
    if (name != nullptr && !is_numeric && std::string_view{name}.substr(0, 5) == "hangs") {
        ++HangingNames::inside;
        HangingNames::hang.wait(true);
        --HangingNames::inside;
        return EAI_AGAIN;
    }
    using Real = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
    static const auto real = reinterpret_cast<Real>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    return real(name, service, hints, found);
}

extern "C" int connect(int socket, const sockaddr* to, socklen_t size) {
    if (belay_test::SelfConnections::on && to->sa_family == AF_INET) {
        static_cast<void>(::bind(socket, to, size));
    }
    using Real = int (*)(int, const sockaddr*, socklen_t);
    static const auto real = reinterpret_cast<Real>(::dlsym(RTLD_NEXT, "connect"));
    return real(socket, to, size);
}
