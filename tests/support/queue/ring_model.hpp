// SPDX-License-Identifier: MIT
/// \file tests/support/queue/ring_model.hpp
/// explore_ring and mistake: the results of threads on a ring, in every order, compared with the
/// allowed results of a queue.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include <belay/queue/concurrent_rings.hpp>

#include "support/catch.hpp"
#include "support/queue/model_atomic.hpp"

namespace belay_test {

/// The result of one call. A batch is several calls in turn.
struct RingCall {
    bool push = false;
    bool done = false;
    bool waits = false;
    bool closes = false;
    int value = 0;
    Explorer::Moment begin;
    Explorer::Moment end;
    [[nodiscard]] bool before(const RingCall& other) const { return end.before(other.begin); }
};

/// Returns why the wait `ended` must not have ended without a value; "" if it may.
inline std::string close_mistake(const std::vector<RingCall>& calls, const RingCall& ended) {
    for (const RingCall& pop : calls) {
        // The value was taken later, or was left until the end of all threads.
        if (!pop.push && pop.done && !pop.closes && ended.before(pop))
            return "the close hid a value";
    }
    return "";
}

/// Returns why this cannot be the history of a queue; "" if it can. `hides` means that an
/// unfinished push may hide the values after it.
inline std::string history_mistake(const std::vector<RingCall>& calls, std::size_t capacity,
                                   bool hides) {
    const auto find = [&](bool push, int value) -> const RingCall* {
        const RingCall* found = nullptr;
        for (const RingCall& c : calls) {
            if (c.push == push && c.done && c.value == value) found = &c;
        }
        return found;
    };
    for (const RingCall& c : calls) {
        if (c.closes) continue;
        std::size_t same = 0;
        for (const RingCall& d : calls) {
            if (c.done && d.done && c.push == d.push && c.value == d.value) ++same;
        }
        if (same > 1) return c.push ? "a value was pushed twice" : "a value came out twice";
        if (c.done && find(!c.push, c.value) == nullptr)
            return c.push ? "a value was lost" : "a value came from nowhere";
        if (!c.done && c.waits && !c.push) {
            const std::string mistake = close_mistake(calls, c);
            if (!mistake.empty()) return mistake;
        }
        for (const RingCall& d : calls) {
            if (c.push && c.done && d.closes && d.before(c)) return "pushed into a closed ring";
        }
        if (c.done || c.waits) continue;
        // A rejected call: the smallest and the largest number of values in the ring.
        std::ptrdiff_t least = 0, most = 0;
        bool pushing = false;
        for (const RingCall& d : calls) {
            if (!d.done || &d == &c) continue;
            if (d.push) {
                least += d.before(c) ? 1 : 0;
                most += c.before(d) ? 0 : 1;
                pushing = pushing || (!d.before(c) && !c.before(d));
            } else {
                least -= c.before(d) ? 0 : 1;
                most -= d.before(c) ? 1 : 0;
            }
        }
        if (c.push && most < static_cast<std::ptrdiff_t>(capacity)) return "full with room";
        if (!c.push && least > 0 && !(hides && pushing)) return "empty with a value";
    }
    for (const RingCall& a : calls) {
        for (const RingCall& b : calls) {
            if (!a.push || !b.push || !a.done || !b.done || !a.before(b)) continue;
            if (find(false, b.value)->before(*find(false, a.value))) return "overtaken";
        }
    }
    return "";
}

/// The letters of a script:
/// p push, o pop, P and O the same with a batch of 2, f front and ack,
/// w push_wait, t pop_wait, T pop_some_wait of 2, c close,
/// s sets a flag for the others, g continues only if the flag was seen.
template <class Ring>
class RingActor {
    using Value = typename Ring::value_type;

public:
    RingActor(Explorer& explorer, Ring& ring, ModelAtomic<int>& flag, std::vector<RingCall>& calls,
              int first)
        : explorer_{explorer}, ring_{ring}, flag_{flag}, calls_{calls}, next_{first} {}

