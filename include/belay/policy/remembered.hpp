// SPDX-License-Identifier: MIT
/// \file belay/policy/remembered.hpp
/// Remembered: a policy that continues where it was after a restart of the program. PolicyHistory:
/// what happened to a policy, in a few bytes that survive a restart.
#pragma once

#include <array>        // std::array
#include <cstddef>      // std::byte, std::size_t
#include <cstdint>      // std::int64_t, std::uint64_t
#include <span>         // std::span
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/core/bytes.hpp>
#include <belay/core/crc32c.hpp>
#include <belay/core/order.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Stores the latest verdicts on the attempts of one run, for the next start of the program.
///
/// With it, a program that crashes again and again continues with its backoff and its open breaker,
/// instead of starting them afresh each time.
///
/// It stores what happened, and not the state of the rules. A restored policy receives the events
/// again, with the times at which they happened. So it works with every rule, including your own,
/// and with a policy that was changed in the meantime. A Remembered rule writes the history. Call
/// `save` whenever an attempt begins or ends, and store the bytes with your data (in a journal:
/// `keep`). Call `restore` at the next start. No hook reports that a connection is stable, and so a
/// success. So save once more when the stable window after `connected` is over. Otherwise a program
/// that never ends in an orderly way counts each of its connections as a failed attempt.
///
/// The last 29 verdicts are kept. They are fewer if nothing was tried for a while in between (a
/// gate was shut), because such a pause also takes space. The history also keeps the number of
/// older failures, and how long trying took. Older failures return evenly spread over that time. It
/// stores causes and hints, but no error codes. It stores times as ages, and a wall clock timestamp
/// shows how long the program was gone. If that clock jumped, waits are shorter or longer by as
/// much, but never longer than they were.
///
/// Memory:        about 500 bytes.
/// Thread safety: distinct objects safe.
class PolicyHistory {
public:
    /// The most bytes that `save` needs.
    static constexpr std::size_t bytes_max = 512;
    /// The number of verdicts that are kept with their times.
    static constexpr std::size_t events_max = 29;

    /// One event: a verdict, or several failures, of which only the last has a time.
    ///
    /// It may also be the time from which an attempt was wanted, or no longer wanted.
    struct Event {
        /// The kind of event.
        detail::Outcome what = detail::Outcome::failed;
        /// Why the attempt failed.
        Cause cause = Cause::none;
        /// How often it happened in a row.
        std::uint16_t times = 1;
        /// The wait that the peer asked for.
        Duration retry_after{};
        /// When it happened the last time, by the clock of the machine's users.
        Instant at{};
    };

    // ---- storing --------------------------------------------------------------------------------

    /// Writes everything to the front of `into`, and returns the part that was written.
    ///
    /// Errors: none.   Complexity: O(events).
    [[nodiscard]] BytesView save(std::span<std::byte, bytes_max> into, Instant now,
                                 WallTime wall) const noexcept {
        std::byte* const p = into.data();
        p[4] = std::byte{version};
        p[5] = static_cast<std::byte>(size_);
        p[6] = static_cast<std::byte>(attempting_ ? 1 : 0);
        p[7] = std::byte{0};
        store_le(p + 8, static_cast<std::uint64_t>(wall.time_since_epoch().count()));
        store_le(p + 16, static_cast<std::uint64_t>(elapsed(now, until_).count()));
        for (std::size_t i = 0; i < size_; ++i) encode(events_[i], now, p + header + i * record);
        const std::size_t bytes = header + size_ * record;
        store_le(p, part::crc32c({p + 4, bytes - 4}));
        return {p, bytes};
    }

    /// Restores what an earlier process has saved; no bytes restore an empty history.
    ///
    /// Errors: returns false, and the history is empty, if these are not bytes of `save`, or those
    ///         of another version.
    [[nodiscard]] bool restore(BytesView saved, Instant now, WallTime wall) noexcept {
        clear();
        if (saved.empty()) return true;
        if (!is_whole(saved)) return false;
        const std::byte* const p = saved.data();
        const Duration gone = since(load_le<std::uint64_t>(p + 8), wall);
        attempting_ = p[6] != std::byte{0};
        saved_at_ = ago(now, gone);
        const Duration remaining = duration(load_le<std::uint64_t>(p + 16));
        until_ = remaining > gone ? after(now, remaining - gone) : always;
        for (std::size_t i = 0; i < static_cast<std::size_t>(p[5]); ++i) {
            Event& event = events_[i];
            if (!decode(p + header + i * record, now, gone, event) ||
                (i != 0 && event.at < events_[i - 1].at)) {
                clear();
                return false;
            }
            ++size_;
        }
        return true;
    }

