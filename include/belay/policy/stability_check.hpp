// SPDX-License-Identifier: MIT
/// \file belay/policy/stability_check.hpp
/// check::stability and check::reconnection: play many callers, or clients, of a policy against a
/// server in trouble. For tests of policies.
#pragma once

#include <algorithm>    // std::max, std::min, std::push_heap, std::pop_heap, std::max_element
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t, std::uint32_t, std::uint64_t
#include <optional>     // std::optional
#include <string_view>  // std::string_view
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/detail/expect_options.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>
#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace check {

/// The rules for a policy that many callers run against one server.
enum class StabilityRule : std::uint8_t {
    calls_stay_bounded_in_the_outage,
    calls_stay_bounded_at_the_return,
    calls_stay_bounded_in_trouble,
    goodput_returns,
    brown_out_keeps_goodput,
    dials_stay_spread,
    clients_return
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(StabilityRule rule) noexcept {
    switch (rule) {
        case StabilityRule::calls_stay_bounded_in_the_outage:
            return "during an outage, the callers send at most the permitted multiple of the "
                   "offered load";
        case StabilityRule::calls_stay_bounded_at_the_return:
            return "after an outage, the callers send at most the permitted multiple of the "
                   "offered load";
        case StabilityRule::calls_stay_bounded_in_trouble:
            return "during errors, slow answers and a brown-out, the callers send at most the "
                   "permitted multiple of the offered load";
        case StabilityRule::goodput_returns:
            return "goodput is back when the longest wait that the policy planned has passed "
                   "since the end of the outage";
        case StabilityRule::brown_out_keeps_goodput:
            return "goodput in a brown-out is at least the required share of that of one attempt "
                   "per call";
        case StabilityRule::dials_stay_spread:
            return "after the longest wait, the clients dial no more often in a second than if "
                   "each waited half of the longest wait";
        case StabilityRule::clients_return:
            return "99 % of the clients are connected when the longest wait has passed since the "
                   "return of the server";
    }
    return "unknown";
}

/// The callers, the server and its troubles that check::stability plays, and the limits of its
/// rules.
///
/// The phases follow each other: steady, outage, recovery, errors, slow answers, brown-out. Their
/// lengths are whole seconds.
///
/// Thread safety: a plain value.
struct StabilityLoad {
    /// The server, while nothing is wrong and in each of its troubles.
    struct Server {
        /// The calls that it can serve in a second, one after the other.
        std::uint32_t capacity_per_second = 1500;
        /// The longest wait in its queue. It rejects a call at once (Cause::overloaded) that would
        /// wait longer. With `forever` the queue has no bound.
        Duration queue_wait_max = std::chrono::milliseconds{500};
        /// The time that an answer takes in addition to the wait in the queue.
        Duration latency = std::chrono::milliseconds{20};
        /// The failure of calls in the outage. After Cause::timed_out, a call hangs until its
        /// timeout; after any other cause it fails when `latency` has passed.
        Cause outage_cause = Cause::refused;
        /// The share of answers, in thousandths, that are failures (Cause::lost) in the phase with
        /// errors.
        std::uint32_t errors_per_thousand = 100;
        /// The latency in the phase with slow answers.
        Duration slow_latency = std::chrono::milliseconds{400};
        /// The share of the capacity, in thousandths, that is left in the brown-out.
        std::uint32_t brown_out_per_thousand = 100;
    };
    /// The length of each phase.
    struct Phases {
        /// How long the load is served before the first fault.
        Duration steady = std::chrono::seconds{30};
        /// How long the server does not answer.
        Duration outage = std::chrono::seconds{60};
        /// How long it is watched after the last fault.
        Duration recovery = std::chrono::seconds{90};
        /// How long the server answers with errors.
        Duration errors = std::chrono::seconds{20};
        /// How long the server is slow.
        Duration slow = std::chrono::seconds{20};
        /// How long the server answers slowly and seldom.
        Duration brown_out = std::chrono::seconds{30};
    };

    /// The calls that all callers together start in a second.
    std::uint32_t calls_per_second = 1000;
    /// The number of processes among which the calls alternate.
    std::uint32_t processes = 10;
    /// The time after which a caller gives up an attempt, unless its policy requests a shorter one.
    Duration timeout = std::chrono::seconds{1};
    /// The server under load.
    Server server{};
    /// How long each phase takes.
    Phases phases{};
    /// The seed of all random draws.
    Seed seed{1};
    /// The limit of the rules for peaks, in thousandths of the offered load.
    std::uint32_t peak_per_thousand_max = 1300;
    /// The limit of the rule for the brown-out, in thousandths of the goodput of one attempt per
    /// call. Set it to 0 for a policy with a breaker, which rejects calls during a brown-out.
    std::uint32_t brown_out_per_thousand_min = 900;

