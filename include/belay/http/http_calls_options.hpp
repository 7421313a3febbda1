// SPDX-License-Identifier: MIT
/// \file belay/http/http_calls_options.hpp
/// HttpCallsOptions: how often, how long and how fast an HttpCalls repeats a request.
/// HttpCallsCounters: what it has done.
#pragma once

#include <cstdint>      // std::uint32_t, std::uint64_t
#include <functional>   // std::function
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/budget/budgets.hpp>
#include <belay/call/task.hpp>
#include <belay/core/call_counts.hpp>
#include <belay/core/instant.hpp>
#include <belay/http/http_message.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of an HttpCalls. The budget and the breaker exist once for each host.
///
/// Thread safety: a plain value.
struct HttpCallsOptions {
    /// The functions of a user that an HttpCalls calls, all on the thread of its sleeper.
    struct Hooks {
        /// Decides on responses before HttpResponse::verdict does.
        HttpResponse::Classify classify{};
        /// Returns the value of the header Authorization, such as "Bearer abc". It is called before
        /// the first request to `token_origin`, and after a 401, and not while another such call
        /// runs: the calls share its result. It must not send requests that need the token.
        /// A call waits for it until its deadline. This wait does not count to the limit of a
        /// request, nor to `hedge_after`. It continues, for `token_timeout` at most, when the calls
        /// that wait for it have ended.
        std::function<Task<Result<std::string>>()> new_token{};
        /// The only origin whose requests get the token, such as "https://api.example". A request
        /// with an Authorization of its own does not get it.
        std::string token_origin{};
    };

    /// The most attempts of one call, the first one included.   Pre: >= 1.
    std::uint32_t attempts_max = 4;
    /// The wait after the first failure is drawn from 0ns to this. The limit doubles each time.
    /// Pre: > 0ns.
    Duration first_wait = std::chrono::milliseconds{100};
    /// The longest wait, unless the server requests another.   Pre: > first_wait.
    Duration wait_max = std::chrono::seconds{5};
    /// The longest time of one request, and without `hedge_after` of one attempt. It holds only
    /// while another attempt is possible: the last one has the rest of HttpRequest::deadline, which
    /// limits all of them together, with their waits. Requests with an on_chunk have only that
    /// limit.   Pre: > 0ns.
    Duration attempt_timeout = std::chrono::seconds{10};
    /// The longest time of one Hooks::new_token. Then its task is destroyed, and the next call that
    /// needs a token calls the hook again.   Pre: > 0ns.
    Duration token_timeout = std::chrono::seconds{30};
    /// The longest Retry-After to wait for. If the server requests a longer wait, the call ends
    /// with that response at once. The wait itself is up to a quarter longer, by a draw.
    /// Pre: >= 0ns.
    Duration retry_after_max = std::chrono::seconds{30};
    /// The budget of retries of one host.
    TokenBudgetOptions budget = TokenBudgetOptions::grpc(10, 100);
    /// The failures in `breaker_window` at which the breaker of one host opens. A percentage of 0
    /// means no breaker.   Pre: percent <= 100, min_calls >= 1.
    part::RateThreshold breaker{.percent = 50, .min_calls = 20};
    /// Pre: > 0ns.
    Duration breaker_window = std::chrono::seconds{30};
    /// The time for which an open breaker rejects calls, until it lets one through.   Pre: > 0ns.
    Duration breaker_open = std::chrono::seconds{5};
    /// The time after which a request is a failure of the host if its caller gives up, by a stop or
    /// by destroying the Task, while it is unanswered. It is unanswered if its response is not
    /// complete, and no part of it was passed to on_chunk. So this must be longer than your long
    /// polls, and than downloads without an on_chunk. `forever`: it never is a failure.
    /// Pre: > 0ns.
    Duration unanswered_after = forever;
    /// The longest time in which no part of the response to a request with an on_chunk arrives. In
    /// a `text/event-stream`, comments and empty lines are no part. Then the request fails with
    /// HttpErrc::timed_out. `forever`: no limit but the deadline.   Pre: > 0ns.
    Duration silent_max = forever;
    /// The most hosts that have a budget and a breaker of their own; see HttpCalls.   Pre: >= 1.
    std::size_t hosts_max = 64;
    /// The time after which a second request is sent while the first has no response. If the first
    /// fails earlier for a passing reason, the second is sent at once. It applies to requests that
    /// may be repeated and have no on_chunk. The budget pays for it. `forever` means never.
    /// Pre: >= 0ns.
    Duration hedge_after = forever;
    /// Whether a GET or HEAD waits for the response of an equal one that is under way. If that one
    /// fails for a passing reason, the calls that joined it, and still have time, share one more.
    bool single_flight = false;
    /// The name of a header whose value is the number of milliseconds for which the response is
    /// awaited; empty for none. The text must live as long as the HttpCalls.
    std::string_view deadline_header{};

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        constexpr Duration zero = Duration::zero();
        if (attempts_max < 1) return "HttpCallsOptions: attempts_max must be >= 1";
        if (first_wait <= zero || wait_max <= first_wait) {
            return "HttpCallsOptions: 0ns < first_wait < wait_max must hold";
        }
        if (attempt_timeout <= zero) return "HttpCallsOptions: attempt_timeout must be > 0ns";
        if (token_timeout <= zero) return "HttpCallsOptions: token_timeout must be > 0ns";
        if (retry_after_max < zero) return "HttpCallsOptions: retry_after_max must be >= 0ns";
        if (breaker.percent > 100 || breaker.min_calls < 1) {
            return "HttpCallsOptions: breaker.percent must be <= 100, and min_calls >= 1";
        }
        if (breaker_window <= zero || breaker_open <= zero) {
            return "HttpCallsOptions: breaker_window and breaker_open must be > 0ns";
        }
        if (unanswered_after <= zero) return "HttpCallsOptions: unanswered_after must be > 0ns";
        if (silent_max <= zero) return "HttpCallsOptions: silent_max must be > 0ns";
        if (hosts_max < 1) return "HttpCallsOptions: hosts_max must be >= 1";
        if (hedge_after < zero) return "HttpCallsOptions: hedge_after must be >= 0ns";
        return budget.check();
    }
};

