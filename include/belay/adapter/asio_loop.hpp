// SPDX-License-Identifier: MIT
/// \file belay/adapter/asio_loop.hpp
/// AsioLoop: runs machines in an io_context.
#pragma once

#include <cstdint>  // std::uint64_t
#include <memory>   // std::shared_ptr
#include <utility>  // std::move

#include <belay/adapter/detail/asio_of.hpp>
#include <belay/core/steady_clock.hpp>
#include <belay/drive/on_event_loop.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// An io_context as an OnEventLoop sees it.
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
                // Not by the error: a call that is queued already cannot be cancelled, and comes
                // with success.
                if (alarm->asked == mine) f();
            });
    }
    [[nodiscard]] static Instant now() noexcept { return SteadyClock{}.now(); }
    [[nodiscard]] Context& context() const noexcept { return context_; }

private:
    /// Handlers hold it: they may come after the loop's end.
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

/// Made before the driver that uses it, and gone after it.
template <class Context>
struct HasAsioEvents {
    explicit HasAsioEvents(Context& context) : events{context} {}
    AsioEvents<Context> events;
};

}  // namespace detail

/// A driver in an io_context, of Boost.Asio or of the standalone asio: include
/// <belay/adapter/boost_asio.hpp> or <belay/adapter/standalone_asio.hpp>.
///
///     boost::asio::io_context context;
///     AsioLoop loop{context};
///     loop.attach(link);
///     context.run();
///
/// It has one timer, and asks for a call when a machine is woken; nothing runs inside of post().
/// context.run() returns when nobody waits for anything: a machine that waits for other threads
/// alone needs a work guard, as any asio program does. What a machine throws leaves context.run(),
/// which may be called again.
///
/// One thread runs the context. It must outlive the loop, which may be destroyed in a handler, and
/// while handlers of it are queued.
///
/// Members: attach(machine), post(function), at(instant, f), after(duration, f), now(), see
///          OnEventLoop; context().
/// Models:        DriverLike.
/// Thread safety: post() and what wakers do from any thread, while it exists; all else on the
///                thread that runs the context, or any while none does.
template <class Context>
class AsioLoop : private detail::HasAsioEvents<Context>,
                 public OnEventLoop<detail::AsioEvents<Context>> {
    static_assert(detail::known_asio<Context>());

public:
    explicit AsioLoop(Context& context, Seed seed = Seed{Random{}()})
        : detail::HasAsioEvents<Context>{context},
          OnEventLoop<detail::AsioEvents<Context>>{this->events, seed} {}

    /// Where it runs: what else asio does for the same program belongs there, too.
    [[nodiscard]] Context& context() const noexcept { return this->events.context(); }
};

template <class Context>
AsioLoop(Context&) -> AsioLoop<Context>;
template <class Context>
AsioLoop(Context&, Seed) -> AsioLoop<Context>;

}}  // namespace belay
