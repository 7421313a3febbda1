// SPDX-License-Identifier: MIT
/// \file belay/link/requests_options.hpp
/// RequestsOptions, RequestsStatus: the options of a Requests, and its state.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <string_view>  // std::string_view

#include <belay/core/detail/expect_options.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor_options.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of a Requests.
struct RequestsOptions {
    /// Decides about a question that was sent, and has no answer when the connection ends.
    enum OnLoss : std::uint8_t {
        fail,       ///< it fails with Cause::lost
        send_again  ///< it is sent again on the next connection, within its deadline. Choose this
                    ///< only for a question that may be executed twice.
    };

    /// The maximum number of questions that are sent and not answered. With answers in order, a
    /// question counts until its answer arrives, also after its deadline. > 0.
    std::size_t in_flight_max = 256;
    /// The maximum number of questions that wait to be sent: there is no connection, the connection
    /// is busy, or `in_flight_max` is reached. 0: a question that cannot be sent at once is
    /// rejected. Together with `in_flight_max` at most 1,048,576.
    std::size_t waiting_max = 1024;
    /// The maximum number of times that a question is sent. > 0.
    unsigned sends_max = 3;
    /// The connection is ended as unhealthy when so many questions in a row got no answer in time,
    /// and no message arrived meanwhile; docs/how-to/requests.md specifies which count. 0: never;
    /// use a Heartbeat then.
    unsigned timeouts_max = 3;
    /// For questions that do not choose.
    OnLoss on_loss = fail;
    SupervisorOptions link{};

    /// Returns the rule that these options break, as a sentence; an empty text if they break none.
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        constexpr std::size_t questions_max = std::size_t{1} << 20U;
        if (in_flight_max == 0) return "RequestsOptions: in_flight_max must be > 0";
        if (in_flight_max > questions_max || waiting_max > questions_max - in_flight_max) {
            return "RequestsOptions: in_flight_max + waiting_max must be <= 1048576";
        }
        if (sends_max == 0) return "RequestsOptions: sends_max must be > 0";
        return {};
    }
};

/// The state of a Requests, as one consistent value.
struct RequestsStatus {
    LinkStatus link{};
    std::uint64_t waiting = 0;     ///< questions that wait to be sent
    std::uint64_t in_flight = 0;   ///< questions that count towards in_flight_max
    std::uint64_t asked = 0;       ///< questions that were accepted
    std::uint64_t answered = 0;    ///< questions that were completed with an answer
    std::uint64_t timed_out = 0;   ///< questions whose deadline passed
    std::uint64_t lost = 0;        ///< questions that failed because of the connection
    std::uint64_t cancelled = 0;   ///< questions that cancel() or stop() ended
    std::uint64_t sent_again = 0;  ///< how often a question was sent on another connection
    std::uint64_t unmatched = 0;   ///< answers to no open question; see on_unmatched
};

namespace detail {
/// Returns the options; options that cannot be satisfied end the program at construction.
[[nodiscard]] inline const RequestsOptions& checked(const RequestsOptions& options) {
    expect_options(options.check(), {{"in_flight_max", std::uint64_t{options.in_flight_max}},
                                     {"waiting_max", std::uint64_t{options.waiting_max}},
                                     {"sends_max", std::uint64_t{options.sends_max}}});
    return options;
}
}  // namespace detail

}}  // namespace belay