    /// Returns the sentence on what is wrong with this load; it is empty if nothing is.
    /// Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (calls_per_second < 1 || calls_per_second > 1'000'000) {
            return "StabilityLoad: calls_per_second must be in [1, 1000000]";
        }
        if (processes < 1) return "StabilityLoad: processes must be > 0";
        if (timeout.count() <= 0) return "StabilityLoad: the timeout must be > 0ns";
        if (server.capacity_per_second < 1 || server.capacity_per_second > 100'000'000) {
            return "StabilityLoad: capacity_per_second must be in [1, 100000000]";
        }
        if (server.queue_wait_max.count() < 0 || server.latency.count() <= 0 ||
            server.slow_latency.count() <= 0) {
            return "StabilityLoad: the latencies must be > 0ns, and queue_wait_max >= 0ns";
        }
        if (server.latency > longest || server.slow_latency > longest || timeout > longest) {
            return "StabilityLoad: the latencies and the timeout must be at most 1 h";
        }
        if (server.errors_per_thousand > 1000 || server.brown_out_per_thousand < 1 ||
            server.brown_out_per_thousand > 1000) {
            return "StabilityLoad: errors_per_thousand must be in [0, 1000], and "
                   "brown_out_per_thousand in [1, 1000]";
        }
        for (const Duration phase : {phases.steady, phases.outage, phases.recovery, phases.errors,
                                     phases.slow, phases.brown_out}) {
            if (phase < std::chrono::seconds{0} || phase > longest ||
                phase % std::chrono::seconds{1} != Duration{}) {
                return "StabilityLoad: a phase must be a whole number of seconds, at most 1 h";
            }
        }
        if (phases.recovery < std::chrono::seconds{5}) {
            return "StabilityLoad: the recovery must be at least 5 s";
        }
        return {};
    }

private:
    static constexpr Duration longest = std::chrono::hours{1};
};

/// The results of check::stability.
///
/// Peaks are in thousandths of the offered load. 1000 is the number of calls per second if each
/// call succeeds at once.
///
/// Thread safety: a plain value.
struct StabilityReport {
    /// The load that was played.
    StabilityLoad load{};
    /// The calls of the worst second of the outage.
    std::uint64_t outage_peak_per_thousand = 0;
    /// The calls of the worst second of the recovery.
    std::uint64_t return_peak_per_thousand = 0;
    /// The calls of the worst second with errors, slow answers or a brown-out.
    std::uint64_t trouble_peak_per_thousand = 0;
    /// The time from the return of the server until goodput is back and stays, known to the second.
    /// It is `forever` if goodput is not back at the end of the recovery. Goodput is back when the
    /// calls that succeed in five seconds are at least 90 % of the offered ones.
    Duration back_after{};
    /// The calls that succeeded in the brown-out.
    std::uint64_t brown_out_good = 0;
    /// The calls that would have succeeded in the brown-out with one attempt per call.
    std::uint64_t brown_out_good_once = 0;
    /// The calls that were offered, those that succeeded, and the attempts that were sent.
    std::uint64_t offered = 0;
    /// Calls that ended well.
    std::uint64_t good = 0;
    /// Attempts that reached the server.
    std::uint64_t sent = 0;
    /// The longest time from the start of a call until its end, or until the end of the run.
    Duration longest_call{};
    /// The longest wait for an attempt that the policy advised.
    Duration longest_wait{};
    /// Whether the run ended early, because in one second the callers sent 100 times the offered
    /// load, or 1000 times as many waits ended. The figures are those of the time until then.
    bool ended_early = false;
    /// The attempts that were sent in each second, and the calls that succeeded, for plots.
    std::vector<std::uint32_t> sent_by_second{};
    /// These by second.
    std::vector<std::uint32_t> good_by_second{};

    /// Returns the first rule that the policy breaks, or nothing if it keeps all.
    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr std::optional<StabilityRule> broken() const noexcept {
        if (outage_peak_per_thousand > load.peak_per_thousand_max) {
            return StabilityRule::calls_stay_bounded_in_the_outage;
        }
        if (return_peak_per_thousand > load.peak_per_thousand_max) {
            return StabilityRule::calls_stay_bounded_at_the_return;
        }
        if (trouble_peak_per_thousand > load.peak_per_thousand_max) {
            return StabilityRule::calls_stay_bounded_in_trouble;
        }
        // The time until goodput is back is known to the second.
        if (back_after == forever ||
            back_after > part::saturating_add(longest_wait, std::chrono::seconds{1})) {
            return StabilityRule::goodput_returns;
        }
        if (brown_out_good * 1000 < brown_out_good_once * load.brown_out_per_thousand_min) {
            return StabilityRule::brown_out_keeps_goodput;
        }
        return std::nullopt;
    }
};