    /// Forgets everything.
    void clear() noexcept {
        size_ = 0;
        attempting_ = false;
        until_ = saved_at_ = always;
    }

    // ---- what it holds --------------------------------------------------------------------------

    /// Returns the events that it holds, the oldest first.
    [[nodiscard]] std::span<const Event> events() const noexcept { return {events_.data(), size_}; }
    /// Returns when the repetition of event `i` happened that `later` others followed.
    ///
    /// Only the time of the last one is stored. The others are spread evenly over the time since
    /// the event before. The first event has none, so they are as far apart as it and the next one.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): an event before its repetition
    [[nodiscard]] Instant repeated_at(std::size_t i, std::uint64_t later) const noexcept {
        const Event& event = events_[i];
        if (later == 0) return event.at;
        const Duration apart = i != 0 ? elapsed(events_[i - 1].at, event.at) / event.times
                                      : elapsed(event.at, events_[size_ == 1 ? 0 : 1].at);
        return ago(event.at, part::saturating_multiply(apart, later));
    }
    /// Returns whether an attempt has begun whose end is not known.
    ///
    /// After a restore, it means that the program crashed during an attempt.
    [[nodiscard]] bool attempting() const noexcept { return attempting_; }
    /// Returns when the next attempt was to start.
    [[nodiscard]] Instant until() const noexcept { return until_; }
    /// Returns when the restored history had been saved; `always` if nothing was restored.
    [[nodiscard]] Instant saved_at() const noexcept { return saved_at_; }

    // ---- for Remembered -------------------------------------------------------------------------

    /// Records that an attempt is wanted where none was before. Trying starts at this time.
    void wanted(Instant now) noexcept {
        if (is_last(detail::Outcome::abandoned)) {
            const Event ended = events_[--size_];
            if (ended.at >= now) return;
            if (is_last(detail::Outcome::wanted)) {
                // No verdict came in between, so the start moves later by the time in which nothing
                // was tried.
                Event& began = events_[size_ - 1];
                began.at = before(now, elapsed(began.at, ended.at));
                return;
            }
            ++size_;
        } else if (size_ != 0 && !is_last(detail::Outcome::succeeded)) {
            return;
        }
        push({detail::Outcome::wanted, Cause::none, 1, Duration{}, now});
    }
    /// Records that an attempt has begun.
    void began() noexcept { attempting_ = true; }
    /// Records that the attempt has no verdict.
    void ended() noexcept { attempting_ = false; }
    /// Records that the attempt that was wanted, planned or under way has no verdict, and that
    /// trying ends.
    void abandoned(Instant now) noexcept {
        attempting_ = false;
        if (size_ == 0 || is_last(detail::Outcome::abandoned) ||
            is_last(detail::Outcome::succeeded)) {
            return;
        }
        push({detail::Outcome::abandoned, Cause::none, 1, Duration{}, now});
    }
    /// Records a verdict, and when the next attempt may start.
    void note(Instant now, detail::Outcome what, const Failure& failure, Instant until) noexcept {
        attempting_ = false;
        until_ = until;
        // A replay knows no origin, and a rule would take the wait of a limiter for the peer's.
        const bool is_ours = failure.origin == Failure::Origin::local;
        push({what, failure.cause, 1, is_ours ? Duration{} : failure.retry_after, now});
    }

private:
    static constexpr std::uint8_t version = 1;
    static constexpr std::size_t header = 24;
    static constexpr std::size_t record = 16;
    static_assert(header + events_max * record <= bytes_max);

    [[nodiscard]] bool is_last(detail::Outcome what) const noexcept {
        return size_ != 0 && events_[size_ - 1].what == what;
    }
    void push(const Event& event) noexcept {
        if (size_ == events_max) drop_oldest();
        events_[size_++] = event;
    }