    void play(std::string_view script) {
        for (const char step : script) {
            if (!play(step)) return;
        }
    }

private:
    bool play(char step) {
        const Explorer::Moment begin = explorer_.now();
        const auto pushed = [&](bool done, bool waits = false) {
            calls_.push_back({true, done, waits, false, next_++, begin, explorer_.now()});
        };
        const auto popped = [&](int value, bool done, bool waits = false) {
            calls_.push_back({false, done, waits, false, value, begin, explorer_.now()});
        };
        Value two[2] = {Value{next_}, Value{next_ + 1}};
        switch (step) {
            case 's':
                flag_.store(1, std::memory_order_release);
                break;
            case 'g':
                return flag_.load(std::memory_order_acquire) == 1;
            case 'p':
                // A closed ring may reject values for which there is space.
                pushed(
                    ring_.try_push(std::move(two[0])), requires { ring_.close(); });
                break;
            case 'P': {
                const std::size_t n = ring_.push_some(two);
                constexpr bool closes = requires { ring_.close(); };
                pushed(n > 0, closes);
                pushed(n > 1, closes);
                break;
            }
            case 'o': {
                const std::optional<Value> got = ring_.try_pop();
                popped(got ? got->number : 0, got.has_value());
                break;
            }
            case 'O': {
                const std::size_t n = ring_.pop_some(two);
                popped(two[0].number, n > 0);
                if (n > 0) popped(two[1].number, n > 1);
                break;
            }
            default:
                play_special(step, begin, two, pushed, popped);
        }
        return true;
    }
    void play_special(char step, const Explorer::Moment& begin, std::span<Value> two, auto& pushed,
                      auto& popped) {
        if constexpr (requires { ring_.front(); }) {
            if (step != 'f') return explorer_.fail("unknown step");
            Value* const got = ring_.front();
            const int number = got != nullptr ? got->number : 0;
            if (got != nullptr) ring_.ack();
            popped(number, got != nullptr);
        } else if constexpr (requires { ring_.close(); }) {
            if (step == 'w') {
                pushed(ring_.push_wait(std::move(two[0])), true);
            } else if (step == 't') {
                const std::optional<Value> got = ring_.pop_wait();
                popped(got ? got->number : 0, got.has_value(), true);
            } else if (step == 'T') {
                const std::size_t n = ring_.pop_some_wait(two);
                popped(two[0].number, n > 0, true);
                if (n > 1) popped(two[1].number, true, true);
            } else if (step == 'c') {
                ring_.close();
                calls_.push_back({.closes = true, .begin = begin, .end = explorer_.now()});
            }
        }
    }

    Explorer& explorer_;
    Ring& ring_;
    ModelAtomic<int>& flag_;
    std::vector<RingCall>& calls_;
    int next_;
};

/// Plays one script in each thread, in every order, on a ring that `make()` returns and that has
/// `filled` values.
template <class Make>
Explorer::Found explore_ring(Make make, std::size_t capacity, bool hides,
                             const std::vector<std::string>& scripts, int filled = 0) {
    using Ring = typename decltype(make())::element_type;
    using Value = typename Ring::value_type;
    // Threads that hang still use these rings. They are never destroyed, because no explorer exists
    // at the end.
    static auto* const kept = new std::vector<std::unique_ptr<Ring>>;
    return Explorer::explore([&](Explorer& explorer) {
        std::unique_ptr<Ring> ring = make();
        ModelAtomic<int> flag{0};
        std::vector<RingCall> calls;
        for (int i = 0; i < filled; ++i) {
            if (!ring->try_push(Value{900 + i})) explorer.fail("no room at the start");
            // This is before all threads, and known to all of them.
            calls.push_back({true, true, false, false, 900 + i, {0, {}}, {0, {}}});
        }
        std::vector<std::function<void()>> bodies;
        for (std::size_t i = 0; i < scripts.size(); ++i) {
            bodies.push_back([&, i] {
                RingActor<Ring>{explorer, *ring, flag, calls, static_cast<int>(100 * i)}.play(
                    scripts[i]);
            });
        }
        if (!explorer.run(std::move(bodies)) || explorer.over()) {
            kept->push_back(std::move(ring));
            return;
        }
        while (const std::optional<Value> got = ring->try_pop()) {
            calls.push_back({false, true, false, false, got->number, {}, {}});
        }
        ring.reset();
        if (explorer.live() != 0) explorer.fail("a value was not destroyed");
        const std::string mistake = history_mistake(calls, capacity, hides);
        if (!mistake.empty()) explorer.fail(mistake);
    });
}

/// Returns a mistake of a `Ring` of this capacity, over such atomics, in one of the orders; "" if
/// there is none.
template <template <class> class Ring, template <class> class Atomic>
std::string mistake(std::size_t capacity, const std::vector<std::string>& scripts) {
    using Explored = Ring<TrackedOver<Atomic>>;
    // An unfinished push hides no value only if there is one producer.
    constexpr bool hides = !std::is_same_v<Explored, belay::SpscRing<TrackedOver<Atomic>>>;
    const auto make = [capacity] { return std::make_unique<Explored>(capacity); };
    const Explorer::Found found = explore_ring(make, capacity, hides, scripts);
    INFO(found.orders << " orders of " << scripts[0] << ", " << scripts[1] << ", ...");
    CHECK((found.orders > 1 || !found.mistake.empty()));
    return found.mistake;
}

}  // namespace belay_test
