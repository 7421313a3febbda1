// SPDX-License-Identifier: MIT
/// \file belay/link/link_handle.hpp
/// LinkCommands, LinkHandle and Handle: a machine's commands for other threads.
#pragma once

#include <utility>  // std::move

#include <belay/link/link.hpp>

namespace belay::inline BELAY_ABI {

namespace detail {
/// The commands of a supervisor, as they travel through its mailbox in Event::code.
enum class Command : std::uint32_t { start, stop, shut, open, credentials, reconnect, force, send };
}  // namespace detail

/// The commands and the status of a Supervisor, for any thread and any time.
///
/// Every command is an event for the supervisor's next turn, which is requested at once. After the
/// supervisor is gone, commands answer `gone`.
///
/// Thread safety: any thread; distinct objects safe.
template <class M>
class LinkCommands {
public:
    LinkCommands() noexcept = default;
    explicit LinkCommands(detail::Ref<detail::LinkBox<M>> box) noexcept : box_{std::move(box)} {}

    Post start() const { return command(detail::Command::start); }
    Post stop() const { return command(detail::Command::stop); }
    Post shut(Gate gate) const { return command(detail::Command::shut, gate); }
    Post open(Gate gate) const { return command(detail::Command::open, gate); }
    /// New credentials are at hand: leaves blocked_auth.
    Post credentials() const { return command(detail::Command::credentials); }
    /// Overrides the backoff, within the limits of Supervisor::reconnect_now.
    Post reconnect_now() const { return command(detail::Command::reconnect); }

    /// A consistent copy, as of the supervisor's last turn.   Blocks: for a few instructions.
    [[nodiscard]] LinkStatus status() const {
        return box_ ? box_->locked([this] { return box_->status; }) : LinkStatus{};
    }

protected:
    static Event<M> make(detail::Command command, Gate gate = {}) noexcept {
        Event<M> event;
        event.kind = EventKind::command;
        event.code = static_cast<std::uint32_t>(command);
        event.epoch = static_cast<std::uint32_t>(gate);
        return event;
    }
    Post command(detail::Command command, Gate gate = {}) const {
        return box_ ? box_->post_control(make(command, gate)) : Post::gone;
    }

    detail::Ref<detail::LinkBox<M>> box_;
};

/// LinkCommands, and messages to send.   Thread safety: any thread; distinct objects safe.
template <class M>
class LinkHandle : public LinkCommands<M> {
public:
    using LinkCommands<M>::LinkCommands;

    /// Sends a message in the supervisor's next turn. Bounded: `full` asks to try again later. What
    /// cannot be sent then is given back to the observer's on_unsent.
    Post post(M message, Lane lane = 0) const {
        if (!this->box_) return Post::gone;
        Event<M> event = this->make(detail::Command::send);
        event.lane = lane;
        event.message.emplace(std::move(message));
        return this->box_->post_message(std::move(event));
    }
};

/// The handle type of a machine: `Handle<decltype(link)> h = link.handle();`.
template <class Machine>
using Handle = typename Machine::Handle;

}  // namespace belay::inline BELAY_ABI
