// SPDX-License-Identifier: MIT
/// \file belay/drive/driver_check.hpp
/// check::driver: tests a driver. It is for tests only, and drive.hpp does not include it.
/// check::DriverRule: the rules that the compiler cannot check.
#pragma once

#include <atomic>       // std::atomic
#include <cstdint>      // std::uint8_t
#include <memory>       // std::pointer_traits
#include <optional>     // std::optional
#include <thread>       // std::thread
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::exchange, std::move
#include <vector>       // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/detail/function.hpp>
#include <belay/core/detail/rule_check.hpp>
#include <belay/core/machine_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace check {

/// The rules for a driver that the compiler cannot check; see DriverLike.
enum class DriverRule : std::uint8_t {
    gives_one_waker,
    gives_each_its_own_seed,
    time_never_decreases,
    runs_what_is_due,
    reads_the_deadline_after_each_turn,
    notices_touch,
    notices_wake,
    notices_wake_after_a_reading,
    lets_machines_rest,
    starves_no_machine,
    posts_run_once_on_the_home_thread,
    forgets_destroyed_wakers,
    hands_over,
    ends_before_machines
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(DriverRule rule) noexcept {
    constexpr const char* sentences[] = {
        "attach() gives the machine exactly one Waker, whose now() is the driver's time",
        "the driver gives each machine its own seed",
        "now() never decreases, and no machine receives a time after now()",
        "the driver advances every machine whose deadline has passed",
        "the driver reads a machine's deadline again after each of its turns",
        "the driver reads the deadline again after Waker::touch",
        "the driver reads the deadline again after another thread called Waker::wake",
        "the driver reads the deadline once more if a wake arrives during a reading",
        "the driver does not keep advancing a machine whose deadline is in the future",
        "a machine that is always due does not stop other machines or posts from running",
        "post(f) calls f() once, on the home thread, after post() has returned",
        ("the driver never calls a machine again after its Waker was destroyed, not even "
         "in the same turn"),
        "only the new driver runs a machine that was attached to another driver",
        "Wakers do nothing after the end of their driver, and report no time"};
    return detail::sentence_of(rule, sentences);
}

}  // namespace check

namespace detail {

/// A machine that the checker uses as a probe.
struct DriverProbe {
    void attach(Waker w) {
        ++attached;
        waker = std::move(w);
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (mail.load()) return always;
        const Instant answer = due;
        if (on_reading && std::exchange(reads_left, reads_left - 1) == 1) on_reading();
        return answer;
    }
    void advance(Instant now) {
        ++turns;
        if (now > latest) latest = now;
        mail = false;
        if (due > now) return;
        ++due_turns;
        due = every == forever ? never : after(now, every);
        if (on_turn) on_turn();
    }

    Instant due = never;
    Duration every = forever;
    Function<void()> on_turn;
    mutable Function<void()> on_reading;
    mutable int reads_left = 1;
    std::atomic<bool> mail{false};
    int attached = 0;
    int turns = 0;
    int due_turns = 0;
    Instant latest = always;
    // The last member, so that it is destroyed first.
    Waker waker;
};

template <class Rig>
constexpr bool is_simulated = [] {
    if constexpr (requires { Rig::is_simulated; }) {
        return static_cast<bool>(Rig::is_simulated);
    } else {
        return false;
    }
}();

/// Exercises a driver against all rules. `broken()` is the first rule that the driver broke.
template <class Make>
class DriverChecker : public RuleCheck<check::DriverRule> {
    using Pointer = std::remove_cvref_t<decltype(std::declval<Make&>()())>;
    using Rig = typename std::pointer_traits<Pointer>::element_type;
    using Driver = std::remove_cvref_t<decltype(std::declval<Rig&>().driver)>;
    static_assert(explain::driver_like<Driver>());
    static constexpr bool simulated = is_simulated<Rig>;

public:
    explicit DriverChecker(Make& make) noexcept : make_{make} {}

    [[nodiscard]] std::optional<Rule> run() {
        using Check = void (DriverChecker::*)();
        constexpr Check checks[] = {&DriverChecker::introduction, &DriverChecker::turns,
                                    &DriverChecker::touches,      &DriverChecker::wakes,
                                    &DriverChecker::rest,         &DriverChecker::fairness,
                                    &DriverChecker::posts,        &DriverChecker::leaves,
                                    &DriverChecker::hand_over,    &DriverChecker::end};
        for (const Check check : checks) {
            rig_ = make_();
            time_ = rig_->driver.now();
            (this->*check)();
            rig_ = Pointer{};
            if (broken_) break;
        }
        return broken_;
    }

private:
    /// The maximum number of calls of run_once() until the driver does what a rule requires.
    static constexpr int rounds_max = 10'000;
    /// The number of calls of run_once() in which a forbidden event could happen.
    static constexpr int rounds_of_rest = 30;

