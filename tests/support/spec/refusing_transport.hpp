// SPDX-License-Identifier: MIT
/// \file tests/support/spec/refusing_transport.hpp
/// RefusingTransport: a server that does not run.
#pragma once

#include <belay/link/link.hpp>

namespace belay_test {

/// It refuses each attempt at once.
struct RefusingTransport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::down; }
    };
    Connection open(const belay::Link<int>& link) {
        link.closed({.cause = belay::Cause::refused});
        return {};
    }
};

}  // namespace belay_test
