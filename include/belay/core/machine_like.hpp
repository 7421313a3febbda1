// SPDX-License-Identifier: MIT
/// \file belay/core/machine_like.hpp
/// MachineLike: the machines that a driver runs. DriverLike runs them, and a Waker connects the
/// two, until the machine ends. LifetimeFlag and TurnGuard let user code destroy a machine during
/// its own turn.
#pragma once

#include <atomic>    // std::atomic
#include <concepts>  // std::same_as, std::convertible_to
#include <cstdint>   // std::uint8_t, std::uint32_t
#include <utility>   // std::exchange

#include <belay/core/assert.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace driver {

struct WakeNode;

/// The functions that a driver provides for a machine.
///
/// They are plain functions, so that the core needs no virtual ones.
struct WakeOps {
    /// Makes the driver read the machine's deadline again soon.
    /// Any thread; also after the driver's end.
    void (*wake)(WakeNode&) noexcept;
    /// Does the same from the home thread, without a lock or a system call.
    void (*touch)(WakeNode&) noexcept;
    /// Returns the driver's time.
    Instant (*now)(WakeNode&) noexcept;
    /// Removes the machine, which is being destroyed: the driver never calls it again.
    /// Home thread.
    void (*detach)(WakeNode&) noexcept;
    /// Destroys the entry after its last reference is gone.
    void (*destroy)(WakeNode*) noexcept;
};

/// The driver's entry for one machine. Drivers derive theirs from it. It outlives both sides.
struct WakeNode {
    explicit WakeNode(const WakeOps& o) noexcept : ops{&o} {}

    /// The functions of its driver.
    const WakeOps* ops;
    /// How many handles refer to it.
    std::atomic<std::uint32_t> references{1};
};

/// The result of posting an event.
enum class Post : std::uint8_t {
    taken,  ///< the event will be handled
    full,   ///< no capacity: keep the event; the machine notifies you when there is capacity
    gone    ///< its attempt or the machine is over: the event will never be handled
};

/// A counted reference to a driver's entry, which can only wake.
///
/// Thread safety: distinct objects safe.
class WakeHandle {
public:
    WakeHandle() noexcept = default;
    WakeHandle(const WakeHandle& other) noexcept : node_{other.node_} {
        if (node_ != nullptr) node_->references.fetch_add(1, std::memory_order_relaxed);
    }
    WakeHandle(WakeHandle&& other) noexcept : node_{std::exchange(other.node_, nullptr)} {}
    WakeHandle& operator=(WakeHandle other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
    ~WakeHandle() {
        if (node_ != nullptr && node_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            node_->ops->destroy(node_);
        }
    }

    /// Takes over one reference that the driver has counted already.
    [[nodiscard]] static WakeHandle adopt(WakeNode* node) noexcept {
        WakeHandle h;
        h.node_ = node;
        return h;
    }

    /// Asks the driver to look at the machine soon.   Any thread.   Blocks: never for long.
    void wake() const noexcept {
        if (node_ != nullptr) node_->ops->wake(*node_);
    }
    /// Returns the node that it counts, or null.
    [[nodiscard]] WakeNode* node() const noexcept { return node_; }

private:
    WakeNode* node_ = nullptr;
};

}  // namespace driver

/// A machine's registration with its driver. Destroying or replacing it detaches the machine.
///
/// Without a driver (default constructed), every call does nothing and `now()` is `always`.
/// Thread safety: home thread, except for what `handle()` returns.
class Waker {
public:
    Waker() noexcept = default;
    Waker(driver::WakeHandle handle, Seed seed) noexcept
        : handle_{std::move(handle)}, seed_{seed}, owns_{true} {}
    Waker(Waker&& other) noexcept
        : handle_{std::move(other.handle_)},
          seed_{other.seed_},
          owns_{std::exchange(other.owns_, false)} {}
    Waker& operator=(Waker&& other) noexcept {
        if (this != &other) {
            detach();
            handle_ = std::move(other.handle_);
            seed_ = other.seed_;
            owns_ = std::exchange(other.owns_, false);
        }
        return *this;
    }
    ~Waker() { detach(); }