/// The clients and the outage that check::reconnection plays.
///
/// Thread safety: a plain value.
struct ReconnectionLoad {
    /// The number of clients, each with one connection.
    std::uint32_t clients = 10'000;
    /// The number of processes among which the clients are divided.
    std::uint32_t processes = 1;
    /// The time from the loss of all connections until the server accepts dials again, in whole
    /// seconds. It must be longer than the longest wait of the policy.
    Duration outage = std::chrono::minutes{10};
    /// The time after the return that is played, in whole seconds.
    Duration recovery = std::chrono::minutes{10};
    /// The time after which a dial succeeds, or fails during the outage.
    Duration latency = std::chrono::milliseconds{20};
    /// The failure of a dial during the outage.
    Cause outage_cause = Cause::refused;
    /// The seed of all random draws.
    Seed seed{1};

    /// Returns the sentence on what is wrong with this load; it is empty if nothing is.
    /// Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (clients < 1 || clients > 1'000'000) {
            return "ReconnectionLoad: clients must be in [1, 1000000]";
        }
        if (processes < 1) return "ReconnectionLoad: processes must be > 0";
        if (latency.count() <= 0 || latency > std::chrono::hours{1}) {
            return "ReconnectionLoad: the latency must be > 0ns, and at most 1 h";
        }
        for (const Duration phase : {outage, recovery}) {
            if (phase < std::chrono::seconds{1} || phase > std::chrono::hours{24} ||
                phase % std::chrono::seconds{1} != Duration{}) {
                return "ReconnectionLoad: the outage and the recovery must be whole seconds, at "
                       "most 24 h";
            }
        }
        return {};
    }
};

/// The results of check::reconnection.
///
/// Thread safety: a plain value.
struct ReconnectionReport {
    /// The load that was played.
    ReconnectionLoad load{};
    /// The longest wait for a dial that the policy advised: its cap, or its open wait.
    Duration longest_wait{};
    /// The dials in the worst second of the outage.
    std::uint64_t first_peak = 0;
    /// The dials in the worst second of the run after the longest wait has passed since the loss.
    std::uint64_t later_peak = 0;
    /// The limit of the rule for `later_peak`: the clients divided by half of the longest wait in
    /// seconds. Five standard deviations are added, because draws differ.
    std::uint64_t later_peak_max = 0;
    /// The dials in the worst second after the return.
    std::uint64_t return_peak = 0;
    /// The time from the return until 99 % of the clients are connected; `forever` if they are not.
    Duration back_after{};
    /// The clients whose policy stopped.
    std::uint64_t gave_up = 0;
    /// The dials of all clients together.
    std::uint64_t dials = 0;
    /// Whether the run ended early, because the clients dialled 100 times each in one second. The
    /// figures are those of the time until then.
    bool ended_early = false;
    /// The dials in each second since the loss, for plots.
    std::vector<std::uint32_t> dials_by_second{};

    /// Returns the first rule that the policy breaks, or nothing if it keeps all.
    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr std::optional<StabilityRule> broken() const noexcept {
        if (later_peak > later_peak_max) return StabilityRule::dials_stay_spread;
        if (back_after == forever ||
            back_after > part::saturating_add(longest_wait, load.latency)) {
            return StabilityRule::clients_return;
        }
        return std::nullopt;
    }
};

}  // namespace check

namespace detail {

/// The phases of a run, in order.
enum class StabilityPhase : std::uint8_t {
    steady,
    outage,
    recovery,
    errors,
    slow,
    brown_out,
    over
};

/// The instant at which each phase begins.
class StabilityTimes {
public:
    explicit StabilityTimes(const check::StabilityLoad::Phases& phases) noexcept {
        const Duration lengths[] = {phases.steady, phases.outage, phases.recovery,
                                    phases.errors, phases.slow,   phases.brown_out};
        Instant t{};
        for (int i = 0; i < 6; ++i) t = starts_[i + 1] = after(t, lengths[i]);
    }
    [[nodiscard]] Instant start(StabilityPhase phase) const noexcept {
        return starts_[static_cast<int>(phase)];
    }
    [[nodiscard]] Instant end(StabilityPhase phase) const noexcept {
        return starts_[static_cast<int>(phase) + 1];
    }
    /// Returns the phase at `now`.   Pre: before the end.
    [[nodiscard]] StabilityPhase at(Instant now) const noexcept {
        int phase = 0;
        while (phase < 6 && starts_[phase + 1] <= now) ++phase;
        return static_cast<StabilityPhase>(phase);
    }

private:
    Instant starts_[7]{};
};

/// When an attempt ends for its caller, and how.
struct StabilityVerdict {
    Instant at;
    Cause cause;  // none: it succeeded
};

/// Answers calls one after the other, and goes on working for callers that gave up.
///
/// The fate of a call is certain when it arrives, so the server needs no events of its own.
class StabilityServer {
public:
    StabilityServer(const check::StabilityLoad& load, const StabilityTimes& times) noexcept
        : server_{load.server}, times_{times}, bits_{Seed{mix64(load.seed.value ^ 0x5E27)}} {}

