// SPDX-License-Identifier: MIT
/// \file tests/support/queue/explorer.hpp
/// explore: runs a few threads in every order of their atomic accesses, and with every value that
/// the C++ memory model allows for each load.
///
/// The threads are fibers of one thread. At each access of a ModelAtomic the explorer decides which
/// thread continues, and which of the values that are not yet overwritten for its thread a load
/// reads. It replays with other decisions until there are none left. Orders that differ only in
/// independent accesses count as one (P. Godefroid's sleep sets, 1996). The explorer tracks the
/// happens-before relation exactly, so that a data race on a Tracked value is found in any order.
///
/// Not modelled: stores that take effect out of the order of execution (an older place in the
/// modification order, load buffering), fences, sequentially consistent order, spurious failure.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/sanitizer.hpp"

namespace belay_test {

/// The test does not run under a sanitizer. ThreadSanitizer does not know these fibers, and has
/// nothing to find on one thread. AddressSanitizer does not fully support fibers.
class Explorer {
public:
    static constexpr std::size_t threads_max = 4;
    static constexpr std::size_t locations_max = 16;

    /// The knowledge of a thread, or of a reader of a message with acquire. For each location it is
    /// the newest message. For each thread it is the moment up to which its actions happened
    /// before.
    struct Knowledge {
        std::array<std::uint16_t, locations_max> seen{};
        std::array<std::uint16_t, threads_max> clock{};

        void join(const Knowledge& other) {
            for (std::size_t i = 0; i < seen.size(); ++i)
                seen[i] = std::max(seen[i], other.seen[i]);
            for (std::size_t i = 0; i < clock.size(); ++i)
                clock[i] = std::max(clock[i], other.clock[i]);
        }
    };

    /// The result of explore().
    struct Found {
        std::uint64_t orders = 0;
        std::string mistake;
    };

    /// Calls `scenario(explorer)` once for each order. It makes the objects that the threads share,
    /// calls run(...) once, and checks. Stops at the first mistake, and after `most` orders.
    static Found explore(const std::function<void(Explorer&)>& scenario,
                         std::uint64_t most = 3'000'000) {
        const auto explorer = std::make_unique<Explorer>();
        current = explorer.get();
        Found found;
        do {
            explorer->begin();
            scenario(*explorer);
            if (!explorer->pruned_) ++found.orders;
            found.mistake = explorer->mistake_;
            if (found.mistake.empty() && found.orders > most) found.mistake = "too many orders";
        } while (found.mistake.empty() && explorer->next_path());
        current = nullptr;
        return found;
    }

    /// Runs the bodies as threads, to their end. Returns false if they do not end. The objects that
    /// they share must not be used again then.
    bool run(std::vector<std::function<void()>> bodies) {
        bodies_ = std::move(bodies);
        for (std::size_t i = 0; i < bodies_.size(); ++i) start(i);
        starting_ = false;
        switch_to(schedule());
        for (std::size_t i = 0; i < bodies_.size(); ++i) {
            if (!fibers_[i].finished) return fail("a thread waits for ever"), false;
        }
        return true;
    }

    /// Reports a mistake; the first one counts.
    void fail(const std::string& what) {
        if (!pruned_ && mistake_.empty()) mistake_ = what;
    }
    /// Whether there is a mistake, or this order was tried before, so that its end need not be
    /// checked.
    [[nodiscard]] bool over() const { return pruned_ || !mistake_.empty(); }
    /// A moment of a thread: its number and its time.
    struct Moment {
        std::size_t thread = threads_max;
        std::array<std::uint16_t, threads_max> clock{};
        /// Whether this happened before `other`; the end of all threads is after everything.
        [[nodiscard]] bool before(const Moment& other) const {
            if (thread == threads_max) return false;
            return other.thread == threads_max || clock[thread] <= other.clock[thread];
        }
    };
    [[nodiscard]] Moment now() {
        if (!in_thread()) return {};
        ++know().clock[running_];
        return {running_, know().clock};
    }

    // --- what ModelAtomic and Tracked call ---

    std::size_t add_location(std::uint64_t value) {
        locations_.push_back({});
        locations_.back().messages.push_back({value, {}});
        if (locations_.size() > locations_max) fail("too many atomics for the explorer");
        return locations_.size() - 1;
    }
    std::uint64_t& latest(std::size_t location) {
        return locations_[location].messages.back().value;
    }
    [[nodiscard]] bool in_thread() const { return running_ != threads_max; }

