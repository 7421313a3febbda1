// SPDX-License-Identifier: MIT
/// \file belay/posix/loop.hpp
/// posix::Loop: runs machines on one thread, and waits for file descriptors meanwhile.
#pragma once

#include <concepts>     // std::default_initializable
#include <type_traits>  // std::conditional_t, std::is_same_v
#include <utility>      // std::move

#include <belay/core/clocks.hpp>
#include <belay/drive/detail/basic_loop.hpp>
#include <belay/posix/boot_clock.hpp>
#include <belay/posix/detail/boot_poller.hpp>
#include <belay/posix/poller.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

namespace detail {
/// The poller that waits by a given clock.
template <class Clock>
using PollerOf = std::conditional_t<std::is_same_v<Clock, BootClock>, BootPoller, Poller>;
}  // namespace detail

/// A belay::Loop that also waits for file descriptors, which components watch with a Watch.
///
/// In each round, descriptors come before timers. After a long suspend, the data that waits in the
/// kernel is therefore read before a heartbeat decides that its peer is dead.
///
/// Waits end up to a millisecond late, because that is the unit of poll(2). The cost of poll(2) is
/// linear in the number of descriptors. The clock and its waits stand still while the machine
/// sleeps; with a BootClock they do not, see there.
///
/// Members: attach(machine), run(), run_until(done, limit), stop(), post(function), at(instant, f),
///          after(duration, f), now(); see belay/drive/detail/basic_loop.hpp.
/// Thread safety: stop(), post() and what wakers do from any thread; all else on the loop's thread,
///                or any while it is not running. stop() also in a signal handler, while the loop
///                exists.
/// Throws:        std::system_error from the constructor, if the process has no descriptors left.
template <class Clock = SteadyClock>
class Loop final : public belay::detail::BasicLoop<Clock, detail::PollerOf<Clock>> {
    using Base = belay::detail::BasicLoop<Clock, detail::PollerOf<Clock>>;

public:
    Loop()
        requires std::default_initializable<Clock>
        : Base{Clock{}} {}
    explicit Loop(Clock clock) : Base{std::move(clock)} {}
};

}}}  // namespace belay::posix