    /// Takes a call at `now` whose caller waits for at most `limit`.
    [[nodiscard]] StabilityVerdict take(Instant now, Duration limit) noexcept {
        const StabilityVerdict verdict = answer(now);
        const Instant patience = after(now, limit);
        return verdict.at <= patience ? verdict : StabilityVerdict{patience, Cause::timed_out};
    }

private:
    [[nodiscard]] StabilityVerdict answer(Instant now) noexcept {
        const StabilityPhase phase = times_.at(now);
        if (phase == StabilityPhase::outage) {
            free_at_ = times_.end(StabilityPhase::outage);  // what was queued is gone
            if (server_.outage_cause == Cause::timed_out) return {never, Cause::timed_out};
            return {after(now, server_.latency), server_.outage_cause};
        }
        const Instant begins = std::max(now, free_at_);
        if (elapsed(now, begins) > server_.queue_wait_max) {
            return {after(now, server_.latency), Cause::overloaded};
        }
        free_at_ = after(begins, service_time(phase));
        const Instant done =
            after(free_at_, phase == StabilityPhase::slow ? server_.slow_latency : server_.latency);
        const Instant death = times_.start(StabilityPhase::outage);
        if (now < death && done >= death && times_.end(StabilityPhase::outage) > death) {
            return {death, Cause::lost};
        }
        const bool fails = phase == StabilityPhase::errors &&
                           uniform_below(bits_, 1000) < server_.errors_per_thousand;
        return {done, fails ? Cause::lost : Cause::none};
    }
    [[nodiscard]] Duration service_time(StabilityPhase phase) const noexcept {
        constexpr std::int64_t second = Duration{std::chrono::seconds{1}}.count();
        if (phase != StabilityPhase::brown_out) {
            return Duration{second / server_.capacity_per_second};
        }
        return Duration{
            second * 1000 /
            (std::int64_t{server_.capacity_per_second} * server_.brown_out_per_thousand)};
    }

    const check::StabilityLoad::Server server_;
    const StabilityTimes times_;
    Instant free_at_{};
    Random bits_;
};

/// The next step of a call.
enum class StabilityStep : std::uint8_t { call, wait, finished };

/// One call: a copy of the policy, and what it planned. A test compares it with `retry`.
template <class P>
class StabilityCaller {
public:
    StabilityCaller(const P& rules, Instant now) : policy_{rules}, since_{now} {}

    /// `call`: an attempt has begun, and ended() gets its verdict. `wait`: call next() again at
    /// until().
    [[nodiscard]] StabilityStep next(Turn& turn) noexcept {
        if constexpr (HasWanted<P>) {
            if (!held_) policy_.wanted(turn);
            held_ = true;
        }
        Advice advice = policy_.admit(turn.now);
        if (!standing_.allows(turn.now)) advice = stronger(standing_, advice);
        if (advice.allows(turn.now)) {
            advice = policy_.begin(turn);
            if (advice.verb == Advice::Verb::go) {
                held_ = true;
                return StabilityStep::call;
            }
        }
        note(advice, turn.now);
        if (advice.verb == Advice::Verb::stop || advice.until == never) return abandon(turn);
        if (policy_.admit(advice.until).verb == Advice::Verb::stop) return abandon(turn);
        // A rule that rejects until now would be asked for ever.
        until_ =
            advice.until > turn.now ? advice.until : after(turn.now, std::chrono::milliseconds{1});
        return StabilityStep::wait;
    }
    /// Takes the verdict on the attempt. `wait` if there may be another one.
    [[nodiscard]] StabilityStep ended(Cause cause, Turn& turn) noexcept {
        held_ = false;
        if (cause == Cause::none) {
            policy_.succeeded(turn);
            return StabilityStep::finished;
        }
        return plan(policy_.failed(Failure{.cause = cause}, turn), turn);
    }
    /// Loses a connection that was stable. `wait` if there may be a dial.
    [[nodiscard]] StabilityStep lost(Turn& turn) noexcept {
        if (policy_.begin(turn).verb == Advice::Verb::go) policy_.succeeded(turn);
        return plan(policy_.lost(Failure{.cause = Cause::lost}, turn), turn);
    }
    /// Ends the call without a verdict.
    StabilityStep abandon(Turn& turn) noexcept {
        if (held_) policy_.abandoned(turn);
        held_ = false;
        return StabilityStep::finished;
    }

