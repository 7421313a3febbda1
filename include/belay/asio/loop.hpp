// SPDX-License-Identifier: MIT
/// \file belay/asio/loop.hpp
/// AsioLoop: a driver that runs machines in an io_context of asio.
#pragma once

#include <cstdint>  // std::uint64_t
#include <memory>   // std::shared_ptr
#include <utility>  // std::move

#include <belay/asio/detail/asio_of.hpp>
#include <belay/core/clocks.hpp>
#include <belay/drive/on_event_loop.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Adapts an io_context to the interface that OnEventLoop needs.
template <class Context>
class AsioEvents {
    using Asio = AsioOf<Context>;

public:
    explicit AsioEvents(Context& context)
        : context_{context}, alarm_{std::make_shared<Alarm>(context)} {}
    AsioEvents(const AsioEvents&) = delete;
    AsioEvents& operator=(const AsioEvents&) = delete;
    ~AsioEvents() { ask_nothing(); }

    template <class F>
    void call(F f) {
        Asio::post(context_, std::move(f));
    }
    template <class F>
    void call_at(Instant when, F f) {
        ask_nothing();
        if (when == never) return;
        alarm_->timer.expires_at(when);
        alarm_->timer.async_wait(
            [alarm = alarm_, mine = alarm_->asked, f = std::move(f)](const auto&) mutable {
                // The error is not used: a call that is queued already cannot be cancelled, and
                // arrives with success.
                if (alarm->asked == mine) f();
            });
    }
    [[nodiscard]] static Instant now() noexcept { return SteadyClock{}.now(); }
    [[nodiscard]] Context& context() const noexcept { return context_; }

private:
    /// Shared with the handlers, which may run after the end of the loop.
    struct Alarm {
        explicit Alarm(Context& context) : timer{context} {}
        typename Asio::Timer timer;
        std::uint64_t asked = 0;
    };
    void ask_nothing() {
        ++alarm_->asked;
        alarm_->timer.cancel();
    }

    Context& context_;
    std::shared_ptr<Alarm> alarm_;
};

/// Holds the events, so that they are created before the driver that uses them, and destroyed after
/// it.
template <class Context>
struct HasAsioEvents {
    explicit HasAsioEvents(Context& context) : events{context} {}
    AsioEvents<Context> events;
};

}  // namespace detail

/// A driver that runs machines in an io_context of Boost.Asio or of the standalone asio.
///
/// Include <belay/asio/boost.hpp> or <belay/asio/standalone.hpp>.
///
///     boost::asio::io_context context;
///     AsioLoop loop{context};
///     loop.attach(link);
///     context.run();
///
/// The loop has one timer, and posts a call to the context when a machine is woken. Nothing runs
/// inside post(). context.run() returns when nothing is pending in the context. A machine that
/// waits only for other threads needs a work guard, as any asio program does. If a machine throws,
/// the exception leaves context.run(), which may be called again.
///
/// One thread runs the context. The context must outlive the loop. The loop may be destroyed in a
/// handler, and while handlers of it are queued.
///
/// Members: attach(machine), post(function), at(instant, f), after(duration, f), now(), see
///          OnEventLoop; context().
/// Models:        DriverLike.
/// Thread safety: post() and wakers from any thread while the loop exists; everything else on the
///                thread that runs the context, or on any thread while none does.
template <class Context>
class AsioLoop : private detail::HasAsioEvents<Context>,
                 public OnEventLoop<detail::AsioEvents<Context>> {
    static_assert(detail::known_asio<Context>());

public:
    explicit AsioLoop(Context& context, Seed seed = Seed{Random{}()})
        : detail::HasAsioEvents<Context>{context},
          OnEventLoop<detail::AsioEvents<Context>>{this->events, seed} {}

    /// Returns the context, which can also run the other asio operations of the program.
    [[nodiscard]] Context& context() const noexcept { return this->events.context(); }
};

}}  // namespace belay
