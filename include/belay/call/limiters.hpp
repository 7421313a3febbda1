// SPDX-License-Identifier: MIT
/// \file belay/call/limiters.hpp
/// RateLimiter: limits the calls per time. Bulkhead: limits concurrent calls, so that one slow peer
/// cannot block everything. Both serve many callers and threads, which may wait in order of
/// arrival.
#pragma once

#include <atomic>       // std::atomic
#include <concepts>     // std::integral
#include <cstdint>      // std::uint64_t, std::uint32_t, std::uint8_t
#include <limits>       // std::numeric_limits
#include <string_view>  // std::string_view

#include <belay/budget/detail/rate_state.hpp>
#include <belay/core/assert.hpp>
#include <belay/core/detail/arguments.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/core/stop_source.hpp>
#include <belay/policy/detail/permit.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Counts what happened to the callers of a RateLimiter or a Bulkhead since it was made.
///
/// No number ever falls. Calls of `admit` are not counted. A `retry` and a Supervisor report an
/// attempt that was due, and that the check of a Shared rule rejected, by `rejected()`.
/// Thread safety: a plain value.
struct PermitCounters {
    std::uint64_t admitted = 0;  ///< callers that got what they requested
    std::uint64_t rejected = 0;  ///< callers that were rejected, some because the queue was full
    std::uint64_t waited = 0;    ///< callers that entered the queue
    std::uint64_t left = 0;      ///< callers that left the queue without a permit

    friend constexpr bool operator==(const PermitCounters&,
                                     const PermitCounters&) noexcept = default;
};

template <class Object>
class Queued;

namespace detail {

/// The ticket of one waiting caller. It is on the stack of a blocking caller, or in the frame of a
/// coroutine. It cannot be moved.
struct WaitTicket {
    WaitTicket* next = nullptr;
    WaitTicket* previous = nullptr;
    bool is_queued = false;
    /// Whether the caller was woken: it has its permit, or is now first.
    bool is_called = false;
    /// Wakes the caller.
    LocalStop wake;
};

/// A first-in, first-out queue of tickets. Call every function under the lock of its owner.
class WaitQueue {
public:
    constexpr WaitQueue() noexcept = default;

    [[nodiscard]] constexpr WaitTicket* first() const noexcept { return tickets_.front(); }

    void join(WaitTicket& ticket) noexcept {
        BELAY_INVARIANT(!ticket.is_queued, "WaitQueue::join: the waiter must not be in the queue");
        tickets_.push(ticket);
        ticket.is_queued = true;
    }
    void leave(WaitTicket& ticket) noexcept {
        BELAY_INVARIANT(ticket.is_queued, "WaitQueue::leave: the waiter must be in the queue");
        tickets_.remove(ticket);
        ticket.is_queued = false;
    }
    /// Wakes the first caller. Its ticket cannot disappear before the lock is released, because it
    /// leaves under the lock.
    void call_first() noexcept {
        if (first() != nullptr && !first()->is_called) wake_first();
    }

    /// Wakes the first caller, also if it waits until its time has come, to ask again.
    void wake_first() noexcept {
        if (first() == nullptr) return;
        first()->is_called = true;
        first()->wake.request_stop();
    }

private:
    IntrusiveList<WaitTicket> tickets_;
};

/// The state of a waiting caller, returned each time that it asks.
struct WaitAnswer {
    enum class WaitState : std::uint8_t {
        granted,   ///< it has its permit
        waits,     ///< it waits until it is woken
        first,     ///< it waits until `wake_at`, or until it is woken because the limit has changed
        rejected,  ///< the queue is full; ask again at `wake_at`
        hopeless   ///< it asks for more than there can ever be
    };
    WaitState state;
    Instant wake_at = belay::never;
    /// The earliest possible time, as things stand.
    Instant earliest = always;
};

/// The time that the calls of an object take, as far as their ends have shown. Lock-free.
///
/// It rises at once and falls slowly, so it stays near the longest of the recent calls. A call that
/// was late although it had only a part of its limit needs longer than that.
class AnswerTime {
public:
    /// Returns 0ns until a call has ended.
    [[nodiscard]] Duration recent() const noexcept {
        return Duration{Duration::rep{units_.load(std::memory_order_relaxed)} << unit_bits};
    }
    void answered(Duration took) noexcept {
        const Duration most = recent();
        store(took > most ? took : most - (most - took) / 8);
    }
    void cut_short(Duration had) noexcept {
        const Duration longer = had > forever / 2 ? forever : had + had / 4;
        if (longer > recent()) store(longer);
    }

private:
    // 65 microseconds, so that 32 bits last for 281 s.
    static constexpr int unit_bits = 16;