    [[nodiscard]] Instant since() const noexcept { return since_; }
    [[nodiscard]] Instant until() const noexcept { return until_; }
    [[nodiscard]] Duration longest_wait() const noexcept { return longest_wait_; }
    [[nodiscard]] Duration attempt_limit(Duration otherwise) const noexcept {
        return std::min(policy_.attempt_limit(otherwise), otherwise);
    }

private:
    // The stop of a rule with FailFast has an instant, too: the next caller may begin then.
    void note(const Advice& advice, Instant now) noexcept {
        if (advice.verb == Advice::Verb::go || advice.until == never) return;
        longest_wait_ = std::max(longest_wait_, elapsed(now, advice.until));
    }
    [[nodiscard]] StabilityStep plan(const Advice& advice, Turn& turn) noexcept {
        standing_ = advice;
        note(advice, turn.now);
        if (advice.verb == Advice::Verb::stop) return StabilityStep::finished;
        held_ = true;
        return StabilityStep::wait;
    }

    P policy_;
    Instant since_;
    Instant until_ = always;
    Advice standing_{};
    Duration longest_wait_{};
    bool held_ = false;  // wanted, begun or planned: the policy waits for the end
};

/// The rule of a caller that makes one attempt, with which brown-outs are compared.
struct OneAttempt {
    [[nodiscard]] Advice failed(const Failure&, Turn&) noexcept { return Advice::stop(); }
};

/// The coming events of the calls or connections of a run, the earliest first.
class StabilityEvents {
public:
    explicit StabilityEvents(Instant end) noexcept : end_{end} {}

    struct Event {
        Instant at;
        std::uint64_t order;  // its number, so that ties end as they began, and the call's index

        [[nodiscard]] std::uint32_t index() const noexcept {
            return static_cast<std::uint32_t>(order);
        }
        [[nodiscard]] bool operator<(const Event& other) const noexcept {
            return at != other.at ? at > other.at : order > other.order;
        }
    };

    /// Adds an event, except at or after the end of the run.
    void push(Instant at, std::uint32_t index) {
        if (at >= end_) return;
        events_.push_back(Event{at, numbers_++ << 32 | index});
        std::push_heap(events_.begin(), events_.end());
    }
    [[nodiscard]] bool due(Instant now) const noexcept {
        return !events_.empty() && events_.front().at <= now;
    }
    /// Pre: an event is due.
    [[nodiscard]] Event pop() {
        std::pop_heap(events_.begin(), events_.end());
        const Event event = events_.back();
        events_.pop_back();
        return event;
    }

private:
    Instant end_;
    std::vector<Event> events_;
    std::uint64_t numbers_ = 0;
};

/// Returns the number of the second that holds `t`.
[[nodiscard]] inline std::int64_t second_of(Instant t) noexcept {
    return t.time_since_epoch() / std::chrono::seconds{1};
}

/// Returns the largest count of the seconds in [from, to).
[[nodiscard]] inline std::uint64_t peak_of(const std::vector<std::uint32_t>& by_second,
                                           std::int64_t from, std::int64_t to) noexcept {
    const auto at = [&](std::int64_t second) {
        return by_second.begin() + static_cast<std::ptrdiff_t>(second);
    };
    return from < to ? *std::max_element(at(from), at(to)) : 0;
}

/// Plays one run: the calls arrive, are sent, wait and end, in the order of time.
///
/// Each call that is under way has exactly one event: its verdict, or the end of its wait.
template <class P>
class StabilityModel {
public:
    StabilityModel(const check::StabilityLoad& load, const std::vector<const P*>& policies)
        : policies_{policies},
          times_{load.phases},
          server_{load, times_},
          arrivals_{Seed{mix64(load.seed.value ^ 0xA221)}},
          draws_{Seed{mix64(load.seed.value ^ 0xD2A3)}},
          events_{end()} {
        report_.load = load;
        const auto seconds = static_cast<std::size_t>(second_of(end()));
        report_.sent_by_second.resize(seconds);
        report_.good_by_second.resize(seconds);
    }

    [[nodiscard]] check::StabilityReport play() {
        Instant arrival{};
        while (!report_.ended_early) {
            arrival = after(arrival, gap());
            while (events_.due(arrival) && !report_.ended_early) handle(events_.pop());
            if (report_.ended_early) break;
            if (arrival >= end()) break;
            begin(arrival);
        }
        finish();
        return std::move(report_);
    }

private:
    struct Call {
        StabilityCaller<P> caller;
        Cause verdict = Cause::none;
        bool sent = false;
        bool over = false;
    };

    [[nodiscard]] Instant end() const noexcept { return times_.start(StabilityPhase::over); }
    // Gaps are uniform and not exponential, because that needs no logarithm.
    [[nodiscard]] Duration gap() noexcept {
        const std::uint64_t twice = 2'000'000'000U / report_.load.calls_per_second;
        return Duration{static_cast<std::int64_t>(uniform_upto(arrivals_, twice))};
    }

