// SPDX-License-Identifier: MIT
/// \file belay/link/transport_check.hpp
/// check::transport: tests a transport. It is for tests only, and link.hpp does not include it.
#pragma once

#include <optional>  // std::optional

#include <belay/link/detail/transport_checker.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// Tests a transport and returns the first rule that it breaks, or nothing if it keeps all.
///
/// The check acts as the supervisor of the transport, whose peer sends every message back.
///
///     struct Rig {
///         EchoServer peer;                       // yours: sends every message back
///         Mine transport{peer.port()};
///         void run_once() { poll(transport, peer); }
///         void hang_up() { peer.close_all(); }   // and takes the next connection
///     };
///     const auto broken = check::transport([] { return std::make_unique<Rig>(); },
///                                         [](std::uint64_t i) { return text_of(i); });
///     if (broken) std::puts(to_string(*broken));
///
/// - `make()` returns a pointer to a new object with `transport`, `run_once()` and `hang_up()`.
/// - `run_once()` runs everything that is due on this thread. If nothing is due, it waits for about
///   a millisecond, not longer.
/// - `hang_up()` makes the peer end the connection and wait for another one.
/// - `message(i)` returns the message number `i`: always the same one, different for each `i`, and
///   at least a hundred bytes long. Messages are compared by `==`.
///
/// Optional members of the connection are checked if it has them. The peer must tolerate
/// connections that are aborted.
/// Errors: the rule.   Throws: what the transport, `make` and `message` throw.
/// Blocks: in `run_once()`, for about a second if everything is right, longer for a transport that
/// stalls.
template <class Make, class Message>
[[nodiscard]] std::optional<TransportRule> transport(Make make, Message message) {
    if constexpr (requires {
                      make()->transport;
                      make()->run_once();
                      make()->hang_up();
                  }) {
        return detail::TransportChecker<Make, Message>{make, message}.run();
    } else {
        static_assert(
            !sizeof(Make),
            "check::transport: make must be callable and return a pointer to an object with "
            "'transport', 'run_once()' and 'hang_up()': [] { return std::make_unique<Rig>(); }");
        return std::nullopt;
    }
}

}}}  // namespace belay::check