    // If two threads store at once, one of the calls has no effect.
    void store(Duration time) noexcept {
        constexpr Duration::rep most = std::numeric_limits<std::uint32_t>::max();
        const Duration::rep units = (time.count() >> unit_bits) + 1;
        units_.store(static_cast<std::uint32_t>(units < most ? units : most),
                     std::memory_order_relaxed);
    }

    std::atomic<std::uint32_t> units_{0};
};

/// The part of a RateLimiter and a Bulkhead that counts callers and holds those that wait in order.
class Limiter {
public:
    /// Counts an attempt that a Shared rule's check of this object rejected.
    void rejected() noexcept { count(rejected_); }
    /// Returns the counts, which are exact when no caller asks; numbers may lag behind each other.
    ///
    /// An admitted caller counts once, however many calls it requested.   Errors: none.
    [[nodiscard]] PermitCounters counters() const noexcept {
        return {admitted_.load(std::memory_order_relaxed),
                rejected_.load(std::memory_order_relaxed), waited_.load(std::memory_order_relaxed),
                left_.load(std::memory_order_relaxed)};
    }

protected:
    using Count = std::atomic<std::uint64_t>;

    constexpr explicit Limiter(std::uint32_t queue) noexcept : queue_{queue} {}
    constexpr ~Limiter() = default;
    static void count(Count& callers) noexcept { callers.fetch_add(1, std::memory_order_relaxed); }

    template <class Object>
    friend class belay::Queued;

    WaitQueue waiters_;          // under mutex_
    const std::uint32_t queue_;  // the number of callers that may wait
    AnswerTime answer_time_;
    mutable SpinMutex mutex_;
    Count waited_{0};
    Count left_{0};
    Count rejected_{0};
    Count admitted_{0};  // last, near what a grant changes
};

/// A caller that may wait in the queue of a Limiter. Its destructor leaves the queue, and passes on
/// what it was given.
template <class Owner>
class LimitedCaller {
public:
    LimitedCaller(Owner& owner, std::uint64_t calls) noexcept : calls_{calls}, owner_{owner} {}
    ~LimitedCaller() {
        if (has_queued_) owner_.leave(*this);
    }

    /// Requests a permit, first without waiting.
    [[nodiscard]] WaitAnswer ask(Instant now, typename Owner::Permit& permit) noexcept {
        return has_queued_ ? owner_.ask_again(*this, now, permit)
                           : owner_.enqueue(*this, now, permit);
    }
    [[nodiscard]] LocalStop& wake() noexcept { return ticket_.wake; }

private:
    friend Owner;

    const std::uint64_t calls_;
    Owner& owner_;
    WaitTicket ticket_;
    bool has_queued_ = false;
};

/// Wakes a waiting caller when the caller's stop token requests a stop. A StopToken wakes it at
/// once; any other token is polled.
template <StopTokenLike Stop>
class WaitStop {
public:
    WaitStop(const Stop& stop, LocalStop& wake) noexcept : waiter_{token_of(stop), &relay, &wake} {}
    /// Returns until when to sleep before the next poll of the token.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): from the earlier to the later
    [[nodiscard]] static Instant slice(Instant now, Instant until) noexcept {
        constexpr bool polls = !std::same_as<Stop, StopToken> && !std::same_as<Stop, NeverStops>;
        return polls ? smaller(until, after_time(now, ask_every)) : until;
    }

private:
    static constexpr Duration ask_every = std::chrono::milliseconds{10};

    static StopToken token_of(const StopToken& stop) noexcept { return stop; }
    static StopToken token_of(const auto&) noexcept { return {}; }
    static void relay(void* wake) noexcept { static_cast<LocalStop*>(wake)->request_stop(); }

    part::StopWaiter waiter_;  // of a StopToken
};

/// Grants permits by RateNumbers, which may change.
///
/// Permits by interval are taken without a lock. The owner's lock is needed for permits of windows,
/// and while the numbers change.
///
/// Thread safety: any thread. Call the functions named `_locked` under the lock of the owner.
class ConcurrentRate {
public:
    enum class Taken : std::uint8_t { granted, rejected, hopeless, needs_lock };

    constexpr explicit ConcurrentRate(const RateNumbers& numbers) noexcept
        : length_{numbers.length.count()}, burst_{numbers.burst}, in_windows_{numbers.in_windows} {}

