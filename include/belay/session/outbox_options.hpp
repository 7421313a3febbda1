// SPDX-License-Identifier: MIT
/// \file belay/session/outbox_options.hpp
/// OutboxOptions, OutboxStatus: the options of an Outbox, and its state.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/detail/expect_options.hpp>
#include <belay/core/no_limit.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor_options.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of an Outbox.
struct OutboxOptions {
    /// The promise for each message, which decides when the outbox removes the message.
    enum Promise : std::uint8_t {
        not_chosen,    ///< not allowed: choose one of the others
        at_most_once,  ///< a message is removed before it is sent, and is never sent again
        at_least_once  ///< a message is removed when it is acknowledged; until then it is sent
                       ///< again on each new connection
    };

    /// Required.
    Promise promise = not_chosen;
    /// The maximum number of messages that are sent and not acknowledged. With at_most_once over a
    /// journal, the maximum number of messages that one flush removes. > 0.
    std::size_t in_flight_max = 256;
    /// The maximum size of a message; push() rejects a longer one. Set it to the limit of the
    /// framing. It applies to messages that have `size()`. > 0.
    std::size_t message_bytes_max = no_limit;
    /// How often the first message is delivered before it is undeliverable: the status has its
    /// number, and on_undeliverable is called once. With at_least_once. > 0.
    ///
    /// A delivery counts if the message was the only one in flight when the peer closed the
    /// connection. After two connections that the peer closed while the same message was the first
    /// in flight, it is sent alone. It then waits until the connection has been open for a while,
    /// so that a proxy that accepts and closes connections during an outage counts no delivery.
    std::uint32_t deliveries_max = 10;
    SupervisorOptions link{};

    /// Returns the rule that these options break, as a sentence; an empty text if they break none.
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (promise != at_most_once && promise != at_least_once) {
            return "OutboxOptions: promise must be at_most_once or at_least_once";
        }
        if (in_flight_max == 0) return "OutboxOptions: in_flight_max must be > 0";
        if (message_bytes_max == 0) return "OutboxOptions: message_bytes_max must be > 0";
        if (deliveries_max == 0) return "OutboxOptions: deliveries_max must be > 0";
        return {};
    }
};

/// The state of an outbox, as one consistent value.
struct OutboxStatus {
    LinkStatus link{};
    std::uint64_t waiting = 0;       ///< messages that wait to be sent on this connection
    std::uint64_t in_flight = 0;     ///< messages that were sent on it, and not acknowledged
    std::uint64_t sent = 0;          ///< how often a message was handed to a connection
    std::uint64_t sent_again = 0;    ///< how often one of these had been sent before
    std::uint64_t acknowledged = 0;  ///< messages that the application acknowledged
    std::uint64_t unsent = 0;        ///< messages that the transport rejected: see on_unsent
    /// The number of the first message, if it is undeliverable: see OutboxOptions::deliveries_max.
    /// Otherwise 0. The messages after it wait until you acknowledge it.
    std::uint64_t undeliverable = 0;
    std::error_code error{};  ///< the storage's failure, after which nothing is accepted
};

namespace detail {
/// Returns the options; options that no outbox can satisfy end the program at construction.
[[nodiscard]] inline const OutboxOptions& checked(const OutboxOptions& options) {
    expect_options(options.check(),
                   {{"promise", std::uint64_t{options.promise}},
                    {"in_flight_max", std::uint64_t{options.in_flight_max}},
                    {"message_bytes_max", std::uint64_t{options.message_bytes_max}},
                    {"deliveries_max", std::uint64_t{options.deliveries_max}}});
    return options;
}
}  // namespace detail

}}  // namespace belay