    /// Makes the driver read the deadline again before it waits, because it moved earlier.
    void touch() const noexcept {
        if (driver::WakeNode* const node = handle_.node()) node->ops->touch(*node);
    }

    /// Returns the driver's time; `always` without a driver. For commands that act outside a turn.
    [[nodiscard]] Instant now() const noexcept {
        driver::WakeNode* const node = handle_.node();
        return node != nullptr ? node->ops->now(*node) : always;
    }

    /// Returns the seed of the machine's random bits.
    [[nodiscard]] Seed seed() const noexcept { return seed_; }

    /// Returns a handle for other threads.
    [[nodiscard]] const driver::WakeHandle& handle() const noexcept { return handle_; }

    /// Returns a Waker for a machine inside this one.
    ///
    /// It has the same driver, other random bits, and no registration of its own.
    [[nodiscard]] Waker nested(std::uint64_t key) const noexcept {
        Waker w{handle_, Seed{detail::mix64(seed_.value + 0x9E3779B97F4A7C15U * (key + 1))}};
        w.owns_ = false;
        return w;
    }

    /// Ends the registration: the driver never calls the machine again.   Errors: none.
    void detach() noexcept {
        if (std::exchange(owns_, false)) {
            driver::WakeNode* const node = handle_.node();
            if (node != nullptr) node->ops->detach(*node);
        }
        handle_ = driver::WakeHandle{};
    }

private:
    driver::WakeHandle handle_;
    Seed seed_{0};
    bool owns_ = false;
};

namespace detail {
template <class M>
concept HasAttach = requires(M& m, Waker w) { m.attach(static_cast<Waker&&>(w)); };
template <class M>
concept HasDeadline = requires(const M& m) {
    { m.deadline() } noexcept -> std::same_as<Instant>;
};
template <class M>
concept HasAdvance = requires(M& m, Instant now) { m.advance(now); };
}  // namespace detail

/// A long-lived object that a driver runs.
///
/// - `attach(Waker)`: the driver calls this once. The machine keeps the Waker for its life.
/// - `deadline() const noexcept -> Instant`: returns when the machine next needs a turn; `never` if
///   it needs none, `always` if at once. The deadline may move earlier only in `advance`, or with
///   `Waker::touch` or `wake`.
/// - `advance(Instant now)`: runs one turn. A call that is too early, too often or too late does no
///   harm.
///
/// Semantics the compiler cannot check: advancing at any superset of the deadlines gives the same
/// history. After `advance(deadline())` the deadline has moved.
template <class M>
concept MachineLike = detail::HasAttach<M> && detail::HasDeadline<M> && detail::HasAdvance<M>;

namespace explain {

/// Names every requirement of MachineLike that M lacks.
template <class M>
consteval bool machine_like() {
    static_assert(detail::HasAttach<M>, "MachineLike: M needs 'attach(belay::Waker)'");
    static_assert(detail::HasDeadline<M>,
                  "MachineLike: M needs 'Instant deadline() const noexcept'");
    static_assert(detail::HasAdvance<M>, "MachineLike: M needs 'advance(belay::Instant)'");
    return MachineLike<M>;
}

}  // namespace explain

namespace driver {

/// A member of a machine by which a running turn detects that the machine was destroyed.
class LifetimeFlag {
public:
    LifetimeFlag() noexcept = default;
    LifetimeFlag(const LifetimeFlag&) = delete;
    LifetimeFlag& operator=(const LifetimeFlag&) = delete;
    ~LifetimeFlag() {
        if (gone_ != nullptr) *gone_ = true;
    }