/// Counts what an HttpCalls has done since it was made.
///
/// Each call that has ended is one of `succeeded`, `failed`, `rejected` or `dropped`.
///
/// Thread safety: a plain value.
struct HttpCallsCounters {
    std::uint64_t calls = 0;       ///< calls that have begun
    std::uint64_t succeeded = 0;   ///< calls that ended with a status from 200 to 299
    std::uint64_t failed = 0;      ///< calls that ended with another response, or without one
    std::uint64_t rejected = 0;    ///< calls that ended without a response or error of the client:
                                   ///< the breaker was open, the host had asked for a wait, or a
                                   ///< stop was requested
    std::uint64_t dropped = 0;     ///< calls whose Task was destroyed before the end
    std::uint64_t unanswered = 0;  ///< of these: those that are failures of their hosts; see
                                   ///< HttpCallsOptions::unanswered_after
    std::uint64_t requests = 0;    ///< requests that were given to the client
    std::uint64_t retries = 0;     ///< of these: those that repeat a failed one
    std::uint64_t hedges = 0;      ///< of these: second requests while the first had no response
    std::uint64_t shared = 0;      ///< calls that joined an equal call
    std::uint64_t not_repeated = 0;    ///< calls that failed, and could not be repeated
    std::uint64_t over_budget = 0;     ///< calls that failed, and had no budget for a retry
    std::uint64_t hosts = 0;           ///< hosts that have a budget and a breaker now
    std::uint64_t hosts_evicted = 0;   ///< hosts whose budget and breaker were removed for another
    std::uint64_t hosts_overflow = 0;  ///< calls whose host got no budget and breaker of its own

    friend constexpr bool operator==(const HttpCallsCounters&,
                                     const HttpCallsCounters&) noexcept = default;
};

}}  // namespace belay