    /// Takes this number of permits, or none. If they are rejected, `turn` is their earliest time.
    [[nodiscard]] Taken take(Instant now, std::uint64_t calls, Instant& turn) noexcept {
        Duration::rep due = due_.load(std::memory_order_acquire);
        for (;;) {
            const RateNumbers numbers = read_numbers();
            if (due == held || numbers.in_windows) return Taken::needs_lock;
            const bool fits = calls <= numbers.burst;
            const Instant seen{Duration{due}};
            const Instant at =
                fits ? RateState::turn_at(seen, numbers.length, numbers.burst, calls) : never;
            if ((at > now || at == never) && calls != 0) {
                if (!is_still(due)) continue;
                turn = at;
                return fits ? Taken::rejected : Taken::hopeless;
            }
            const Instant next =
                calls == 0 ? seen : RateState::due_with(seen, numbers.length, now, calls);
            // A change of the numbers changes `due`, too, so they still belong together. Each grant
            // moves it by an interval or more. If two grants race, one sees the other's value.
            if (due_.compare_exchange_weak(due, next.time_since_epoch().count(),
                                           std::memory_order_acquire, std::memory_order_acquire)) {
                return Taken::granted;
            }
        }
    }
    /// Reads the state. Returns false if the lock is needed for it.
    [[nodiscard]] bool read(RateState& seen) const noexcept {
        Duration::rep due = due_.load(std::memory_order_acquire);
        for (;;) {
            const RateNumbers numbers = read_numbers();
            if (due == held || numbers.in_windows) return false;
            seen = RateState{numbers, {Instant{Duration{due}}}};
            if (is_still(due)) return true;
        }
    }

    /// Takes this number of permits, or none of them.
    [[nodiscard]] bool take_locked(Instant now, std::uint64_t calls) noexcept {
        if (!in_windows_.load(std::memory_order_relaxed)) {
            Instant turn;
            return take(now, calls, turn) == Taken::granted;
        }
        RateState state = read_locked();
        const bool is_granted = calls <= state.burst() && state.take(now, calls);
        publish(state);
        return is_granted;
    }
    [[nodiscard]] RateState read_locked() const noexcept {
        return {read_numbers(), {Instant{Duration{due_.load(std::memory_order_relaxed)}}, used_}};
    }
    /// As RateState::change.
    void change_locked(const RateNumbers& next, Instant now) noexcept {
        const RateNumbers last = read_numbers();
        const bool is_same = next.length == last.length && next.burst == last.burst &&
                             next.in_windows == last.in_windows;
        RateState state = hold();
        const Instant before_it = state.counts().due;
        state.change(next, now);
        length_.store(next.length.count(), std::memory_order_release);
        burst_.store(next.burst, std::memory_order_release);
        in_windows_.store(next.in_windows, std::memory_order_release);
        // A caller that read the former numbers must not find its due time again. A due time that
        // has passed may as well be earlier.
        const Instant due = state.counts().due;
        if (!is_same && due == before_it) {
            constexpr Duration least{1};
            state = RateState{
                next, {due > now ? after(due, least) : before(due, least), state.counts().used}};
        }
        publish(state);
    }
    /// As RateState::drain.
    std::uint64_t drain_locked(Instant now) noexcept {
        RateState state = hold();
        const std::uint64_t left = state.drain(now);
        publish(state);
        return left;
    }

private:
    // The due time while the numbers change. No grant makes it: see RateState::due_min.
    static constexpr Duration::rep held = always.time_since_epoch().count() + 1;

    [[nodiscard]] RateNumbers read_numbers() const noexcept {
        return {Duration{length_.load(std::memory_order_acquire)},
                burst_.load(std::memory_order_acquire),
                in_windows_.load(std::memory_order_acquire)};
    }
    // Returns whether the numbers that were read are those of this due time. If not, reads it.
    [[nodiscard]] bool is_still(Duration::rep& due) const noexcept {
        const Duration::rep last = due;
        due = due_.load(std::memory_order_acquire);
        return due == last;
    }
    [[nodiscard]] RateState hold() noexcept {
        const Duration::rep due = due_.exchange(held, std::memory_order_acq_rel);
        return {read_numbers(), {Instant{Duration{due}}, used_}};
    }
    void publish(const RateState& state) noexcept {
        const RateState::Counts counts = state.counts();
        used_ = counts.used;
        const Duration::rep due = counts.due.time_since_epoch().count();
        due_.store(due == held ? due + 1 : due, std::memory_order_release);
    }

    std::atomic<Duration::rep> due_{always.time_since_epoch().count()};
    std::atomic<Duration::rep> length_;
    std::atomic<std::uint64_t> burst_;
    std::uint64_t used_ = 0;  // under the lock
    std::atomic<bool> in_windows_;
};

}  // namespace detail

/// A number of calls per length of time, on average.   Thread safety: a plain value.
struct Rate {
    /// Pre: calls >= 1, per > 0ns.
    constexpr Rate(detail::AnyCount<std::uint64_t> calls, detail::AnyUnit per) noexcept
        : calls_{calls}, per_{per} {
        BELAY_OPTION(calls_ >= 1, "Rate: calls must be >= 1");
        BELAY_OPTION(per_.count() > 0, "Rate: per must be > 0ns");
    }