    void introduction() {
        DriverProbe a, b;
        rig_->driver.attach(a);
        rig_->driver.attach(b);
        expect(a.attached == 1 && a.waker.handle().node() != nullptr, Rule::gives_one_waker);
        const Instant before = rig_->driver.now();
        const Instant reported = a.waker.now();
        expect(before <= reported && reported <= rig_->driver.now(), Rule::gives_one_waker);
        expect(a.waker.seed().value != b.waker.seed().value, Rule::gives_each_its_own_seed);
        rest();
        expect(a.attached == 1, Rule::gives_one_waker);
    }

    void turns() {
        std::vector<DriverProbe> many(20);
        for (DriverProbe& m : many) {
            m.due = always;
            rig_->driver.attach(m);
        }
        for (DriverProbe& m : many) {
            until([&] { return m.turns > 0; }, Rule::runs_what_is_due);
        }
        DriverProbe late, ticks;
        late.due = after(rig_->driver.now(), std::chrono::milliseconds{2});
        ticks.due = always;
        ticks.every = std::chrono::milliseconds{1};
        rig_->driver.attach(late);
        rig_->driver.attach(ticks);
        until([&] { return late.due_turns == 1; }, Rule::runs_what_is_due);
        expect(late.latest <= rig_->driver.now(), Rule::time_never_decreases);
        until([&] { return ticks.due_turns >= 5; }, Rule::reads_the_deadline_after_each_turn);
        expect(ticks.latest <= rig_->driver.now(), Rule::time_never_decreases);
    }

    void touches() {
        DriverProbe idle, distant;
        distant.due = after(rig_->driver.now(), std::chrono::hours{1000});
        rig_->driver.attach(idle);
        rig_->driver.attach(distant);
        settle();
        for (DriverProbe* const m : {&idle, &distant}) {
            m->due = always;
            m->waker.touch();
            until([&] { return m->due_turns == 1; }, Rule::notices_touch);
        }
    }

