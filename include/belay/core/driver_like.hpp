// SPDX-License-Identifier: MIT
/// \file belay/core/driver_like.hpp
/// DriverLike: what runs machines. EventLoopLike: what a driver needs of an event loop.
#pragma once

#include <concepts>  // std::same_as, std::convertible_to

#include <belay/core/mailbox.hpp>
#include <belay/core/waker.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

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
template <class L>
concept HasCall = requires(L& l, CallArchetype f) { l.call(f); };
template <class L>
concept HasCallAt = requires(L& l, Instant t, CallArchetype f) { l.call_at(t, f); };

}  // namespace detail

/// Runs machines on one thread, which is its home thread.
///
/// Loop, posix::Loop, sim::Host, OnEventLoop and ManualLoop are drivers.
///
/// - `attach(machine)`: gives the machine a Waker, and runs it until it is destroyed or attached
///   elsewhere. Home thread.
/// - `post(f) -> driver::Post`: calls `f()` later, on the home thread. Any thread.
/// - `now() const noexcept -> Instant`: returns the driver's time.
template <class D>
concept DriverLike = detail::HasAttachMachine<D> && detail::HasPost<D> && detail::ReportsTime<D>;

/// An event loop that an OnEventLoop can use as its driver.
///
/// - `call(f)`: calls `f()` soon, on the loop's thread, and never inside call(). Any thread.
/// - `call_at(instant, f)`: sets the one timer, which calls `f()` at that time. It replaces the
///   request of an earlier call_at(). If the instant is `never`, it requests nothing. The loop's
///   thread.
/// - `now() const noexcept -> Instant`: returns the time that call_at() uses.
///
/// `f` is copyable and small, and moves without throwing. The loop may drop `f` when it ends, and
/// may call `f` after the end of its driver. An exception from these functions ends the program,
/// except in post().
template <class L>
concept EventLoopLike = detail::HasCall<L> && detail::HasCallAt<L> && detail::ReportsTime<L>;

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

/// Names every requirement of EventLoopLike that L lacks.
template <class L>
consteval bool event_loop_like() {
    static_assert(detail::HasCall<L>,
                  "EventLoopLike: L needs 'call(f)', which any thread may call and which runs f() "
                  "later on the loop's thread");
    static_assert(detail::HasCallAt<L>,
                  "EventLoopLike: L needs 'call_at(belay::Instant, f)', which sets its one timer");
    static_assert(detail::ReportsTime<L>, "EventLoopLike: L needs 'Instant now() const noexcept'");
    return EventLoopLike<L>;
}

}  // namespace explain

}}  // namespace belay