    void begin(Instant now) {
        const P& policy = *policies_[report_.offered++ % policies_.size()];
        std::uint32_t index = 0;
        if (free_.empty()) {
            index = static_cast<std::uint32_t>(calls_.size());
            calls_.push_back(Call{StabilityCaller<P>{policy, now}});
        } else {
            index = free_.back();
            free_.pop_back();
            calls_[index] = Call{StabilityCaller<P>{policy, now}};
        }
        advance(index, now);
    }
    void handle(const StabilityEvents::Event& event) {
        const std::int64_t second = second_of(event.at);
        steps_ = second == step_second_ ? steps_ + 1 : 0;
        step_second_ = second;
        if (steps_ >= std::uint64_t{report_.load.calls_per_second} * 1000) {
            report_.ended_early = true;
        }
        const std::uint32_t index = event.index();
        Call& call = calls_[index];
        if (call.sent) {
            call.sent = false;
            Turn turn{event.at, draws_};
            if (call.verdict == Cause::none) count(report_.good_by_second, event.at, report_.good);
            if (call.caller.ended(call.verdict, turn) == StabilityStep::finished) {
                return close(index, event.at);
            }
        }
        advance(index, event.at);
    }
    void advance(std::uint32_t index, Instant now) {
        Call& call = calls_[index];
        Turn turn{now, draws_};
        switch (call.caller.next(turn)) {
            case StabilityStep::finished:
                return close(index, now);
            case StabilityStep::wait:
                return events_.push(call.caller.until(), index);
            case StabilityStep::call:
                break;
        }
        const std::uint64_t most = std::uint64_t{report_.load.calls_per_second} * 100;
        if (count(report_.sent_by_second, now, report_.sent) >= most) report_.ended_early = true;
        const StabilityVerdict verdict =
            server_.take(now, call.caller.attempt_limit(report_.load.timeout));
        call.sent = true;
        call.verdict = verdict.cause;
        events_.push(verdict.at, index);
    }
    void close(std::uint32_t index, Instant now) {
        Call& call = calls_[index];
        call.over = true;
        report_.longest_call = std::max(report_.longest_call, elapsed(call.caller.since(), now));
        report_.longest_wait = std::max(report_.longest_wait, call.caller.longest_wait());
        free_.push_back(index);
    }

    // Permits go back before their objects are destroyed.
    void finish() {
        for (std::uint32_t i = 0; i < calls_.size(); ++i) {
            if (calls_[i].over) continue;
            Turn turn{end(), draws_};
            calls_[i].caller.abandon(turn);
            close(i, end());
        }
        report_.outage_peak_per_thousand = peak(StabilityPhase::outage, StabilityPhase::recovery);
        report_.return_peak_per_thousand = peak(StabilityPhase::recovery, StabilityPhase::errors);
        report_.trouble_peak_per_thousand = peak(StabilityPhase::errors, StabilityPhase::over);
        report_.back_after = back_after();
        for (std::int64_t s = second_of(times_.start(StabilityPhase::brown_out));
             s < second_of(end()); ++s) {
            report_.brown_out_good += report_.good_by_second[static_cast<std::size_t>(s)];
        }
    }
    [[nodiscard]] std::uint64_t peak(StabilityPhase from, StabilityPhase to) const noexcept {
        return peak_of(report_.sent_by_second, second_of(times_.start(from)),
                       second_of(times_.start(to))) *
               1000 / report_.load.calls_per_second;
    }
    [[nodiscard]] Duration back_after() const noexcept {
        if (report_.ended_early) return forever;
        constexpr std::int64_t window = 5;
        const std::uint64_t enough = std::uint64_t{report_.load.calls_per_second} * window * 9 / 10;
        const std::int64_t from = second_of(times_.start(StabilityPhase::recovery));
        const std::int64_t last = second_of(times_.end(StabilityPhase::recovery)) - window;
        for (std::int64_t s = last; s >= from; --s) {
            std::uint64_t good = 0;
            for (std::int64_t i = s; i < s + window; ++i) {
                good += report_.good_by_second[static_cast<std::size_t>(i)];
            }
            if (good < enough) {
                return s == last ? forever : Duration{std::chrono::seconds{s + 1 - from}};
            }
        }
        return {};
    }

    std::uint32_t count(std::vector<std::uint32_t>& by_second, Instant now,
                        std::uint64_t& all) noexcept {
        ++all;
        return ++by_second[static_cast<std::size_t>(second_of(now))];
    }