    /// Makes space for one event. Most rules depend on the number of failures in a row, and on how
    /// long trying took. So the oldest failure becomes a repetition of the next one, if a success
    /// does not make it void. If nothing was tried for a while after it, the time at which trying
    /// started moves over that gap.
    void drop_oldest() noexcept {
        const std::size_t first = opens(events_[0]) ? 1 : 0;
        if (first == 0 || is(1, detail::Outcome::failed)) merge_into_next(first);
        std::size_t end = first + 1;
        if (first == 1) {
            // The event that opens stands for what follows it.
            const std::size_t gap = is(1, detail::Outcome::failed) ? 2 : 1;
            if (is(gap, detail::Outcome::abandoned)) {
                end = gap + 1;
                if (is(end, detail::Outcome::wanted)) {
                    const Duration tried = elapsed(events_[0].at, events_[gap].at);
                    events_[0].at = before(events_[end].at, tried);
                    ++end;
                }
            } else if (gap == 1) {
                return erase(0, 1);
            }
        }
        erase(first, end);
    }
    [[nodiscard]] bool is(std::size_t i, detail::Outcome what) const noexcept {
        return i < size_ && events_[i].what == what;
    }
    void merge_into_next(std::size_t i) noexcept {
        if (!is(i, detail::Outcome::failed)) return;
        for (std::size_t k = i + 1; k < size_ && !is(k, detail::Outcome::succeeded); ++k) {
            if (!is(k, detail::Outcome::failed)) continue;
            const std::uint32_t times = std::uint32_t{events_[k].times} + events_[i].times;
            events_[k].times =
                static_cast<std::uint16_t>(detail::smaller(std::uint32_t{0xFFFF}, times));
            return;
        }
    }
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): from the earlier to the later
    void erase(std::size_t from, std::size_t to) noexcept {
        for (std::size_t i = to; i < size_; ++i) events_[from + i - to] = events_[i];
        size_ -= to - from;
    }
    [[nodiscard]] static bool opens(const Event& event) noexcept {
        return event.what == detail::Outcome::wanted || event.what == detail::Outcome::lost;
    }

    static void encode(const Event& event, Instant now, std::byte* p) noexcept {
        constexpr std::int64_t nanoseconds_per_millisecond = 1'000'000;
        const std::int64_t milliseconds = event.retry_after.count() / nanoseconds_per_millisecond;
        p[0] = static_cast<std::byte>(event.what);
        p[1] = static_cast<std::byte>(event.cause);
        store_le(p + 2, event.times);
        store_le(p + 4,
                 static_cast<std::uint32_t>(detail::larger(
                     std::int64_t{0}, detail::smaller(milliseconds, std::int64_t{0xFFFFFFFF}))));
        store_le(p + 8, static_cast<std::uint64_t>(elapsed(event.at, now).count()));
    }
    [[nodiscard]] static bool decode(const std::byte* p, Instant now, Duration gone,
                                     Event& event) noexcept {
        const auto what = static_cast<std::uint8_t>(p[0]);
        const auto cause = static_cast<std::uint8_t>(p[1]);
        if (what < 1 || what > 5 || cause > static_cast<std::uint8_t>(Cause::unauthorized)) {
            return false;
        }
        event.what = static_cast<detail::Outcome>(what);
        event.cause = static_cast<Cause>(cause);
        event.times = load_le<std::uint16_t>(p + 2);
        event.retry_after = std::chrono::milliseconds{load_le<std::uint32_t>(p + 4)};
        event.at = ago(now, part::saturating_add(duration(load_le<std::uint64_t>(p + 8)), gone));
        return event.times != 0;
    }
    [[nodiscard]] static bool is_whole(BytesView saved) noexcept {
        if (saved.size() < header || saved[4] != std::byte{version}) return false;
        const auto count = static_cast<std::size_t>(saved[5]);
        return count <= events_max && saved.size() == header + count * record &&
               load_le<std::uint32_t>(saved.data()) == part::crc32c(saved.subspan(4));
    }

    /// Returns a stored length of time; one that is out of range becomes the longest.
    [[nodiscard]] static Duration duration(std::uint64_t ticks) noexcept {
        const auto most = static_cast<std::uint64_t>(Duration::max().count());
        return Duration{static_cast<std::int64_t>(detail::smaller(ticks, most))};
    }
    [[nodiscard]] static Duration since(std::uint64_t stamp, WallTime wall) noexcept {
        const auto then = static_cast<std::int64_t>(stamp);
        const std::int64_t now = wall.time_since_epoch().count();
        if (now <= then) return Duration::zero();
        return duration(static_cast<std::uint64_t>(now) - static_cast<std::uint64_t>(then));
    }
    /// Never returns `always`, which is not a moment.
    [[nodiscard]] static Instant ago(Instant now, Duration age) noexcept {
        constexpr Instant first{always.time_since_epoch() + Duration{1}};
        const Instant then = before(now, age);
        return then < first ? first : then;
    }

    std::array<Event, events_max> events_{};
    std::size_t size_ = 0;
    Instant until_ = always;
    Instant saved_at_ = always;
    bool attempting_ = false;
};

