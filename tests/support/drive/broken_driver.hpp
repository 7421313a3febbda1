// SPDX-License-Identifier: MIT
/// \file tests/support/drive/broken_driver.hpp
/// BrokenDriver: a small driver with one planted mistake, or none, for the test of
/// check::driver.
#pragma once

#include <algorithm>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <belay/core/machine_like.hpp>

namespace belay_test {

enum class DriverMistake {
    none,
    attaches_twice,
    knows_no_time,
    one_seed_for_all,
    time_goes_back,
    reports_the_future,
    forgets_the_first,
    reads_deadline_once,
    ignores_touch,
    ignores_wake,
    clears_wakes_after_reading,
    never_rests,
    runs_the_busy_first,
    posts_at_once,
    loses_posts,
    runs_posts_twice,
    runs_posts_on_a_thread,
    calls_machines_that_left_in_turn,
    calls_machines_that_left,
    keeps_moved_machines
};

/// Polled, with a clock of its own that each poll moves by a millisecond.
template <DriverMistake mistake>
class BrokenDriver {
    using M = DriverMistake;
    static constexpr bool is(M m) noexcept { return mistake == m; }

    struct Node final : belay::driver::WakeNode {
        explicit Node(BrokenDriver& d) : WakeNode{ops}, driver{&d} {}
        static const belay::driver::WakeOps ops;
        BrokenDriver* driver;
        void* machine = nullptr;
        belay::Instant (*deadline)(const void*) noexcept = nullptr;
        void (*advance)(void*, belay::Instant) = nullptr;
        belay::Instant due = belay::always;
        bool left = false;
        bool stale = true;  // guarded by the driver's mutex
    };
    static Node& of(belay::driver::WakeNode& n) noexcept { return static_cast<Node&>(n); }
    using Handle = belay::driver::WakeHandle;

public:
    BrokenDriver() = default;
    BrokenDriver(const BrokenDriver&) = delete;
    BrokenDriver& operator=(const BrokenDriver&) = delete;
    ~BrokenDriver() {
        for (const Handle& h : nodes_) of(*h.node()).driver = nullptr;
    }

    template <class Machine>
    void attach(Machine& m) {
        if (is(M::forgets_the_first) && nodes_.size() == 1) nodes_.clear();
        for (int i = is(M::attaches_twice) ? 2 : 1; i != 0; --i) {
            auto* const node = new Node{*this};
            node->machine = &m;
            node->deadline = [](const void* p) noexcept {
                return static_cast<const Machine*>(p)->deadline();
            };
            node->advance = [](void* p, belay::Instant t) { static_cast<Machine*>(p)->advance(t); };
            nodes_.push_back(Handle::adopt(node));
            node->references.fetch_add(1);
            if (!is(M::one_seed_for_all)) ++seed_;
            m.attach(belay::Waker{Handle::adopt(node), belay::Seed{seed_}});
        }
    }
    belay::driver::Post post(std::function<void()> f) {
        if (is(M::posts_at_once)) {
            f();
        } else if (is(M::runs_posts_on_a_thread)) {
            std::thread{f}.join();
        } else {
            const std::lock_guard lock{mutex_};
            posted_.push_back(std::move(f));
            if (is(M::loses_posts) && posted_.size() > 5) posted_.clear();
        }
        return belay::driver::Post::taken;
    }
    [[nodiscard]] belay::Instant now() const noexcept { return now_; }

    void poll() {
        const bool back = is(M::time_goes_back) && ++polls_ == 9;
        now_ = belay::Instant{now_.time_since_epoch() + std::chrono::milliseconds{back ? -5 : 1}};
        std::vector<std::function<void()>> posted;
        {
            const std::lock_guard lock{mutex_};
            posted.swap(posted_);
        }
        for (const auto& f : posted) {
            f();
            if (is(M::runs_posts_twice)) f();
        }
        const auto nodes = nodes_;
        for (const Handle& h : nodes) visit(of(*h.node()));
        std::erase_if(nodes_, [](const Handle& h) {
            return of(*h.node()).left && !is(M::calls_machines_that_left);
        });
    }

private:
    void visit(Node& n) {
        if (n.left && !is(M::calls_machines_that_left) && !is(M::calls_machines_that_left_in_turn))
            return;
        read(n);
        if (n.due > now_ && !is(M::never_rests)) return;
        do {
            n.advance(n.machine,
                      is(M::reports_the_future) ? belay::after(now_, std::chrono::hours{1}) : now_);
            if (is(M::reads_deadline_once)) {
                n.due = belay::never;
                continue;
            }
            if (n.left && !is(M::calls_machines_that_left)) return;
            n.due = n.deadline(n.machine);
        } while (is(M::runs_the_busy_first) && n.due <= now_);
    }
    void read(Node& n) {
        bool stale;
        {
            const std::lock_guard lock{mutex_};
            stale = is(M::clears_wakes_after_reading) ? n.stale : std::exchange(n.stale, false);
        }
        if (!stale) return;
        n.due = n.deadline(n.machine);
        const std::lock_guard lock{mutex_};
        if (is(M::clears_wakes_after_reading)) n.stale = false;
    }
    static void mark(belay::driver::WakeNode& n) noexcept {
        BrokenDriver* const self = of(n).driver;
        if (self == nullptr) return;
        const std::lock_guard lock{self->mutex_};
        of(n).stale = true;
    }

    std::vector<Handle> nodes_;
    std::vector<std::function<void()>> posted_;
    std::mutex mutex_;
    belay::Instant now_{std::chrono::hours{1}};
    std::uint64_t seed_ = 0;
    int polls_ = 0;
};

template <DriverMistake mistake>
constinit const belay::driver::WakeOps BrokenDriver<mistake>::Node::ops{
    [](belay::driver::WakeNode& n) noexcept {
        if (!is(M::ignores_wake)) mark(n);
    },
    [](belay::driver::WakeNode& n) noexcept {
        if (!is(M::ignores_touch)) mark(n);
    },
    [](belay::driver::WakeNode& n) noexcept {
        const bool known = of(n).driver != nullptr && !is(M::knows_no_time);
        return known ? of(n).driver->now() : belay::always;
    },
    [](belay::driver::WakeNode& n) noexcept {
        if (!is(M::keeps_moved_machines)) of(n).left = true;
    },
    [](belay::driver::WakeNode* n) noexcept { delete static_cast<Node*>(n); }};

}  // namespace belay_test
