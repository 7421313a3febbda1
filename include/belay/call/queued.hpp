// SPDX-License-Identifier: MIT
/// \file belay/call/queued.hpp
/// Queued: waits in a queue for a Bulkhead or a RateLimiter; a layer of a Pipeline.
#pragma once

#include <concepts>      // std::same_as
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <system_error>  // std::errc
#include <type_traits>   // std::is_reference_v, std::remove_cvref_t
#include <utility>       // std::move

#include <belay/call/answer.hpp>
#include <belay/call/bulkhead.hpp>
#include <belay/call/detail/awaited_call.hpp>
#include <belay/call/detail/wait_queue.hpp>
#include <belay/call/rate_limiter.hpp>
#include <belay/core/detail/arguments.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Takes a permit of a bulkhead or limiter for each call, and waits in its queue if there is none.
///
/// If the queue is full, the call is rejected.
///
///     Queued{bulkhead}
///     Queued{limiter}
///     Queued{limiter, 20}   // 20 permits for each call, all at once
///
/// Callers are served in the order in which they arrive, and none overtakes another. A waiting
/// caller is woken when it is its turn, whether it blocks or is a coroutine. A stop, a deadline and
/// the end of a coroutine end the wait, and the callers after it move up. A stop from a StopToken
/// takes effect at once; any other token is checked every 10 ms.
///
/// A call gets a permit only if at least half of its limit is left, see Timeout::counts_after, and
/// at least the time that recent calls of this object took. The wait ends when less would be left.
/// If that is before the caller's turn, as the queue stands, it ends at its beginning. For a
/// bulkhead, the turn is not known in advance. So use an object of its own for calls that take much
/// longer than others. A request for more permits than the limiter's burst ends in
/// std::errc::invalid_argument.
///
/// The object to which it refers must outlive it.   Thread safety: distinct objects safe.
template <class Object>
class Queued {
public:
    static constexpr bool holds_permit = true;

private:
    static constexpr bool is_limiter = std::same_as<Object, RateLimiter>;
    static_assert(is_limiter || std::same_as<Object, Bulkhead>,
                  "Queued: the object must be a Bulkhead or a RateLimiter");

public:
    /// Pre: the object has a queue: its `queue` is > 0.
    constexpr explicit Queued(Object& object) noexcept : object_{&object} {
        BELAY_OPTION(has_queue(object), queue_needed);
    }
    /// Pre: permits >= 1; the object has a queue.
    constexpr Queued(Object& object, detail::AnyCount<std::uint64_t> permits) noexcept
        : object_{&object}, permits_{permits} {
        static_assert(is_limiter,
                      "Queued: a call takes one permit of a Bulkhead: Queued{bulkhead}. Only a "
                      "RateLimiter gives several");
        BELAY_OPTION(permits_ >= 1, "Queued: the permits of each call must be >= 1");
        BELAY_OPTION(has_queue(object), queue_needed);
    }

    /// Does not compile, because a temporary would be destroyed at once.
    constexpr explicit Queued(Object&& object) noexcept : Queued{object} {
        static_assert(!sizeof(Object),
                      "Queued: the bulkhead or limiter must be a variable that outlives it, and "
                      "not a temporary");
    }

    /// Returns 1 if both wait for the same object, else 0.
    [[nodiscard]] constexpr std::size_t places_of(const Queued& other) const noexcept {
        return object_ == other.object_ ? 1 : 0;
    }

    template <class Next, class Context>
    typename Next::Answer call(const Next& next, Context& context, const Attempt& attempt) const {
        Wait<typename Next::Answer, Context> wait{*this, context, attempt};
        while (wait.goes_on()) context.sleeper.sleep_until(wait.until(), wait.token());
        if (!wait.permit) return std::move(*wait.rejection);
        typename Next::Answer answer = next(attempt);
        wait.end(answer);
        return answer;
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        Wait<typename Next::Answer, Context> wait{*this, context, attempt};
        while (wait.goes_on()) {
            decltype(auto) sleep = context.sleeper.async_sleep_until(wait.until(), wait.token());
            decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(sleep)>(sleep));
            co_await awaiter;
        }
        if (!wait.permit) co_return std::move(*wait.rejection);
        auto answering = next(attempt);
        typename Next::Answer answer = co_await std::move(answering);
        wait.end(answer);
        co_return answer;
    }

