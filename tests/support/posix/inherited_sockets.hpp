// SPDX-License-Identifier: MIT
/// \file tests/support/posix/inherited_sockets.hpp
/// inherited_sockets: the TCP sockets that a program started by this one would inherit.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace belay_test {

inline int inherited_sockets() {
    int count = 0;
    for (int fd = 3; fd < 1024; ++fd) {
        const int flags = ::fcntl(fd, F_GETFD);
        if (flags < 0 || (flags & FD_CLOEXEC) != 0) continue;
        sockaddr_storage here{};
        socklen_t size = sizeof here;
        if (::getsockname(fd, reinterpret_cast<sockaddr*>(&here), &size) != 0) continue;
        if (here.ss_family == AF_INET || here.ss_family == AF_INET6) ++count;
    }
    return count;
}

}  // namespace belay_test