    void wakes() {
        if constexpr (!simulated) {
            DriverProbe idle;
            rig_->driver.attach(idle);
            settle();
            for (int i = 1; i <= 3 && !broken_; ++i) {
                idle.due = always;
                std::thread{[wake = idle.waker.handle()] { wake.wake(); }}.join();
                until([&] { return idle.due_turns == i; }, Rule::notices_wake);
            }
            wake_behind_a_reading(idle);
        }
    }
    /// Another thread changes the deadline while the driver is reading it.
    void wake_behind_a_reading(DriverProbe& idle) {
        std::thread other;
        std::atomic<bool> woken{false};
        idle.on_reading = [&] {
            other = std::thread{[&, wake = idle.waker.handle()] {
                idle.mail = true;
                wake.wake();
                woken = true;
            }};
            // The wait is bounded, because a driver may hold a lock that the wake waits for.
            for (int i = 0; i < 100'000 && !woken; ++i) std::this_thread::yield();
        };
        const int before = idle.turns;
        idle.waker.touch();
        until([&] { return woken && idle.turns > before && !idle.mail; },
              Rule::notices_wake_after_a_reading);
        if (other.joinable()) other.join();
        idle.on_reading = {};
    }

    void rest() {
        DriverProbe idle, distant;
        distant.due = after(rig_->driver.now(), std::chrono::hours{1000});
        rig_->driver.attach(idle);
        rig_->driver.attach(distant);
        settle();
        const int before = idle.turns + distant.turns;
        settle();
        expect(idle.turns + distant.turns <= before + 2, Rule::lets_machines_rest);
    }

    void fairness() {
        constexpr int turns_max = 1000;
        if constexpr (simulated) return;
        DriverProbe busy, other;
        bool ran = false;
        int when_other_ran = turns_max;
        int when_post_ran = turns_max;
        busy.due = always;
        busy.every = Duration::zero();
        busy.on_turn = [&] {
            if (busy.turns >= turns_max) busy.every = forever, busy.due = never;
        };
        other.due = always;
        other.on_turn = [&] { when_other_ran = busy.turns; };
        rig_->driver.attach(busy);
        rig_->driver.attach(other);
        static_cast<void>(rig_->driver.post([&] {
            ran = true;
            when_post_ran = busy.turns;
        }));
        until([&] { return other.turns > 0 && ran; }, Rule::starves_no_machine);
        expect(when_other_ran < turns_max && when_post_ran < turns_max, Rule::starves_no_machine);
        busy.every = forever;
        busy.due = never;
        settle();
    }

    void posts() {
        constexpr auto rule = Rule::posts_run_once_on_the_home_thread;
        const std::thread::id home = std::this_thread::get_id();
        int ran = 0;
        bool in_post = true;
        bool wrong = false;
        const auto f = [&] {
            ++ran;
            wrong = wrong || in_post || std::this_thread::get_id() != home;
        };
        expect(rig_->driver.post(f) == driver::Post::taken, rule);
        in_post = false;
        until([&] { return ran == 1; }, rule);
        // Posts from inside another posted function.
        static_cast<void>(rig_->driver.post([&] {
            in_post = true;
            static_cast<void>(rig_->driver.post(f));
            in_post = false;
        }));
        until([&] { return ran == 2; }, rule);
        if constexpr (!simulated) {
            std::thread{[&] {
                for (int i = 0; i < 10; ++i) static_cast<void>(rig_->driver.post(f));
            }}.join();
            until([&] { return ran == 12; }, rule);
        }
        settle();
        expect(!wrong && ran == (simulated ? 2 : 12), rule);
    }

    void leaves() {
        constexpr auto rule = Rule::forgets_destroyed_wakers;
        DriverProbe gone, first, second, own;
        rig_->driver.attach(gone);
        settle();
        gone.turns = 0;
        gone.due = always;
        gone.waker.touch();
        gone.waker = Waker{};
        // Both are due, and the first to run detaches the other.
        first.due = second.due = own.due = always;
        first.on_turn = [&] { second.waker = Waker{}; };
        second.on_turn = [&] { first.waker = Waker{}; };
        own.on_turn = [&] {
            own.due = always;
            own.waker = Waker{};
        };
        for (DriverProbe* const m : {&first, &second, &own}) rig_->driver.attach(*m);
        until([&] { return first.turns + second.turns > 0 && own.turns > 0; },
              Rule::runs_what_is_due);
        settle();
        expect(gone.turns == 0 && own.turns == 1 && (first.turns == 0 || second.turns == 0), rule);
    }

    void hand_over() {
        DriverProbe guest;
        rig_->driver.attach(guest);
        settle();
        Pointer other = make_();
        other->driver.attach(guest);
        guest.turns = 0;
        guest.due = always;
        guest.waker.touch();
        settle();
        expect(guest.turns == 0, Rule::hands_over);
        for (int i = 0; i < rounds_max && guest.due_turns == 0; ++i) other->run_once();
        expect(guest.due_turns == 1, Rule::hands_over);
        guest.waker = Waker{};
    }

    void end() {
        DriverProbe idle;
        rig_->driver.attach(idle);
        settle();
        const driver::WakeHandle wake = idle.waker.handle();
        rig_ = Pointer{};
        idle.waker.touch();
        wake.wake();
        expect(idle.waker.now() == always, Rule::ends_before_machines);
    }

    void step() {
        rig_->run_once();
        const Instant now = rig_->driver.now();
        expect(now >= time_, Rule::time_never_decreases);
        time_ = now;
    }
    void settle() {
        for (int i = 0; i < rounds_of_rest; ++i) step();
    }
    template <class Done>
    void until(Done done, Rule rule) {
        for (int i = 0; i < rounds_max && !done() && !broken_; ++i) step();
        expect(done(), rule);
    }

    Make& make_;
    Pointer rig_{};
    Instant time_ = always;
};

}  // namespace detail

namespace check {

/// Tests a driver and returns the first rule that it breaks, or nothing if it keeps all.
///
/// The check runs machines on the driver.
///
///     struct Rig {
///         Mine driver;
///         void run_once() { driver.poll(); }
///     };
///     const auto broken = check::driver([] { return std::make_unique<Rig>(); });
///     if (broken) std::puts(to_string(*broken));
///
/// `make()` returns a pointer to a new object with `driver` and `run_once()`. `run_once()` lets the
/// driver run everything that is due on the calling thread. If nothing is due, it waits for about a
/// millisecond, not longer.
///
/// A driver of a simulated world has one thread, and its time stands still while a machine is due.
/// Its rig has the member `static constexpr bool is_simulated = true`.
///
/// Errors: the rule.   Throws: what the driver and `make` throw.
/// Blocks: in `run_once()`, for a second in all if everything is right, longer for a driver that
/// stalls.
template <class Make>
[[nodiscard]] std::optional<DriverRule> driver(Make make) {
    return detail::DriverChecker<Make>{make}.run();
}

}  // namespace check

}}  // namespace belay