/// Wraps a whole policy, and records its events in a PolicyHistory:
///
///     PolicyHistory history;                          // outlives the code that runs the policy
///     if (!history.restore(journal.kept(), now, wall)) ...    // what an earlier process saved
///     Remembered policy{history, Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, MaxAttempts{10}},
///                       turn};
///
/// If you pass a turn, the policy first receives what the history holds, and the first attempt
/// waits for the rest of the wait. If the program ended during an attempt, that attempt counts as
/// lost at the time of the last save. So a crash loop backs off, and stops if a rule decides so.
/// No limit shortens the rest of the wait. Its end is PolicyHistory::until.
///
/// A history that ended with `stop` is forgotten, so that it does not hold back a program that is
/// started again. A `reset` also makes it forget everything. The exception is the first `reset`
/// after restoring, which is the start of the code that runs the policy.
///
/// As a rule of another Policy, its rules count as if they were written in its place. It stores the
/// wait of the whole policy, and forgets the history if that policy plans to stop. Inside another
/// Remembered, its rules continue from its own history, or from the outer one if its own is empty.
///
/// Use one history for one long run: a supervisor, a session. Shared objects do not receive the
/// events again, because other policies use them, too.
///
/// Models:        RuleLike, if P does.
/// Thread safety: that of the history: one thread at a time.
template <class P>
class Remembered : public part::RuleGroup<Remembered<P>, P> {
    static_assert(explain::rule_like<P>());
    using Held = detail::AsPolicy<P>;
    using Ask = detail::Ask;

public:
    static constexpr std::string_view name = "Remembered";

    /// Starts afresh. The history must outlive this object and all copies.
    Remembered(PolicyHistory& history, P policy) noexcept
        : policy_{detail::as_policy(std::move(policy))}, history_{&history} {
        history.clear();
    }
    /// Continues where the history ends.   Complexity: O(attempts that it holds).
    Remembered(PolicyHistory& history, P policy, Turn turn) noexcept
        : policy_{detail::as_policy(std::move(policy))}, history_{&history} {
        replay(turn);
    }

    /// Passes on to the policy what a group is asked, and records what happened.
    template <detail::Ask A, class Self>
    static void ask(Self& self, detail::Asked<A>& a) noexcept {
        if constexpr (A == Ask::admit) {
            self.hold(a.fold, a.now);
        } else if constexpr (A == Ask::abandoned) {
            return self.abandon(a);
        } else if constexpr (A == Ask::reset) {
            return self.start_afresh();
        } else if constexpr (A == Ask::replay) {
            if (self.start_ != Start::afresh) {
                // Its rules have received these events from its own history.
                self.start_ = Start::nested;
                return;
            }
            self.note_replayed(a.what, a.failure, a.plan.turn.now);
        } else if constexpr (A == Ask::replay_review) {
            if (self.start_ != Start::afresh) return self.hold(a.fold, a.turn.now);
        }
        Held::template ask<A>(self.policy_, a);
        if constexpr (A == Ask::wanted) {
            if constexpr (detail::HasWanted<Held>) self.history_->wanted(a.now);
        } else if constexpr (A == Ask::begin) {
            self.start_ = Start::afresh;
            self.until_ = always;
            self.history_->began();
        } else if constexpr (A == Ask::planned) {
            self.note(a.what, a.failure, a.plan.fold.result(), a.plan.turn);
        } else if constexpr (A == Ask::succeeded) {
            self.history_->note(a.now, detail::Outcome::succeeded, {}, always);
        }
    }
    /// Returns the policy, with the rules in it.
    [[nodiscard]] const Held* rules() const noexcept { return &policy_; }

private:
    enum class Start : std::uint8_t {
        afresh,    ///< the next reset forgets what happened
        restored,  ///< the next reset begins the run
        nested     ///< restored in a group that was restored, too, and so keeps the first reset
    };