    /// Does not compile, because a rate has a time.
    template <std::integral Calls>
    constexpr explicit Rate(Calls) noexcept : Rate{1, Duration{1}} {
        static_assert(!std::integral<Calls>, "Rate: write the time, too: Rate{100, 1s}");
    }

    /// How many calls are granted in each `per`. >= 1.
    [[nodiscard]] constexpr std::uint64_t calls() const noexcept { return calls_; }
    /// The time in which they are granted. > 0ns.
    [[nodiscard]] constexpr Duration per() const noexcept { return per_; }
    /// Returns the time between two calls, rounded up so that the rate is never exceeded.
    [[nodiscard]] constexpr Duration interval() const noexcept {
        const auto ticks = static_cast<std::uint64_t>(per_.count());
        const std::uint64_t rounded = ticks / calls_ + (ticks % calls_ != 0 ? 1 : 0);
        return Duration{static_cast<std::int64_t>(rounded)};
    }

private:
    std::uint64_t calls_;
    Duration per_;
};

/// The number of calls that may come at once after a pause.   Thread safety: a plain value.
struct Burst {
    /// Pre: calls >= 1.
    constexpr explicit Burst(detail::AnyCount<std::uint64_t> calls) noexcept : calls_{calls} {
        BELAY_OPTION(calls_ >= 1, "Burst: calls must be >= 1");
    }
    /// How many calls may come at once. >= 1.
    [[nodiscard]] constexpr std::uint64_t calls() const noexcept { return calls_; }

private:
    std::uint64_t calls_;
};

/// Lets calls through at a rate, with bursts, and gives a rejected caller the time to ask again.
///
///     RateLimiter limiter{Rate{100, 1s}, Burst{20}};
///     if (auto permit = limiter.acquire(clock.now())) send();
///     if (auto permit = limiter.acquire(clock.now(), rows)) send(rows);   // all of them, or none
///
/// In any time t it grants at most burst + t / interval permits. With fixed windows, it grants as
/// many permits as the rate in each window, as soon as they are requested. The first window begins
/// with the first call, and each other one at the end of the one before it:
///
///     RateLimiter limiter{RateLimiter::FixedWindow{Rate{100, 1min}}};
///
/// Two bursts on both sides of the end of a window are then 200 calls at almost the same time. Use
/// fixed windows only for a peer that counts in this way.
///
/// A permit that was taken is spent,
/// independent of its verdict, because giving it back could let too many calls through. If a policy
/// or pipeline has several Shared objects, put the limiter last. A turn that is older than the
/// latest grant counts as if it had the time of that grant, and earns nothing. This happens if a
/// thread read its clock long before the call.
///
/// As the layer `Shared{limiter}` it rejects at once. As `Queued{limiter}` in a Pipeline, up to
/// `queue` callers wait in the order in which they arrived, and no caller overtakes another. While
/// a caller waits, all callers that do not wait are rejected. A RateLimiter cannot be copied or
/// moved, and must outlive its permits and the callers that wait.
///
/// Its numbers may be changed while callers wait. Callers in its queue see the change at once.
///
/// Models:        ShareableLike.
/// Thread safety: any thread; lock-free while no caller waits and no number changes. Fixed windows
///                always need a lock.
/// Blocks:        a call that needs the lock, for a few instructions of another caller, and for
///                those that the sleeper needs to wake a caller.
/// Complexity:    O(1).   Allocates: never.
/// Source:        GCRA, the generic cell rate algorithm (ITU-T I.371, "virtual scheduling"). The
///                changes and `drain` are those of resilience4j's RateLimiter.
class RateLimiter : public detail::Limiter {
    struct NoPermitData {};

public:
    static constexpr std::string_view name = "RateLimiter";

    /// The right to make one call, or as many as were requested.
    using Permit = detail::Permit<RateLimiter, NoPermitData>;

    /// As many calls as the rate in each window of its length.   Thread safety: a plain value.
    struct FixedWindow {
        /// Calls in each window, and its length.
        Rate rate;
    };

