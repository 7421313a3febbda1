// SPDX-License-Identifier: MIT
/// \file belay/call/chaos.hpp
/// chaos::Faults, chaos::Layer: faults that are injected into calls on purpose; a layer of a
/// Pipeline.
#pragma once

#include <atomic>        // std::atomic
#include <concepts>      // std::convertible_to
#include <cstdint>       // std::uint32_t, std::uint64_t
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_same_v
#include <utility>       // std::move

#include <belay/call/answer.hpp>
#include <belay/call/attempt.hpp>
#include <belay/call/detail/awaited_call.hpp>
#include <belay/call/retry_observer.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI { namespace chaos {

/// The rates and the forms of injected faults. Without rates nothing is injected.
struct Options {
    /// The number of a thousand calls that fail without being made.
    std::uint32_t failures_per_thousand = 0;
    /// The failure of these calls. Without a code, the error is CallErrc::injected.
    Failure failure{.cause = Cause::lost};
    /// The number of a thousand calls that begin later, by `delay`. A call whose deadline is
    /// earlier fails at its deadline, with std::errc::timed_out. A stop ends the delay, and the
    /// call is not made.
    std::uint32_t delays_per_thousand = 0;
    /// How long a delayed call waits. >= 0ns.
    Duration delay{};
    /// The number of a thousand calls for which the function of the layer answers.
    std::uint32_t results_per_thousand = 0;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is.
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (failures_per_thousand > 1000 || delays_per_thousand > 1000 ||
            results_per_thousand > 1000) {
            return "chaos::Options: a rate must be <= 1000";
        }
        if (delay.count() < 0) return "chaos::Options: the delay must be >= 0ns";
        if (failure.cause == Cause::none) {
            return "chaos::Options: the failure must have a cause";
        }
        return {};
    }
};

/// Counts injected faults.   Thread safety: a plain value.
struct Counters {
    /// Calls that were delayed.
    std::uint64_t delays = 0;
    /// Calls that were replaced by a failure.
    std::uint64_t failures = 0;
    /// Calls that were replaced by a result.
    std::uint64_t results = 0;

    friend constexpr bool operator==(const Counters&, const Counters&) noexcept = default;
};

/// Decides which calls get a fault, for all layers that refer to it. It is off at first.
///
///     chaos::Faults faults{{.failures_per_thousand = 50}, Seed{7}};
///     Pipeline pipeline{Retrying{policy}, Shared{breaker}, chaos::Layer{faults}, Timeout{2s}};
///     faults.switch_on();                       // on any thread, while calls run
///
/// While it is off, a layer costs one load and one branch. The same seed gives the same faults in
/// the order in which calls ask. It cannot be copied or moved, and must outlive its layers.
///
/// Thread safety: any thread.   Blocks: while on, for a few instructions of another caller.
class Faults {
public:
    constexpr Faults() noexcept : Faults{Options{}} {}
    /// Pre: options.check() is empty.
    constexpr explicit Faults(Options options, Seed seed = Seed{1}) noexcept
        : state_{State{options, Random{seed}, {}}} {
        BELAY_OPTION(options.check().empty(), "chaos::Faults: see chaos::Options::check()");
    }

    /// Injects faults from now on.
    void switch_on() noexcept { on_.store(true, std::memory_order_relaxed); }
    /// Injects nothing from now on.
    void switch_off() noexcept { on_.store(false, std::memory_order_relaxed); }
    /// Returns whether faults are injected now.
    [[nodiscard]] bool is_on() const noexcept { return on_.load(std::memory_order_relaxed); }

    /// Replaces the options for the calls that follow.   Pre: options.check() is empty.
    void set(Options options) noexcept {
        BELAY_OPTION(options.check().empty(), "chaos::Faults: see chaos::Options::check()");
        state_.with([&options](State& s) { s.options = options; });
    }
    /// Returns the options in force.
    [[nodiscard]] Options options() const noexcept {
        return state_.with([](const State& s) { return s.options; });
    }
    /// Returns the faults since it was made.
    [[nodiscard]] Counters counters() const noexcept {
        return state_.with([](const State& s) { return s.counters; });
    }

    /// The faults of one call. At most one of `fails` and `answers` is true.
    struct Decision {
        /// Whether the call is delayed.
        bool delays = false;
        /// Whether a failure replaces the call.
        bool fails = false;
        /// Whether a result replaces the call.
        bool answers = false;
        /// How long the delay is.
        Duration delay{};
        /// The failure that replaces it.
        Failure failure{};
    };
    /// Draws the faults of one call, and counts a delay. Pass the decision to `count` when its
    /// failure or result takes effect; `has_answer`: whether results can be injected.
    [[nodiscard]] Decision draw(bool has_answer) noexcept {
        return state_.with([has_answer](State& s) {
            const auto hits = [&s](std::uint32_t per_thousand) {
                return per_thousand != 0 && uniform_upto(s.bits, 999) < per_thousand;
            };
            Decision decision{.delay = s.options.delay, .failure = s.options.failure};
            decision.delays = hits(s.options.delays_per_thousand);
            decision.fails = hits(s.options.failures_per_thousand);
            decision.answers =
                has_answer && !decision.fails && hits(s.options.results_per_thousand);
            s.counters.delays += decision.delays ? 1U : 0U;
            return decision;
        });
    }
    /// Counts the failure or the result of a decision. Do not call it if a deadline or a stop in
    /// the delay ends the call.
    void count(const Decision& decision) noexcept {
        state_.with([&decision](State& s) {
            s.counters.failures += decision.fails ? 1U : 0U;
            s.counters.results += decision.answers ? 1U : 0U;
        });
    }

private:
    struct State {
        Options options;
        Random bits;
        Counters counters;
    };