    std::uint64_t load(std::size_t location, std::memory_order order) {
        announce(location, false);
        return read_any(location, order, [](std::uint64_t) { return true; });
    }
    void store(std::size_t location, std::uint64_t value, std::memory_order order) {
        announce(location, true);
        write(location, value, order, nullptr);
    }
    /// The value that an atomic change read, and whether the change was made.
    struct Exchanged {
        std::uint64_t old;
        bool done;
    };
    /// An atomic change: `change(old, next)` returns whether to write `next`. It acts on the newest
    /// value. If it returns false, the change is a load of any value for which it returns false.
    template <class Change>
    Exchanged exchange(std::size_t location, std::memory_order order, std::memory_order failure,
                       Change&& change) {
        announce(location, true);
        std::uint64_t next = 0;
        const Message last = locations_[location].messages.back();
        if (!change(last.value, next)) {
            return {read_any(location, failure, [&](std::uint64_t v) { return !change(v, next); }),
                    false};
        }
        if (acquires(order)) know().join(last.knows);
        write(location, next, order, &last.knows);
        return {last.value, true};
    }
    void wait(std::size_t location, std::uint64_t old) {
        announce(location, true);
        while (latest(location) == old) {
            fibers_[running_].blocked_on = location;
            switch_to(schedule());
        }
        // The value that ended the wait was read. The thread cannot read an older one after it.
        know().seen[location] =
            static_cast<std::uint16_t>(locations_[location].messages.size() - 1);
    }
    void notify(std::size_t location, bool all) {
        announce(location, true);
        for (Fiber& fiber : fibers_) {
            if (fiber.blocked_on != location) continue;
            fiber.blocked_on = locations_max;
            if (!all) return;
        }
    }
    /// A plain access to an object: its construction, its destruction, or its use.
    void touch(const void* object, int change) {
        Object* found = nullptr;
        for (Object& o : objects_) {
            if (o.place == object) found = &o;
        }
        if (found == nullptr) {
            objects_.push_back({object, threads_max, 0, false});
            found = &objects_.back();
        }
        if (found->alive != (change <= 0)) {
            fail(change > 0 ? "constructed over a living value" : "used a dead value");
        }
        if (change != 0) found->alive = change > 0;
        live_ += static_cast<std::size_t>(change);
        if (!in_thread()) {
            found->thread = threads_max;
            return;
        }
        if (found->thread != threads_max && found->moment > know().clock[found->thread]) {
            fail("a data race on a value");
        }
        found->thread = running_;
        found->moment = know().clock[running_];
    }
    /// Tracked values that exist.
    [[nodiscard]] std::size_t live() const { return live_; }

    static inline Explorer* current = nullptr;

private:
    struct Message {
        std::uint64_t value;
        Knowledge knows;  // the knowledge that an acquire of it gives
    };
    struct Location {
        std::vector<Message> messages;
    };
    struct Object {
        const void* place;
        std::size_t thread;  // the thread that used it last
        std::uint16_t moment;
        bool alive;
    };
    struct Fiber {
        ucontext_t context;
        std::unique_ptr<std::byte[]> stack;
        Knowledge know;
        std::size_t location = 0;  // the location of its next access
        bool writes = false;
        bool finished = true;
        std::size_t blocked_on = locations_max;
    };
    /// A decision for one of `count`. A decision between threads also has their numbers, and those
    /// that need not run now, because the orders in which they do were tried before.
    struct Node {
        unsigned taken = 0;
        unsigned count = 0;
        std::array<std::size_t, threads_max> candidates{};
        unsigned asleep = 0;
    };

    static constexpr std::size_t stack_bytes = 64 * 1024;
    static constexpr std::size_t steps_max = 2000;

    static bool acquires(std::memory_order o) {
        return o != std::memory_order_relaxed && o != std::memory_order_release;
    }
    static bool releases(std::memory_order o) {
        return o != std::memory_order_relaxed && o != std::memory_order_acquire &&
               o != std::memory_order_consume;
    }
    Knowledge& know() { return fibers_[running_].know; }

    void begin() {
        locations_.clear();
        objects_.clear();
        depth_ = 0;
        asleep_ = 0;
        steps_ = 0;
        live_ = 0;
        pruned_ = false;
        running_ = threads_max;
        starting_ = true;
        for (Fiber& fiber : fibers_) {
            fiber.finished = true;
            fiber.blocked_on = locations_max;
            fiber.know = {};
        }
    }
    /// Changes the last decision that has an alternative; returns false if there is none.
    bool next_path() {
        while (!path_.empty() && path_.back().taken + 1 == path_.back().count) path_.pop_back();
        if (path_.empty()) return false;
        ++path_.back().taken;
        return true;
    }