    /// Returns whether a turn is in progress.
    [[nodiscard]] bool in_turn() const noexcept { return gone_ != nullptr; }

private:
    friend class TurnGuard;
    bool* gone_ = nullptr;
};

/// Marks a turn of a machine, and detects whether user code destroys the machine in it.
///
/// After user code has run, `gone()` returns whether the machine was destroyed.
class [[nodiscard]] TurnGuard {
public:
#if defined(__GNUC__) && !defined(__clang__)
// GCC does not see that the destructor takes the pointer back, unless the machine is gone.
#    pragma GCC diagnostic push
#    pragma GCC diagnostic ignored "-Wpragmas"
#    pragma GCC diagnostic ignored "-Wdangling-pointer"
#endif
    explicit TurnGuard(LifetimeFlag& flag) noexcept : flag_{&flag}, outer_{flag.gone_} {
        flag.gone_ = &gone_;
    }
#if defined(__GNUC__) && !defined(__clang__)
#    pragma GCC diagnostic pop
#endif
    TurnGuard(const TurnGuard&) = delete;
    TurnGuard& operator=(const TurnGuard&) = delete;
    ~TurnGuard() {
        if (!gone_) {
            flag_->gone_ = outer_;
        } else if (outer_ != nullptr) {
            *outer_ = true;
        }
    }

    /// Returns whether the machine is gone. If true, do not touch its members any more.
    [[nodiscard]] bool gone() const noexcept { return gone_; }

private:
    LifetimeFlag* flag_;
    bool* outer_;
    bool gone_ = false;
};

}  // namespace driver

namespace detail {

/// Marks a turn of a machine from inside code that it calls, if that code can destroy the machine.
///
/// It is a friend of the machines that have a `lifetime_`.
struct LifetimeFlagOf {
    struct Lives {
        [[nodiscard]] static constexpr bool gone() noexcept { return false; }
    };
    template <class M>
    [[nodiscard]] static auto guard(M& machine) noexcept {
        if constexpr (requires { driver::TurnGuard{machine.lifetime_}; }) {
            return driver::TurnGuard{machine.lifetime_};
        } else {
            return Lives{};
        }
    }
    /// Returns whether one of the machine's turns, or a call of its transport, is on the stack.
    template <class M>
    [[nodiscard]] static bool in_turn(const M& machine) noexcept {
        return machine.lifetime_.in_turn() || machine.live_.in_part();
    }
};

struct MachineArchetype {
    void attach(Waker);
    [[nodiscard]] Instant deadline() const noexcept;
    void advance(Instant);
};
struct CallArchetype {
    driver::WakeHandle machine;
    void operator()() const;
};

template <class D>
concept HasAttachMachine = requires(D& d, MachineArchetype& m) { d.attach(m); };
template <class D>
concept HasPost = requires(D& d, CallArchetype f) {
    { d.post(f) } -> std::same_as<driver::Post>;
};
template <class D>
concept ReportsTime = requires(const D& d) {
    { d.now() } noexcept -> std::convertible_to<Instant>;
};
}  // namespace detail

/// Runs machines on one thread, which is its home thread.
///
/// Loop, posix::Loop, sim::Host, OnEventLoop and ManualLoop are drivers.
///
/// - `attach(machine)`: gives the machine a Waker, and runs it until it is destroyed or attached
///   elsewhere. Home thread.
/// - `post(f) -> driver::Post`: calls `f()` later, on the home thread. Any thread. A function that
///   is not taken may be destroyed.
/// - `now() const noexcept -> Instant`: returns the driver's time.
template <class D>
concept DriverLike = detail::HasAttachMachine<D> && detail::HasPost<D> && detail::ReportsTime<D>;

namespace explain {

/// Names every requirement of DriverLike that D lacks.
template <class D>
consteval bool driver_like() {
    static_assert(detail::HasAttachMachine<D>,
                  "DriverLike: D needs 'attach(machine)' for every MachineLike");
    static_assert(detail::HasPost<D>,
                  "DriverLike: D needs 'driver::Post post(f)', which any thread may call");
    static_assert(detail::ReportsTime<D>, "DriverLike: D needs 'Instant now() const noexcept'");
    return DriverLike<D>;
}

}  // namespace explain

}}  // namespace belay