    std::atomic<bool> on_{false};
    belay::detail::Guarded<State> state_;
};

/// The function of a Layer that injects no results.
struct NoResults {};

/// A layer of a Pipeline that injects delays, failures and results into the inner layers' calls.
///
///     chaos::Layer{faults}
///     chaos::Layer{faults, [] { return Response{.status = 503}; }}   // also results
///
/// Write it inside the layers that are to be tested, so that breakers and retries see the faults. A
/// result of the function is judged like one of the call, and must be of its type. For each fault,
/// the pipeline's observer is notified by `on_injected`, before it takes effect, and the Faults
/// count it. A failure or a result after a delay takes effect at the end of the delay. It does not
/// take effect if a deadline or a stop ends the call before.
///
/// Models:        a layer of Pipeline.
/// Thread safety: that of the function; the Faults serve any thread.
template <class F = NoResults>
class Layer {
public:
    static constexpr std::string_view name = "chaos::Layer";
    /// Whether it can replace calls by results.
    static constexpr bool has_answer = !std::is_same_v<F, NoResults>;

    constexpr explicit Layer(Faults& faults, F fn = {}) : faults_{&faults}, fn_{std::move(fn)} {}

    template <class Next, class Context>
    typename Next::Answer call(const Next& next, Context& context, const Attempt& attempt) const {
        using Answer = typename Next::Answer;
        if (!faults_->is_on()) [[likely]]
            return next(attempt);
        const Faults::Decision decision = decide(context, attempt);
        if (decision.delays) {
            const Instant end = end_of(decision, context, attempt);
            context.sleeper.sleep_until(end, context.stop);
            if (context.stop.stop_requested()) return stopped<Answer>();
            if (end == attempt.deadline) return late<Answer>();
        }
        take_effect(decision, context, attempt);
        if (decision.fails) return failed<Answer>(decision.failure);
        if constexpr (has_answer) {
            if (decision.answers) return answered(next);
        }
        return next(attempt);
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        using Answer = typename Next::Answer;
        if (faults_->is_on()) [[unlikely]] {
            const Faults::Decision decision = decide(context, attempt);
            if (decision.delays) {
                const Instant end = end_of(decision, context, attempt);
                auto waiting = belay::detail::sleeping(context.sleeper, end, context.stop);
                static_cast<void>(co_await std::move(waiting));
                if (context.stop.stop_requested()) co_return stopped<Answer>();
                if (end == attempt.deadline) co_return late<Answer>();
            }
            take_effect(decision, context, attempt);
            if (decision.fails) co_return failed<Answer>(decision.failure);
            if constexpr (has_answer) {
                if (decision.answers) co_return answered(next);
            }
        }
        auto answering = next(attempt);
        co_return co_await std::move(answering);
    }

private:
    template <class Context>
    [[nodiscard]] Faults::Decision decide(Context& context, const Attempt& attempt) const {
        const Faults::Decision decision = faults_->draw(has_answer);
        if (decision.delays) {
            context.injected(Injected{attempt, Injected::Kind::delay});
            // A fault stands for a call, so a Timeout further out counts it as one.
            context.note_call();
        }
        return decision;
    }
    /// Counts and reports the failure or the result, if there is one.
    template <class Context>
    void take_effect(const Faults::Decision& decision, Context& context,
                     const Attempt& attempt) const {
        if (!decision.fails && !decision.answers) return;
        faults_->count(decision);
        const auto kind = decision.fails ? Injected::Kind::failure : Injected::Kind::result;
        context.injected(Injected{attempt, kind});
        context.note_call();  // as for a delay
    }
    template <class Context>
    [[nodiscard]] static Instant end_of(const Faults::Decision& decision, const Context& context,
                                        const Attempt& attempt) {
        const Instant end = after(context.sleeper.now(), decision.delay);
        return end < attempt.deadline ? end : attempt.deadline;
    }
    // The result is judged as if the call had returned it, by fails_if or by its type.
    template <class Next>
    [[nodiscard]] typename Next::Answer answered(const Next& next) const {
        using Answer = typename Next::Answer;
        using Returned = typename decltype(Answer::returned)::value_type;
        using Callable = std::remove_reference_t<decltype(next.fn)>;
        static_assert(std::convertible_to<std::invoke_result_t<const F&>, Returned>,
                      "chaos::Layer: the function must return what the call returns");
        Answer answer = Answer::success(fn_());
        belay::detail::Callee<Callable, Returned>::classify(next.fn, answer);
        return answer;
    }
    // A stop ends waits, and begins no call.
    template <class Answer>
    [[nodiscard]] static Answer stopped() {
        return Answer::reject(CallErrc::stopped, Duration{});
    }
    template <class Answer>
    [[nodiscard]] static Answer late() {
        const std::error_code why = std::make_error_code(std::errc::timed_out);
        return Answer::none(why, Failure::from(why));
    }
    template <class Answer>
    [[nodiscard]] static Answer failed(Failure failure) {
        std::error_code why = failure.error();
        if (!why) {
            why = CallErrc::injected;
            failure.code = why.value();
            failure.category = &why.category();
        }
        return Answer::none(why, failure);
    }

    Faults* faults_;
    [[no_unique_address]] F fn_;
};

}}}  // namespace belay::chaos