    // Waits for the rest of the wait, or stops because of the crash.
    void hold(detail::AdviceFold& fold, Instant now) const noexcept {
        if (stopped_) return fold.add(Advice::stop(), *this);
        if (until_ > now) fold.add(Advice::wait_at_least(until_), *this);
    }
    void abandon(Turn& turn) noexcept {
        const bool gives_up = !history_->attempting() && stops_at(turn.now);
        policy_.abandoned(turn);
        if (gives_up) return history_->clear();
        paused(turn.now);
    }
    // A run begins with it, and must not forget what was restored.
    void start_afresh() noexcept {
        if (start_ != Start::restored) forget();
        start_ = Start::afresh;
    }

    // Whether nothing waits for the next attempt, because a rule stops by then.
    [[nodiscard]] bool stops_at(Instant now) const noexcept {
        const Advice next = this->admit(now);
        return next.verb == Advice::Verb::stop ||
               (!next.allows(now) && policy_.admit(next.until).verb == Advice::Verb::stop);
    }
    // From now on nothing is tried, until an attempt is wanted again. Rules with `wanted` depend on
    // this.
    void paused(Instant now) noexcept {
        if constexpr (detail::HasWanted<Held>) {
            history_->abandoned(now);
        } else {
            history_->ended();
        }
    }

    void note(detail::Outcome what, const Failure& failure, const Advice& plan,
              const Turn& turn) noexcept {
        if (plan.verb == Advice::Verb::stop) return history_->clear();
        const Instant until = plan.verb == Advice::Verb::go ? always : plan.until;
        history_->note(turn.now, what, failure, until);
    }

    // Its rules receive the events of the history around it, so its own history holds them, too.
    void note_replayed(detail::Outcome what, const Failure& failure, Instant now) noexcept {
        if (what == detail::Outcome::abandoned) return paused(now);
        history_->note(now, what, failure, always);
    }

    void replay(Turn turn) noexcept {
        if (history_->events().empty() && !history_->attempting()) return;
        bool planned = false;
        for (std::size_t i = 0; i < history_->events().size(); ++i) {
            const PolicyHistory::Event& event = history_->events()[i];
            const Failure failure{.cause = event.cause, .retry_after = event.retry_after};
            for (std::uint32_t later = event.times; later-- != 0;) {
                Turn then{history_->repeated_at(i, later), turn.bits};
                static_cast<void>(policy_.replay(event.what, failure, then));
            }
            planned = event.what != detail::Outcome::succeeded &&
                      event.what != detail::Outcome::abandoned;
        }
        // Not earlier than the events before it, in case the wall clock has gone back.
        Turn end{detail::larger(history_->saved_at(), latest()), turn.bits};
        if (history_->attempting()) {
            const Failure crash{.cause = Cause::lost};
            const Advice plan = policy_.replay(detail::Outcome::failed, crash, end);
            note(detail::Outcome::failed, crash, plan, end);
            stopped_ = plan.verb == Advice::Verb::stop;
            planned = true;
        }
        if (planned) {
            policy_.replay_end(end);
            paused(end.now);
        }
        // The policy has stopped, or would stop, because of events long ago. The new start means
        // that it must try again.
        if (!stopped_ && policy_.admit(turn.now).verb == Advice::Verb::stop) return forget();
        until_ = history_->until();
        start_ = Start::restored;
    }
    [[nodiscard]] Instant latest() const noexcept {
        return history_->events().empty() ? always : history_->events().back().at;
    }
    void forget() noexcept {
        policy_.reset();
        until_ = always;
        stopped_ = false;
        history_->clear();
    }

    Held policy_;
    PolicyHistory* history_;
    Instant until_ = always;
    Start start_ = Start::afresh;
    bool stopped_ = false;  // by the crash that was found when it was restored
};

}}  // namespace belay