    /// Makes a limiter in whose queue `queue` callers may wait; see Queued.
    ///
    /// Pre: the whole burst is earned within 146 years; a burst of 1 always is. queue >= 0. A queue
    /// above 2^32 - 1 means that.
    constexpr RateLimiter(Rate rate, Burst burst,
                          detail::AnyCount<std::uint32_t> queue = 0) noexcept
        : Limiter{queue}, rate_{numbers_of(rate, burst)} {
        BELAY_OPTION(!queue.is_negative(), "RateLimiter: the queue must be >= 0");
    }
    /// Makes a limiter that counts in fixed windows.   Pre: queue >= 0.
    constexpr explicit RateLimiter(FixedWindow window,
                                   detail::AnyCount<std::uint32_t> queue = 0) noexcept
        : Limiter{queue}, rate_{numbers_of(window)} {
        BELAY_OPTION(!queue.is_negative(), "RateLimiter: the queue must be >= 0");
    }
    /// Does not compile, because a rate and a burst are two numbers.
    template <class First, class... Second>
        requires(sizeof...(Second) <= 1 && (std::integral<First> || std::same_as<First, Rate>) &&
                 ((std::integral<Second> || std::convertible_to<Second, Duration>)&&...))
    constexpr explicit RateLimiter(First, Second...) noexcept
        : RateLimiter{Rate{1, Duration{1}}, Burst{1}} {
        static_assert(!sizeof(First),
                      "RateLimiter: write the rate and the burst: RateLimiter{Rate{10, 1s}, "
                      "Burst{10}}; see docs/reference/retry.md");
    }

    /// Requests a permit for `calls` calls at `now`, for all of them or none.
    ///
    /// Errors: a rejected permit, with retry_at(). For more calls than the burst, no pause is long
    ///         enough: retry_at() is `never`, and the advice is to stop.
    [[nodiscard]] Permit acquire(Instant now, std::uint64_t calls = 1) noexcept {
        if (waiting() == 0) {
            Instant turn;
            const Taken taken = rate_.take(now, calls, turn);
            if (taken == Taken::granted) return granted();
            if (taken == Taken::rejected) {
                count(rejected_);
                return Permit{turn};
            }
        }
        return acquire_locked(now, calls);
    }
    /// Requests a permit for one call at the turn's time.
    [[nodiscard]] Permit acquire(Turn& turn) noexcept { return acquire(turn.now); }

    /// Returns whether a call at `now` would be let through, and takes nothing.
    [[nodiscard]] Advice admit(Instant now) const noexcept {
        detail::RateState seen{detail::RateNumbers{}};
        if (waiting() == 0 && rate_.read(seen)) return advice(seen, now, 0);
        const detail::SpinLock lock{mutex_};
        return advice(rate_.read_locked(), now, ahead_);
    }

    /// Changes the rate and the burst from `now` on.
    ///
    /// The permits that are left stay, up to a whole new burst. So a larger burst is earned at the
    /// new rate. Callers in the queue see the new rate at once. If one of them requested more calls
    /// than the new burst, its wait ends with std::errc::invalid_argument when it is the first.
    /// Pre: as the constructor.   Errors: none.   Source: resilience4j's `changeLimitForPeriod`.
    void set_rate(Instant now, Rate rate, Burst burst) noexcept {
        change(now, numbers_of(rate, burst));
    }
    /// Changes the rate in fixed windows. The current window stays if its length stays.
    void set_rate(Instant now, FixedWindow window) noexcept { change(now, numbers_of(window)); }
    /// Takes all permits that are left at `now`, and returns how many they were.
    ///
    /// With fixed windows, no call is let through before the next one. Use it when the peer reports
    /// that its own limit is reached.
    /// Errors: none.   Source: resilience4j's `drainPermissions`.
    std::uint64_t drain(Instant now) noexcept {
        const detail::SpinLock lock{mutex_};
        return rate_.drain_locked(now);
    }

    /// Returns the number of callers in the queue.
    [[nodiscard]] std::uint32_t waiting() const noexcept {
        return waiting_.load(std::memory_order_relaxed);
    }

private:
    friend Permit;
    friend class detail::LimitedCaller<RateLimiter>;
    template <class Object>
    friend class Queued;

    using Answer = detail::WaitAnswer;
    using Taken = detail::ConcurrentRate::Taken;
    using WaitState = Answer::WaitState;

    // The first caller asks again when it is time. Each of the others is woken when it becomes the
    // first.
    using Waiter = detail::LimitedCaller<RateLimiter>;

