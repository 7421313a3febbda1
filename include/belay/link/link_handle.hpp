// SPDX-License-Identifier: MIT
/// \file belay/link/link_handle.hpp
/// LinkHandle: a supervisor's commands, its status, and messages to send, for other threads.
#pragma once

#include <utility>  // std::move

#include <belay/core/order.hpp>
#include <belay/link/link.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// The commands of a supervisor, as its mailbox stores them in Event::code.
enum class Command : std::uint32_t {
    start,
    stop,
    shut,
    open,
    credentials,
    reconnect,
    force,
    drain,
    probe,
    look,
    send
};

/// Returns whether a command stays valid when a stop() follows it: gates keep their state in any
/// case, and `look` serves coroutines that wait.
[[nodiscard]] constexpr bool outlives_stop(std::uint32_t command) noexcept {
    const auto which = static_cast<Command>(command);
    return which == Command::shut || which == Command::open || which == Command::look;
}

/// The arguments of a command.
struct CommandTerms {
    Gate gate{};
    Duration within{};
};

/// The commands and the status of a Supervisor, for any thread and any time.
///
/// Every command is an event for the supervisor's next turn, which it requests at once. After the
/// supervisor is destroyed, commands return `gone`.
///
/// Thread safety: any thread; distinct objects safe.
template <class M>
class LinkCommands {
public:
    LinkCommands() noexcept = default;
    explicit LinkCommands(detail::Ref<detail::LinkBox<M>> box) noexcept : box_{std::move(box)} {}

    driver::Post start() const { return command(detail::Command::start); }
    driver::Post stop() const { return command(detail::Command::stop); }
    /// Shuts a gate, with a grace in which opening it again undoes that; see Supervisor::shut.
    driver::Post shut(Gate gate, Duration grace = {}) const {
        return command(detail::Command::shut, {gate, larger(grace, Duration::zero())});
    }
    driver::Post open(Gate gate) const { return command(detail::Command::open, {gate}); }
    /// Reports that there are new credentials, so that the supervisor leaves blocked_auth.
    driver::Post credentials() const { return command(detail::Command::credentials); }
    /// Overrides the backoff, within the limits of Supervisor::reconnect_now.
    driver::Post reconnect_now() const { return command(detail::Command::reconnect); }

    /// Returns a consistent copy of the status, as of the supervisor's last turn.
    /// Blocks: for a few instructions.
    [[nodiscard]] LinkStatus status() const {
        return box_ ? box_->published().status : LinkStatus{};
    }

protected:
    friend struct LinkCommandsOf;

    static part::Event<M> make(detail::Command command,
                               const detail::CommandTerms& terms = {}) noexcept {
        part::Event<M> event;
        event.kind = part::EventKind::command;
        event.code = static_cast<std::uint32_t>(command);
        event.epoch = static_cast<std::uint32_t>(terms.gate);
        event.failure.retry_after = terms.within;
        return event;
    }
    driver::Post command(detail::Command command, const detail::CommandTerms& terms = {}) const {
        return box_ ? box_->post_control(make(command, terms)) : driver::Post::gone;
    }

    detail::Ref<detail::LinkBox<M>> box_;
};

/// Posts commands that are not functions of a handle. With `look`, the observer looks at the
/// coroutines that wait, after the commands before it have been carried out.
struct LinkCommandsOf {
    template <class M>
    static void give(const LinkCommands<M>& commands, Command command) {
        static_cast<void>(commands.command(command));
    }
};

}  // namespace detail

/// A handle with which other threads command a Supervisor, read its status and send messages.
///
/// Every command is an event for the supervisor's next turn, which it requests at once. After the
/// supervisor is destroyed, commands return `gone`. With `probes`, the handle also has probe_now().
///
/// Thread safety: any thread; distinct objects safe.
template <class M, bool probes = false>
class LinkHandle : public detail::LinkCommands<M> {
public:
    using detail::LinkCommands<M>::LinkCommands;

    /// Stops the supervisor after the messages posted before have been sent and have left; see
    /// Supervisor::drain.
    driver::Post drain(Duration within) const {
        return this->command(detail::Command::drain,
                             {.within = detail::larger(within, Duration::zero())});
    }

    /// Sends a message in the supervisor's next turn. The queue is bounded: after `full`, try again
    /// later. The observer's on_unsent gets a message back that cannot be sent in that turn.
    [[nodiscard]] driver::Post post(M message, Lane lane = 0) const {
        if (!this->box_) return driver::Post::gone;
        part::Event<M> event = this->make(detail::Command::send);
        event.lane = lane;
        event.message.emplace(std::move(message));
        return this->box_->post_message(std::move(event));
    }
};

template <class M>
class LinkHandle<M, true> : public LinkHandle<M> {
public:
    using LinkHandle<M>::LinkHandle;

    /// Requests a sign of life from the peer; see Supervisor::probe_now.
    driver::Post probe_now(Duration within = std::chrono::seconds{5}) const {
        return this->command(detail::Command::probe, {.within = within});
    }
};

}}  // namespace belay