    void start(std::size_t i) {
        Fiber& fiber = fibers_[i];
        fiber.finished = false;
        fiber.know.clock[i] = 1;
        if (!fiber.stack) fiber.stack = std::make_unique<std::byte[]>(stack_bytes);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = stack_bytes;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, &Explorer::body_of_current, 0);
        switch_to(i);  // runs up to its first access
    }
    static void body_of_current() {
        Explorer& e = *current;
        e.bodies_[e.running_]();
        e.fibers_[e.running_].finished = true;
        e.switch_to(e.starting_ ? threads_max : e.schedule());
    }
    /// Continues as a thread, or as the caller of run().
    void switch_to(std::size_t next) {
        if (next == running_) return;
        const std::size_t from = std::exchange(running_, next);
        const auto context = [&](std::size_t i) {
            return i == threads_max ? &home_ : &fibers_[i].context;
        };
        swapcontext(context(from), context(next));
    }

    /// Announces the next access of the thread, and returns when it is its turn.
    void announce(std::size_t location, bool writes) {
        fibers_[running_].location = location;
        fibers_[running_].writes = writes;
        switch_to(starting_ ? threads_max : schedule());
        ++know().clock[running_];
    }

    /// Returns the thread that continues; threads_max if none can.
    std::size_t schedule() {
        Node node;
        unsigned enabled = 0;
        // The running thread is the first choice, because a switch costs more than all other work.
        const std::size_t first_asked = running_ == threads_max ? 0 : running_;
        for (std::size_t k = 0; k < bodies_.size(); ++k) {
            const std::size_t i = (first_asked + k) % bodies_.size();
            if (fibers_[i].finished || fibers_[i].blocked_on != locations_max) continue;
            enabled |= 1U << i;
            if ((asleep_ & (1U << i)) == 0) node.candidates[node.count++] = i;
        }
        if (enabled == 0) return threads_max;
        if (++steps_ > steps_max) return fail("a thread repeats itself for ever"), threads_max;
        if (node.count == 0) pruned_ = true;
        if (pruned_) return static_cast<std::size_t>(std::countr_zero(enabled));
        node.asleep = asleep_;
        const Node& at = decide(node);
        const std::size_t chosen = at.candidates[at.taken];
        unsigned asleep = at.asleep;
        for (unsigned i = 0; i < at.taken; ++i) asleep |= 1U << at.candidates[i];
        asleep_ = 0;
        for (std::size_t i = 0; i < bodies_.size(); ++i) {
            const bool apart = fibers_[i].location != fibers_[chosen].location ||
                               (!fibers_[i].writes && !fibers_[chosen].writes);
            if ((asleep & (1U << i)) != 0 && apart) asleep_ |= 1U << i;
        }
        return chosen;
    }
    const Node& decide(const Node& fresh) {
        if (depth_ == path_.size()) path_.push_back(fresh);
        return path_[depth_++];
    }

    /// Reads one of the values that the thread may still see, and for which `can` is true.
    template <class Can>
    std::uint64_t read_any(std::size_t location, std::memory_order order, Can&& can) {
        const std::vector<Message>& messages = locations_[location].messages;
        std::array<std::uint16_t, 64> open{};
        Node node;
        // The newest value is the first choice: a run without alternatives reads it.
        for (std::size_t i = messages.size(); i-- > know().seen[location];) {
            if (node.count < open.size() && can(messages[i].value))
                open[node.count++] = static_cast<std::uint16_t>(i);
        }
        const unsigned taken = node.count == 1 || pruned_ ? 0 : decide(node).taken;
        const Message& message = messages[open[taken]];
        know().seen[location] = open[taken];
        if (acquires(order)) know().join(message.knows);
        return message.value;
    }
    void write(std::size_t location, std::uint64_t value, std::memory_order order,
               const Knowledge* sequence) {
        std::vector<Message>& messages = locations_[location].messages;
        know().seen[location] = static_cast<std::uint16_t>(messages.size());
        Message message{value, {}};
        if (releases(order)) message.knows = know();
        // Read-modify-writes continue the release sequence of the value that they read.
        if (sequence != nullptr) message.knows.join(*sequence);
        messages.push_back(message);
        ++know().clock[running_];
    }

    std::vector<std::function<void()>> bodies_;
    std::array<Fiber, threads_max> fibers_;
    ucontext_t home_{};
    std::size_t running_ = threads_max;
    std::vector<Location> locations_;
    std::vector<Object> objects_;
    std::vector<Node> path_;
    std::size_t depth_ = 0;
    std::size_t steps_ = 0;
    std::size_t live_ = 0;
    unsigned asleep_ = 0;
    bool pruned_ = false;
    bool starting_ = true;
    std::string mistake_;
};

}  // namespace belay_test