    [[nodiscard]] static constexpr detail::RateNumbers numbers_of(Rate rate, Burst burst) noexcept {
        // A burst that reaches beyond the end of time would not be a limit.
        constexpr Duration earned_max = forever / 2;
        const Duration interval = rate.interval();
        const auto most = static_cast<std::uint64_t>(earned_max / interval);
        BELAY_OPTION(burst.calls() <= 1 || burst.calls() <= most,
                     "RateLimiter: the rate must refill the whole burst within 146 years");
        return {interval, detail::smaller(burst.calls(), detail::larger(most, std::uint64_t{1}))};
    }
    [[nodiscard]] static constexpr detail::RateNumbers numbers_of(FixedWindow window) noexcept {
        return {window.rate.per(), window.rate.calls(), true};
    }
    void change(Instant now, const detail::RateNumbers& numbers) noexcept {
        const detail::SpinLock lock{mutex_};
        rate_.change_locked(numbers, now);
        waiters_.wake_first();
    }
    [[nodiscard]] Permit granted() noexcept {
        count(admitted_);
        return Permit{*this, NoPermitData{}};
    }
    [[nodiscard]] Permit acquire_locked(Instant now, std::uint64_t calls) noexcept {
        const detail::SpinLock lock{mutex_};
        if (waiting() == 0 && rate_.take_locked(now, calls)) return granted();
        count(rejected_);
        const detail::RateState seen = rate_.read_locked();
        return calls > seen.burst() ? Permit{} : Permit{seen.retry_at(now, ahead_, calls)};
    }
    [[nodiscard]] Advice advice(const detail::RateState& seen, Instant now,
                                std::uint64_t ahead) const noexcept {
        const bool free = waiting() == 0 && seen.turn_of(now, 0, 1) <= now;
        return free ? Advice::go() : Advice::suspend(seen.retry_at(now, ahead, 1));
    }

    [[nodiscard]] Answer enqueue(Waiter& waiter, Instant now, Permit& permit) noexcept {
        Instant turn;
        if (waiting() == 0 && rate_.take(now, waiter.calls_, turn) == Taken::granted) {
            permit = granted();
            return {WaitState::granted};
        }
        const detail::SpinLock lock{mutex_};
        const std::uint32_t before_it = waiting();
        if (before_it == 0 && rate_.take_locked(now, waiter.calls_)) {
            permit = granted();
            return {WaitState::granted};
        }
        const detail::RateState seen = rate_.read_locked();
        if (waiter.calls_ > seen.burst()) {
            count(rejected_);
            return {WaitState::hopeless};
        }
        if (before_it >= queue_) {
            count(rejected_);
            const Instant again = seen.retry_at(now, ahead_, waiter.calls_);
            return {WaitState::rejected, again, again};
        }
        // The turn may have come already: the first caller is not awake yet, and will let the
        // others continue.
        turn = seen.turn_of(now, ahead_, waiter.calls_);
        waiters_.join(waiter.ticket_);
        waiter.has_queued_ = true;
        waiter.ticket_.is_called = before_it == 0;
        waiting_.store(before_it + 1, std::memory_order_relaxed);
        ahead_ += waiter.calls_;
        count(waited_);
        if (before_it == 0) return {WaitState::first, turn, turn};
        return {WaitState::waits, never, turn};
    }
    [[nodiscard]] Answer ask_again(Waiter& waiter, Instant now, Permit& permit) noexcept {
        const detail::SpinLock lock{mutex_};
        if (!waiter.ticket_.is_called) return {WaitState::waits};
        if (!rate_.take_locked(now, waiter.calls_)) {
            const detail::RateState seen = rate_.read_locked();
            if (waiter.calls_ > seen.burst()) return {WaitState::hopeless};
            const Instant turn = seen.turn_of(now, 0, waiter.calls_);
            return {WaitState::first, turn, turn};
        }
        end(waiter);
        permit = granted();
        return {WaitState::granted};
    }
    void leave(Waiter& waiter) noexcept {
        const detail::SpinLock lock{mutex_};
        if (!waiter.ticket_.is_queued) return;
        count(left_);
        end(waiter);
    }
    void end(Waiter& waiter) noexcept {
        waiters_.leave(waiter.ticket_);
        waiting_.fetch_sub(1, std::memory_order_relaxed);
        ahead_ -= waiter.calls_;
        waiters_.call_first();
    }

    void on_end(NoPermitData, const detail::PermitResult&) noexcept {}

    [[no_unique_address]] detail::ConcurrentRate rate_;
    // Both change under the lock: the number of callers in the queue, and of the calls that they
    // request. The sum of calls could overflow only with more callers than can exist, or with fixed
    // windows of about 2^63 calls. It would then only give a wrong time.
    std::atomic<std::uint32_t> waiting_{0};  // in the padding of the rate
    std::uint64_t ahead_ = 0;
};

/// The options of a Bulkhead.
struct BulkheadOptions {
    /// The most calls at once.
    std::uint32_t limit;
    /// The number of callers that may wait for a permit in addition to those; see Queued.
    std::uint32_t queue = 0;
    /// The wait after which a rejected caller may ask again.
    Duration ask_every = std::chrono::milliseconds{5};
};