private:
    using Waiter = typename Object::Waiter;
    using Permit = typename Object::Permit;
    using WaitState = detail::WaitAnswer::WaitState;

    static constexpr const char* queue_needed =
        "Queued: the bulkhead or limiter must have a queue > 0; without a queue write "
        "Shared{object}";
    [[nodiscard]] static constexpr bool has_queue(const Object& object) noexcept {
        if constexpr (is_limiter) {
            return object.queue_ > 0;
        } else {
            return object.options_.queue > 0;
        }
    }

    // One caller's way through the queue. Afterwards there is a permit or a rejection. It also
    // measures the call. Without an answer, the deadline has ended that.
    template <class Answer, class Context>
    class Wait {
    public:
        Wait(const Queued& queued, Context& context, const Attempt& attempt) noexcept
            : object_{*queued.object_},
              context_{context},
              attempt_{attempt},
              waiter_{queued.waiter()} {
            context_.is_queued = true;
        }
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;
        ~Wait() { note_late(); }

        // Whether to sleep until `until`, or until a stop of `token`, and then ask again.
        [[nodiscard]] bool goes_on() {
            // First, so that no stop and no call that comes from now on is lost.
            waiter_.wake().rearm();
            if (stop_ && context_.stop.stop_requested()) {
                rejection.emplace(Answer::reject(CallErrc::stopped, Duration{}));
                return false;
            }
            const Instant now = context_.sleeper.now();
            const Instant latest =
                context_.latest(attempt_.deadline, object_.answer_time_.recent());
            const detail::WaitAnswer answer = waiter_.ask(now, permit);
            switch (answer.state) {
                case WaitState::granted:
                    // The place is for a call that has enough time.
                    if (now <= latest && now < attempt_.deadline) {
                        asked_ = context_.asked;
                        began_ = now;
                        return false;
                    }
                    permit = {};
                    return reject(Advice::suspend(now), std::make_error_code(std::errc::timed_out),
                                  {});
                case WaitState::rejected:
                    return reject(Advice::suspend(answer.wake_at), CallErrc::call_rejected,
                                  elapsed(now, answer.wake_at));
                case WaitState::hopeless:
                    return reject(Advice::stop(), std::make_error_code(std::errc::invalid_argument),
                                  {});
                case WaitState::waits:
                case WaitState::first:
                    break;
            }
            if (answer.earliest > latest || now >= latest) {
                return reject(Advice::suspend(answer.earliest > now ? answer.earliest : now),
                              std::make_error_code(std::errc::timed_out),
                              elapsed(now, answer.earliest));
            }
            if (!stop_) stop_.emplace(context_.stop, waiter_.wake());
            token_ = waiter_.wake().token();
            until_ = Stop::slice(now, detail::smaller(answer.wake_at, latest));
            return true;
        }
        // Learns from the end of the call how long calls take.
        template <class Result>
        void end(const Result& answer) noexcept {
            if (answer.worked() && attempt_.deadline != never) {
                object_.answer_time_.answered(elapsed(began_, context_.sleeper.now()));
            } else if (!answer.worked() && answer.failure->cause == Cause::timed_out) {
                note_late();
            }
            began_ = never;
        }
        [[nodiscard]] Instant until() const noexcept { return until_; }
        [[nodiscard]] const StopToken& token() const noexcept { return token_; }

        Permit permit{};
        std::optional<Answer> rejection{};

    private:
        using Stop = detail::WaitStop<std::remove_cvref_t<decltype(std::declval<Context&>().stop)>>;

        void note_late() noexcept {
            if (began_ == never || context_.asked == asked_) return;
            if (context_.sleeper.now() < attempt_.deadline) return;
            object_.answer_time_.cut_short(elapsed(began_, attempt_.deadline));
        }
        [[nodiscard]] bool reject(Advice advice, const std::error_code& why, Duration wait) {
            advice.by = Object::name;
            context_.rejected(attempt_, advice);
            rejection.emplace(Answer::reject(why, wait));
            return false;
        }

        Object& object_;
        Context& context_;
        const Attempt attempt_;
        std::uint64_t asked_ = 0;  // the calls before this one
        Instant began_ = never;    // while the call is under way
        // The order matters: the members that could wake the waiter, and its tokens, are destroyed
        // before it.
        Waiter waiter_;
        std::optional<Stop> stop_{};
        StopToken token_{};
        Instant until_ = always;
    };

    [[nodiscard]] Waiter waiter() const noexcept {
        if constexpr (is_limiter) {
            return Waiter{*object_, permits_};
        } else {
            return Waiter{*object_};
        }
    }

    Object* object_;
    std::uint64_t permits_ = 1;
};

template <class Object>
Queued(Object&) -> Queued<Object>;
template <class Object>
    requires(!std::is_reference_v<Object>)
Queued(Object&&) -> Queued<Object>;
template <class Object>
Queued(Object&, detail::AnyCount<std::uint64_t>) -> Queued<Object>;

}}  // namespace belay
