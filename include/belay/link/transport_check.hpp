// SPDX-License-Identifier: MIT
/// \file belay/link/transport_check.hpp
/// check::transport: is a transport right? For tests of transports; link.hpp does not include it.
#pragma once

#include <optional>  // std::optional

#include <belay/link/detail/transport_checker.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// Plays the supervisor of a transport whose peer sends every message back, and answers the first
/// rule that it breaks; nothing if it keeps all.
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
/// - `make()` gives a pointer to something new that has `transport`, `run_once()`, which lets
///   everything do what there is to do on this thread, and otherwise waits a millisecond or so, not
///   longer; and `hang_up()`, by which the peer ends the connection and awaits another;
/// - `message(i)` gives the message numbered `i`: always the same, another for each `i`, of a
///   hundred bytes or more; compared by `==`.
///
/// Optional members of the connection are checked where it has them. The peer's patience is not
/// asked for: it sees connections that are broken off.
/// Errors: the rule.   Throws: what the transport, `make` and `message` throw.
/// Blocks: by `run_once()`: for a second or so if everything is right, longer for one that stalls.
template <class Make, class Message>
[[nodiscard]] std::optional<TransportRule> transport(Make make, Message message) {
    if constexpr (requires {
                      make()->transport;
                      make()->run_once();
                      make()->hang_up();
                  }) {
        return detail::TransportChecker<Make, Message>{make, message}.run();
    } else {
        static_assert(!sizeof(Make),
                      "check::transport: make must be callable and give a pointer to what has "
                      "'transport', 'run_once()' and 'hang_up()': [] { return "
                      "std::make_unique<Rig>(); }");
        return std::nullopt;
    }
}

}}}  // namespace belay::check