/// Counts the calls that are under way, and rejects those beyond the limit.
///
///     Bulkhead bulkhead{{.limit = 8, .queue = 100}};
///     if (auto permit = bulkhead.acquire(clock.now())) send();
///
/// As the layer `Shared{bulkhead}` it rejects at once. As `Queued{bulkhead}` in a Pipeline, callers
/// wait in the order in which they arrived. A permit that is given back goes to the first of them,
/// and no caller overtakes another. The verdict on a permit does not matter: each verdict ends it.
/// A Bulkhead cannot be copied or moved, and must outlive its permits and the callers that wait.
///
/// Its limit may be changed while callers run and wait. Callers in its queue see the change at
/// once.
///
/// Models:        ShareableLike.
/// Thread safety: any thread; lock-free while no caller waits. Everything that a call did happens
///                before the next call in its place.
/// Blocks:        a caller that enters the queue, or wakes a caller from it, for a few instructions
///                of another caller, and for those that the sleeper needs to wake a caller.
/// Complexity:    O(1).   Allocates: never.
class Bulkhead : public detail::Limiter {
    struct NoPermitData {};

public:
    static constexpr std::string_view name = "Bulkhead";

    /// The right to make one call, while the permit lives.
    using Permit = detail::Permit<Bulkhead, NoPermitData>;

    /// Pre: limit >= 1, ask_every > 0ns.
    constexpr explicit Bulkhead(BulkheadOptions options) noexcept
        : Limiter{options.queue}, limit_{options.limit}, ask_every_{options.ask_every} {
        BELAY_OPTION(options.limit >= 1, "Bulkhead: limit must be >= 1");
        BELAY_OPTION(options.ask_every.count() > 0, "Bulkhead: ask_every must be > 0ns");
    }
    /// Does not compile, because the options have a name for the limit.
    template <std::integral Limit, std::integral... Queue>
    constexpr explicit Bulkhead(Limit, Queue...) noexcept : Bulkhead{BulkheadOptions{.limit = 1}} {
        static_assert(!std::integral<Limit>,
                      "Bulkhead: write the limit with its name: Bulkhead{{.limit = 8}}");
    }

    /// Requests a permit for a call.
    /// Errors: a rejected permit; its retry_at() is when to ask again.
    [[nodiscard]] Permit acquire(Instant now) noexcept {
        Word seen = word_.load(std::memory_order_relaxed);
        if (take(seen)) return granted();
        count(rejected_);
        return Permit{next_try(now)};
    }
    /// Requests a permit for a call at the turn's time.
    [[nodiscard]] Permit acquire(Turn& turn) noexcept { return acquire(turn.now); }

    /// Returns whether a call would be let through, and takes nothing.
    [[nodiscard]] Advice admit(Instant now) const noexcept {
        return can_take(word_.load(std::memory_order_relaxed)) ? Advice::go()
                                                               : Advice::suspend(next_try(now));
    }

    /// Returns `ask_every`, over which Shared rules spread the callers that wait.   Errors: none.
    [[nodiscard]] Duration spread() const noexcept { return ask_every_; }

    /// Changes how many calls may run at once.
    ///
    /// Callers in the queue take the new places at once, in their order. Calls that run above a
    /// lower limit finish, and no caller takes their places.
    ///
    /// Pre: most >= 1. A number above 2^32 - 1 means that.   Errors: none.
    /// Complexity: O(callers that it wakes).
    /// Source: resilience4j's `Bulkhead.changeConfig`.
    void set_limit(detail::AnyCount<std::uint32_t> most) noexcept {
        const std::uint32_t limit = most;
        BELAY_OPTION(limit >= 1, "Bulkhead::set_limit: limit must be >= 1");
        const detail::SpinLock lock{mutex_};
        limit_.store(limit, std::memory_order_relaxed);
        // While a caller waits, the word changes only under the lock.
        Word seen = word_.load(std::memory_order_relaxed);
        while (waiting_of(seen) != 0 && running_of(seen) < limit) {
            seen = word_.fetch_sub(one_waits - 1, std::memory_order_relaxed) - (one_waits - 1);
            call_first();
        }
    }
    /// Returns how many calls may run at once now.
    [[nodiscard]] std::uint32_t limit() const noexcept {
        return limit_.load(std::memory_order_relaxed);
    }

    /// Returns the number of calls under way, plus woken callers that have not begun.
    [[nodiscard]] std::uint32_t running() const noexcept {
        return running_of(word_.load(std::memory_order_relaxed));
    }
    /// Returns the number of callers in the queue.
    [[nodiscard]] std::uint32_t waiting() const noexcept {
        return waiting_of(word_.load(std::memory_order_relaxed));
    }

private:
    friend Permit;
    friend class detail::LimitedCaller<Bulkhead>;
    template <class Object>
    friend class Queued;