    const std::vector<const P*> policies_;
    const StabilityTimes times_;
    StabilityServer server_;
    Random arrivals_;
    Random draws_;
    check::StabilityReport report_{};
    StabilityEvents events_;
    std::vector<Call> calls_;
    std::vector<std::uint32_t> free_;
    std::uint64_t steps_ = 0;  // the events of this second
    std::int64_t step_second_ = 0;
};

/// Plays the calls of policies of one type, and those of one attempt per call for comparison.
template <class P>
[[nodiscard]] check::StabilityReport play_calls(const check::StabilityLoad& load,
                                                const std::vector<const P*>& policies) {
    check::StabilityReport report = StabilityModel<P>{load, policies}.play();
    const Policy once{OneAttempt{}};
    report.brown_out_good_once =
        StabilityModel<Policy<OneAttempt>>{load, {&once}}.play().brown_out_good;
    return report;
}

/// Returns the largest number whose square is at most `square`.   Complexity: O(log square).
[[nodiscard]] constexpr std::uint64_t root_of(std::uint64_t square) noexcept {
    std::uint64_t root = 0;
    for (std::uint64_t bit = std::uint64_t{1} << 31; bit != 0; bit /= 2) {
        if ((root + bit) * (root + bit) <= square) root += bit;
    }
    return root;
}

/// Plays one run: all connections are lost at once, and the clients dial until they are connected.
template <class P>
class ReconnectionModel {
public:
    ReconnectionModel(const check::ReconnectionLoad& load, const std::vector<const P*>& policies)
        : return_{after(Instant{}, load.outage)},
          end_{after(return_, load.recovery)},
          draws_{Seed{mix64(load.seed.value ^ 0xD1A1)}},
          events_{end_} {
        report_.load = load;
        report_.back_after = forever;
        report_.dials_by_second.resize(static_cast<std::size_t>(second_of(end_)));
        clients_.reserve(load.clients);
        for (std::uint32_t i = 0; i < load.clients; ++i) {
            clients_.push_back(
                Client{StabilityCaller<P>{*policies[i % policies.size()], Instant{}}});
        }
    }

    [[nodiscard]] check::ReconnectionReport play() {
        for (std::uint32_t i = 0; i < clients_.size(); ++i) {
            Turn turn{Instant{}, draws_};
            follow(i, clients_[i].caller.lost(turn), turn);
        }
        while (events_.due(end_) && !report_.ended_early) {
            const StabilityEvents::Event event = events_.pop();
            Turn turn{event.at, draws_};
            handle(event.index(), turn);
        }
        finish();
        return std::move(report_);
    }

private:
    struct Client {
        StabilityCaller<P> caller;
        bool dialling = false;
        bool over = false;  // connected, or it gave up
    };

    void handle(std::uint32_t index, Turn& turn) {
        Client& client = clients_[index];
        if (!client.dialling) return follow(index, StabilityStep::wait, turn);
        client.dialling = false;
        if (turn.now < after(return_, report_.load.latency)) {
            return follow(index, client.caller.ended(report_.load.outage_cause, turn), turn);
        }
        static_cast<void>(client.caller.ended(Cause::none, turn));
        close(client);
        if (++connected_ * 100 >= clients_.size() * 99 && report_.back_after == forever) {
            report_.back_after = elapsed(return_, turn.now);
        }
    }
    // `wait`: the client asks its policy.
    void follow(std::uint32_t index, StabilityStep step, Turn& turn) {
        Client& client = clients_[index];
        if (step == StabilityStep::wait) step = client.caller.next(turn);
        if (step == StabilityStep::finished) {
            ++report_.gave_up;
            return close(client);
        }
        if (step == StabilityStep::wait) return events_.push(client.caller.until(), index);
        client.dialling = true;
        ++report_.dials;
        const auto second = static_cast<std::size_t>(second_of(turn.now));
        const std::uint64_t most = std::uint64_t{report_.load.clients} * 100;
        if (++report_.dials_by_second[second] >= most) report_.ended_early = true;
        events_.push(after(turn.now, report_.load.latency), index);
    }
    void close(Client& client) noexcept {
        client.over = true;
        report_.longest_wait = std::max(report_.longest_wait, client.caller.longest_wait());
    }

    void finish() {
        for (Client& client : clients_) {
            if (client.over) continue;
            Turn turn{end_, draws_};
            client.caller.abandon(turn);
            close(client);
        }
        if (report_.ended_early) report_.back_after = forever;
        const std::int64_t from =
            std::min(second_of(after(Instant{}, report_.longest_wait)) + 1, second_of(end_));
        const std::vector<std::uint32_t>& dials = report_.dials_by_second;
        report_.first_peak = peak_of(dials, 0, second_of(return_));
        report_.later_peak = peak_of(dials, from, second_of(end_));
        report_.return_peak = peak_of(dials, second_of(return_), second_of(end_));
        // In tenths of a second, so that waits of less than a second count, too. Rounded up.
        const auto tenths = static_cast<std::uint64_t>(
            std::max<std::int64_t>(report_.longest_wait / std::chrono::milliseconds{100}, 1));
        const std::uint64_t mean = (std::uint64_t{report_.load.clients} * 20 + tenths - 1) / tenths;
        report_.later_peak_max = mean + 5 * root_of(mean);
    }

