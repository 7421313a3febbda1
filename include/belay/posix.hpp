// SPDX-License-Identifier: MIT
/// \file belay/posix.hpp
/// Includes the main headers of the component posix, which needs a POSIX system: descriptors,
/// sockets and files.
#pragma once

#if defined(_WIN32)
#    error "belay/posix.hpp needs POSIX; on Windows: belay/asio/tcp.hpp, belay/windows/journal.hpp"
#endif

#include <belay/posix/endpoint.hpp>
#include <belay/posix/files.hpp>
#include <belay/posix/journal.hpp>
#include <belay/posix/listener.hpp>
#include <belay/posix/loop.hpp>
#include <belay/posix/poller.hpp>
#include <belay/posix/resolver.hpp>
#include <belay/posix/resolver_like.hpp>
#include <belay/posix/tcp.hpp>