    using Answer = detail::WaitAnswer;
    using WaitState = Answer::WaitState;

    using Waiter = detail::LimitedCaller<Bulkhead>;

    // The number of waiting callers, above the number of running ones. It is one word, so that a
    // caller that gives a permit back sees whether another one waits for it.
    // Invariant: a call begins only below the limit, so while it does not change, never more than
    // `limit` run, not even for a moment. While a caller waits, at least `limit` run, except under
    // the lock of set_limit. The number of waiting callers, and the limit, change only under the
    // lock.
    using Word = std::uint64_t;
    static constexpr Word one_waits = Word{1} << 32;
    [[nodiscard]] static constexpr std::uint32_t running_of(Word word) noexcept {
        return static_cast<std::uint32_t>(word);
    }
    [[nodiscard]] static constexpr std::uint32_t waiting_of(Word word) noexcept {
        return static_cast<std::uint32_t>(word >> 32);
    }

    [[nodiscard]] bool can_take(Word seen) const noexcept {
        return waiting_of(seen) == 0 && running_of(seen) < limit();
    }
    // Acquire pairs with the release of the permit whose place this is.
    [[nodiscard]] bool take(Word& seen) noexcept {
        while (can_take(seen)) {
            if (word_.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
                return true;
            }
        }
        return false;
    }
    [[nodiscard]] Permit granted() noexcept {
        count(admitted_);
        return Permit{*this, NoPermitData{}};
    }
    [[nodiscard]] Instant next_try(Instant now) const noexcept {
        return detail::after_time(now, ask_every_);
    }

    [[nodiscard]] Answer enqueue(Waiter& waiter, Instant now, Permit& permit) noexcept {
        Word seen = word_.load(std::memory_order_relaxed);
        for (bool has_lock = false;; has_lock = true) {
            if (take(seen)) {
                if (has_lock) mutex_.unlock();
                permit = granted();
                return {WaitState::granted};
            }
            if (waiting_of(seen) >= queue_) {
                if (has_lock) mutex_.unlock();
                count(rejected_);
                return {WaitState::rejected, next_try(now)};
            }
            if (!has_lock) {
                // The limit may have grown since the last look at it.
                mutex_.lock();
                seen = word_.load(std::memory_order_relaxed);
                continue;
            }
            // After this exchange, all places are still taken, so a caller that gives one back sees
            // the waiting one.
            if (word_.compare_exchange_strong(seen, seen + one_waits, std::memory_order_relaxed)) {
                break;
            }
        }
        waiters_.join(waiter.ticket_);
        waiter.has_queued_ = true;
        mutex_.unlock();
        count(waited_);
        return {WaitState::waits};
    }
    [[nodiscard]] Answer ask_again(Waiter& waiter, Instant, Permit& permit) noexcept {
        const detail::SpinLock lock{mutex_};
        if (!waiter.ticket_.is_called) return {WaitState::waits};
        waiter.ticket_.is_called = false;
        permit = granted();
        return {WaitState::granted};
    }
    void leave(Waiter& waiter) noexcept {
        bool was_given = false;
        {
            const detail::SpinLock lock{mutex_};
            was_given = waiter.ticket_.is_called;
            if (waiter.ticket_.is_queued) {
                waiters_.leave(waiter.ticket_);
                word_.fetch_sub(one_waits, std::memory_order_relaxed);
                count(left_);
            }
        }
        if (was_given) {
            count(left_);
            release();
        }
    }

    void on_end(NoPermitData, const detail::PermitResult&) noexcept { release(); }
    void release() noexcept {
        Word seen = word_.load(std::memory_order_relaxed);
        while (waiting_of(seen) == 0) {
            if (end_one(seen)) return;
        }
        const detail::SpinLock lock{mutex_};
        seen = word_.load(std::memory_order_relaxed);
        // The caller that waited may have left.
        while (waiting_of(seen) == 0) {
            if (end_one(seen)) return;
        }
        if (running_of(seen) > limit()) {
            word_.fetch_sub(1, std::memory_order_release);
            return;
        }
        word_.fetch_sub(one_waits, std::memory_order_relaxed);
        call_first();
    }
    // Gives a place to the first caller in the queue, which the word already counts.
    void call_first() noexcept {
        detail::WaitTicket& first = *waiters_.first();
        waiters_.call_first();
        waiters_.leave(first);
    }
    [[nodiscard]] bool end_one(Word& seen) noexcept {
        return word_.compare_exchange_weak(seen, seen - 1, std::memory_order_release,
                                           std::memory_order_relaxed);
    }

    std::atomic<Word> word_{0};
    std::atomic<std::uint32_t> limit_;
    const Duration ask_every_;
};

}}  // namespace belay
