// SPDX-License-Identifier: MIT
/// \file belay/http/detail/http_hosts.hpp
/// HttpHosts: a budget and a breaker for each of a limited number of hosts.
#pragma once

#include <functional>   // std::less
#include <map>          // std::map
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/core/order.hpp>
#include <belay/core/time_window.hpp>
#include <belay/http/detail/http_pace.hpp>
#include <belay/http/detail/http_repeat.hpp>
#include <belay/http/http_calls_options.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

using HttpTrip = FailureRate<TimeWindow<>>;
using HttpBreaker = CircuitBreaker<SteadyClock, HttpTrip, OpenFor>;

/// The breaker or the budget of a host in the policy of one call. It takes the verdict on the
/// response instead of the failure's cause. An unanswered attempt, as HttpRepeat has decided before
/// it, is a failure.
template <class Object>
class HttpShared : public Shared<Object> {
public:
    HttpShared(const Shared<Object>& rule, const HttpProgress& progress) noexcept
        : Shared<Object>{rule}, progress_{&progress} {}

    [[nodiscard]] Advice failed(const Failure& failure, Turn& turn) noexcept {
        if (progress_->stopped) {
            spend(turn);
            return Advice::go();
        }
        const HttpVerdict verdict = progress_->verdict_of(failure);
        const HttpVerdict::Host host = !pays          ? verdict.host
                                       : verdict.pays ? HttpVerdict::Host::failure
                                       : verdict.host == HttpVerdict::Host::neutral
                                           ? HttpVerdict::Host::neutral
                                           : HttpVerdict::Host::success;
        return Shared<Object>::failed(detail::as_evidence(failure, host), turn);
    }
    void spend(Turn& turn) noexcept {
        if (progress_->unanswered) {
            const Failure unanswered = Failure::from(HttpErrc::timed_out);
            static_cast<void>(Shared<Object>::failed(unanswered, turn));
        } else if constexpr (requires(Shared<Object>& rule) { rule.spend(turn); }) {
            Shared<Object>::spend(turn);
        }
    }

private:
    static constexpr bool pays = part::ReservableLike<Object>;

    const HttpProgress* progress_;
};

/// The state that all calls to one host share.
struct HttpHost {
    HttpHost(const HttpCallsOptions& options, bool has_breaker)
        : budget{options.budget}, breaker{trip(options), OpenFor{options.breaker_open}} {
        if (!has_breaker || options.breaker.percent == 0) breaker.set_mode(BreakerMode::disabled);
    }

    /// Returns the policy of one call. It refers to this host, `progress` and `counters`.
    [[nodiscard]] auto policy(const HttpCallsOptions& options, HttpProgress& progress,
                              HttpCallsCounters& counters, Instant deadline = never) {
        return Policy{HttpPaced{pace, deadline, options.retry_after_max},
                      Backoff{FullJitter{}, Cap{options.wait_max}, options.first_wait},
                      SpreadHint::plus_percent(25),
                      HttpRepeat{progress, options, counters},
                      HttpShared{Shared{breaker, FailFast{}}, progress},
                      HttpShared{Shared{budget}, progress},
                      MaxAttempts{options.attempts_max}};
    }

    TokenBudget budget;
    HttpBreaker breaker;
    HttpPace pace{};
    HttpRejections rejections{};
    std::size_t under_way = 0;
    std::uint64_t last_use = 0;
    Instant used_at = always;  // when a call last began or ended

private:
    [[nodiscard]] static HttpTrip trip(const HttpCallsOptions& options) noexcept {
        part::RateThreshold threshold = options.breaker;
        if (threshold.percent == 0) threshold.percent = 100;  // the breaker is disabled
        return FailureRate{TimeWindow<>{options.breaker_window}, threshold};
    }
};

/// The hosts that calls have used last.
///
/// A new host beyond the limit replaces one without calls under way: the one whose last call began
/// first. A host whose breaker is not closed is replaced only if there is no other. The exception
/// is a host without a call that began or ended within a window of the breaker. If each host has
/// calls under way, the new one shares a budget with all others that find no place, and has no
/// breaker.
///
/// Complexity: O(log n) for a known host, O(n) for a new one beyond the limit.
class HttpHosts {
public:
    explicit HttpHosts(const HttpCallsOptions& options) : options_{options} {}

    /// One call to a host; keeps the host in its place. The clock gives the time of its end.
    template <class Clock>
    class Use {
    public:
        Use(HttpHost& host, Clock& clock) noexcept : host_{host}, clock_{clock} {
            ++host_.under_way;
        }
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;
        // A long call may have opened the breaker just now.
        ~Use() {
            --host_.under_way;
            host_.used_at = clock_.now();
        }
        [[nodiscard]] HttpHost& host() const noexcept { return host_; }

    private:
        HttpHost& host_;
        Clock& clock_;
    };

    /// Returns the host of a URL, which stays valid while a Use of it exists.
    /// Throws: std::bad_alloc.
    [[nodiscard]] HttpHost& host_of(std::string_view url, Instant now,
                                    HttpCallsCounters& counters) {
        std::string origin = detail::origin_of(url);
        auto found = hosts_.find(origin);
        if (found == hosts_.end()) {
            if (origin.empty() || !make_place(now, counters)) {
                ++counters.hosts_overflow;
                return overflow_;
            }
            found = hosts_.try_emplace(std::move(origin), options_, true).first;
            counters.hosts = hosts_.size();
        }
        found->second.last_use = ++uses_;
        found->second.used_at = now;
        return found->second;
    }
    /// Returns the host of an origin, or null if it has no place.
    [[nodiscard]] const HttpHost* find(std::string_view url) const {
        const auto found = hosts_.find(detail::origin_of(url));
        return found == hosts_.end() ? nullptr : &found->second;
    }
    /// Returns how many hosts have a breaker in this state.   Complexity: O(n).
    [[nodiscard]] std::size_t count(BreakerState state, Instant now) const {
        std::size_t count = 0;
        for (const auto& [origin, host] : hosts_) {
            if (host.breaker.state(now) == state) ++count;
        }
        return count;
    }

private:
    using Map = std::map<std::string, HttpHost, std::less<>>;

    /// Returns whether the breaker of a host is still needed. An open breaker closes only by calls,
    /// so without a limit of time, hosts that are gone for ever would fill all places.
    [[nodiscard]] bool needs_breaker(const HttpHost& host, Instant now) const {
        const Duration idle_max = detail::larger(options_.breaker_window, options_.breaker_open);
        return host.breaker.state(now) != BreakerState::closed &&
               elapsed(host.used_at, now) <= idle_max;
    }
    bool make_place(Instant now, HttpCallsCounters& counters) {
        if (hosts_.size() < options_.hosts_max) return true;
        auto victim = hosts_.end();
        bool victim_is_needed = false;
        for (auto at = hosts_.begin(); at != hosts_.end(); ++at) {
            if (at->second.under_way != 0) continue;
            const bool is_needed = needs_breaker(at->second, now);
            const bool better =
                victim == hosts_.end() || (victim_is_needed && !is_needed) ||
                (victim_is_needed == is_needed && at->second.last_use < victim->second.last_use);
            if (!better) continue;
            victim = at;
            victim_is_needed = is_needed;
        }
        if (victim == hosts_.end()) return false;
        hosts_.erase(victim);
        ++counters.hosts_evicted;
        return true;
    }

    const HttpCallsOptions& options_;
    Map hosts_{};
    HttpHost overflow_{options_, false};
    std::uint64_t uses_ = 0;
};

}}}  // namespace belay::detail