    const Instant return_;
    const Instant end_;
    Random draws_;
    check::ReconnectionReport report_{};
    StabilityEvents events_;
    std::vector<Client> clients_;
    std::uint64_t connected_ = 0;
};

/// Calls `play` with the policies of the processes, or with one policy for all.
template <class PolicyOrMake, class Play>
[[nodiscard]] auto with_policies(PolicyOrMake& policy_or_make, std::uint32_t count, Play&& play) {
    if constexpr (requires { policy_or_make()->policy(); }) {
        using Process = decltype(policy_or_make());
        using P = AsPolicy<std::remove_cvref_t<decltype(std::declval<Process&>()->policy())>>;
        std::vector<Process> processes;
        std::vector<P> policies;
        processes.reserve(count);
        policies.reserve(count);
        for (std::uint32_t i = 0; i < count; ++i) {
            processes.push_back(policy_or_make());
            policies.push_back(as_policy(processes.back()->policy()));
        }
        std::vector<const P*> pointers;
        for (const P& policy : policies) pointers.push_back(&policy);
        return play(pointers);
    } else {
        static_assert(explain::rule_like<PolicyOrMake>());
        const auto policy = as_policy(std::move(policy_or_make));
        using P = std::remove_cvref_t<decltype(policy)>;
        return play(std::vector<const P*>{&policy});
    }
}

}  // namespace detail

namespace check {

/// Plays many callers of a policy against a model of a server in trouble, in virtual time.
///
///     const auto report = check::stability(Policy{Backoff{FullJitter{}, Cap{5s}, 100ms},
///                                                 Shared{budget}, MaxAttempts{4}});
///     if (report.broken()) std::puts(to_string(*report.broken()));
///
/// Each call runs a copy of the policy, as `retry` does. All callers use the objects of its Shared
/// rules, and leave them as they are at the end of the run. To play several processes, each with
/// objects of its own, pass a function instead. It returns a pointer to a new object, whose
/// `policy()` returns the policy. It is called `load.processes` times:
///
///     struct Process {
///         TokenBudget budget{TokenBudgetOptions::aws()};
///         auto policy() { return Policy{Shared{budget}, MaxAttempts{3}}; }
///     };
///     const auto report = check::stability([] { return std::make_unique<Process>(); });
///
/// The server has a capacity, a queue and a latency. After a steady time it is dead, and then it
/// returns. After the recovery follow errors at a rate, slow answers, and a brown-out with little
/// capacity. The server goes on working for callers that gave up. The page
/// docs/explanation/stability.md describes the model.
///
/// The same policy, load and seed give the same report on every platform, because the model uses
/// integers only.
///
/// Pre:        load.check() is empty.
/// Errors:     the report's broken().   Throws: std::bad_alloc; what the function throws.
/// Allocates:  a copy of the policy for each call that is under way at once, and the report.
/// Complexity: O(n log m) for n attempts, and m calls that are under way at once.
template <class PolicyOrMake>
[[nodiscard]] StabilityReport stability(PolicyOrMake policy_or_make,
                                        const StabilityLoad& load = {}) {
    belay::detail::expect_options(load.check(), {});
    return belay::detail::with_policies(policy_or_make, load.processes, [&](const auto& policies) {
        return belay::detail::play_calls(load, policies);
    });
}

/// Plays many clients of a server, each of which keeps one connection, in virtual time.
///
///     const auto report = check::reconnection(policies::connection());
///     if (report.broken()) std::puts(to_string(*report.broken()));
///
/// All connections are lost at once. The server refuses dials for the outage, and then accepts all.
/// Each client runs a copy of the policy, as a Supervisor does. A function instead of the policy
/// has the same meaning as for check::stability.
///
/// Pre:        load.check() is empty.
/// Errors:     the report's broken().   Throws: std::bad_alloc; what the function throws.
/// Allocates:  a copy of the policy for each client, and the report.
/// Complexity: O(n log m) for n dials of m clients.
template <class PolicyOrMake>
[[nodiscard]] ReconnectionReport reconnection(PolicyOrMake policy_or_make,
                                              const ReconnectionLoad& load = {}) {
    belay::detail::expect_options(load.check(), {});
    return belay::detail::with_policies(
        policy_or_make, load.processes, [&]<class P>(const std::vector<const P*>& policies) {
            return belay::detail::ReconnectionModel<P>{load, policies}.play();
        });
}

}  // namespace check

}}  // namespace belay
