// SPDX-License-Identifier: MIT
/// \file belay/link/link.hpp
/// Link: the handle by which a transport reports to its supervisor, from any thread.
/// LinkHandle: a supervisor's commands, its status, and messages to send, for other threads.
#pragma once

#include <atomic>        // std::atomic
#include <cstddef>       // std::size_t
#include <system_error>  // std::make_error_code
#include <utility>       // std::move

#include <belay/core/mailbox.hpp>
#include <belay/core/order.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// The status of a machine and the counts of its attempts, as other threads read them.
struct PublishedLink {
    LinkStatus status{};
    /// Those with the number 1, without those that repeat an excused one. Attempts that ended in an
    /// outer decorator, and never reached the one that asks, are included.
    std::uint32_t first_attempts = 0;
    /// Those that have failed and were withdrawn, so that they count for no policy.
    std::uint32_t excused_attempts : 31 = 0;
    bool repeats_excused : 1 = false;  ///< the next attempt has the number of the excused one

    /// The machine made this step, and has this status.
    void note(const timeline::Actions& step, const LinkStatus& now) noexcept {
        status = now;
        const bool is_over = now.state == LinkState::stopped || now.state == LinkState::failed;
        if (step.dial && now.attempt == 1 && !repeats_excused) ++first_attempts;
        if (step.excused) ++excused_attempts;
        repeats_excused = !is_over && (step.excused || (repeats_excused && !step.dial));
    }
};

/// The mailbox of a machine that runs connections, with the live epochs and the published status.
template <class M>
struct LinkBox : driver::Mailbox<part::Event<M>> {
    using Base = driver::Mailbox<part::Event<M>>;
    using Base::Base;

    /// The attempt whose events count; 0 for none. Written on the home thread.
    std::atomic<std::uint32_t> epoch{0};
    /// The closing connection whose `closed` is still awaited; 0 for none.
    std::atomic<std::uint32_t> lingering{0};
    /// The attempt whose end could not be queued for lack of memory; 0 for none.
    std::atomic<std::uint32_t> unqueued_end{0};
    /// The lanes of a bundle, modulo 32, whose messages are rejected until the connection is open.
    std::atomic<std::uint32_t> held_lanes{0};
    /// Queues the end of a connection. If there is no memory for it, the end of the live connection
    /// is still delivered after the queued events, as std::errc::not_enough_memory. The end of a
    /// graceful close is then lost.
    driver::Post post_end(part::Event<M>&& event) noexcept {
        driver::Post post = driver::Post::taken;
        const bool queued = has_memory_for([&] { post = this->post_control(std::move(event)); });
        if (!queued && epoch.load(std::memory_order_acquire) == event.epoch) {
            unqueued_end.store(event.epoch, std::memory_order_release);
            this->wake();
        }
        return post;
    }
    void begin_turn() {
        Base::begin_turn();
        if (!has_unqueued_end() || !Base::empty()) return;
        part::Event<M> end;
        end.kind = part::EventKind::closed;
        end.epoch = unqueued_end.exchange(0, std::memory_order_acq_rel);
        end.failure = Failure::from(std::make_error_code(std::errc::not_enough_memory));
        post_end(std::move(end));
    }
    [[nodiscard]] bool empty() const noexcept { return !has_unqueued_end() && Base::empty(); }
    [[nodiscard]] bool has_unqueued_end() const noexcept {
        return unqueued_end.load(std::memory_order_acquire) != 0;
    }

    /// Returns whether the end of an attempt waits in the mailbox.
    [[nodiscard]] bool has_end_of(std::uint32_t attempt) noexcept {
        for (std::size_t i = 0; i < this->size(); ++i) {
            const part::Event<M>& event = this->peek(i);
            if (event.kind == part::EventKind::closed && event.epoch == attempt) return true;
        }
        return has_unqueued_end();
    }

    /// Publishes the status after a step of the machine, with what the step does to an attempt.
    void publish(const LinkStatus& now, const timeline::Actions& step) noexcept {
        const SpinLock held = this->lock();
        published_.note(step, now);
    }
    [[nodiscard]] PublishedLink published() const noexcept {
        const SpinLock held = this->lock();
        return published_;
    }

private:
    PublishedLink published_{};  // under the mailbox's lock
};

}  // namespace detail

/// The handle with which a transport reports to the machine that opened it, for one attempt.
///
/// Copy it into every callback of the socket library. Its calls never run user code and never
/// destroy anything: they queue events. When the attempt is over or the machine is destroyed, they
/// return `gone` and do nothing. You never need to unregister a callback.
///
/// Thread safety: any thread; distinct objects safe.   Size: 16 bytes.
/// Throws:        std::bad_alloc if a queue cannot grow, and nothing else. closed() does not throw;
///                it then reports not_enough_memory.
template <class M>
class Link {
public:
    Link() noexcept = default;
    Link(detail::Ref<detail::LinkBox<M>> box, std::uint32_t epoch) noexcept
        : box_{std::move(box)}, epoch_{epoch} {}

    /// Returns whether the machine still accepts events of this attempt. False is final.
    [[nodiscard]] bool alive() const noexcept {
        return box_ && box_->epoch.load(std::memory_order_acquire) == epoch_;
    }

    /// Reports that this attempt waits for a part of this side, and does not dial yet. If its limit
    /// ends it there, that is no failure of the peer. It counts for no policy if it is `excused`,
    /// as in a queue, where other attempts take the time.
    driver::Post queued(bool excused = true) const {
        if (!alive()) return driver::Post::gone;
        part::Event<M> event = make(part::EventKind::queued);
        event.withdrawn = excused;
        return box_->post_control(std::move(event));
    }
    /// Reports that the attempt dials now, after queued(). Its limit begins anew.
    driver::Post begun() const { return control(part::EventKind::begun); }
    /// Reports that the connection is usable.
    driver::Post opened() const { return control(part::EventKind::opened); }
    /// Reports that the connection ended, or could not be opened. Report it once; later events are
    /// dropped.
    driver::Post closed(const Failure& failure = {}) const noexcept {
        part::Event<M> event = make(part::EventKind::closed);
        event.failure = failure;
        if (event.failure.cause == Cause::none) event.failure.cause = Cause::lost;
        return end(std::move(event));
    }
    /// Reports that this side has ended the attempt, for a reason that is no failure. The
    /// policy receives `abandoned`. The status keeps `failure`, which may be empty. For decorators.
    driver::Post withdraw(const Failure& failure = {}) const noexcept {
        part::Event<M> event = make(part::EventKind::closed);
        event.failure = failure;
        event.withdrawn = true;
        return end(std::move(event));
    }
    /// Delivers a whole message. `message` is untouched unless the result is `taken`. After `full`,
    /// stop reading. resume_reading() of the connection follows, and may also be called without
    /// need.
    [[nodiscard]] driver::Post received(M&& message) const {
        if (!alive()) return driver::Post::gone;
        if (is_held()) return driver::Post::full;
        return box_->emplace_message([&]() -> part::Event<M> {
            part::Event<M> event = make(part::EventKind::received);
            event.message.emplace(std::move(message));
            return event;
        });
    }
    /// Reports that the peer has answered a ping. With `answers` false, it is another sign of life:
    /// part of a message, or the peer's own ping.
    driver::Post pong(bool answers = true) const {
        return control(part::EventKind::pong, answers ? 0 : 1);
    }
    /// Reports that there is capacity again after send() returned `busy`.
    driver::Post writable() const { return control(part::EventKind::writable); }
    /// Reports that output has left, at least a part, that had waited for capacity. It is no sign
    /// of life. A Heartbeat gives a ping that waits behind such output more time.
    driver::Post written() const { return control(part::EventKind::written); }
    /// Posts an event to the decorator that holds this link. For decorators.
    driver::Post note(std::uint32_t code) const { return control(part::EventKind::note, code); }

    /// Makes the machine read the decorator's deadline again soon. For decorators. It needs no
    /// memory, so it throws nothing.
    void wake() const noexcept {
        if (alive()) box_->wake();
    }

    /// Returns the number of this attempt since the last success or start, from 1 on; 0 for an
    /// accepted connection. Abandoned attempts do not count.
    [[nodiscard]] std::uint32_t attempt() const noexcept { return published().status.attempt; }
    /// Returns what the machine has published. For decorators.
    [[nodiscard]] detail::PublishedLink published() const noexcept {
        return box_ ? box_->published() : detail::PublishedLink{};
    }
    /// Returns a generator for the part that holds this link, seeded from the machine's seed. If no
    /// driver runs the machine, the generator seeds itself.   Thread safety: home thread.
    [[nodiscard]] Random bits() const noexcept {
        const Seed seed = box_ ? box_->waker().seed() : Seed{0};
        if (seed.value == 0) return Random{};
        const std::uint64_t part = (std::uint64_t{lane_} << 16) | (std::uint64_t{shift_} << 8);
        return Random{Seed{detail::mix64(seed.value ^ detail::mix64(part | depth_))}};
    }
    /// Returns whether other connections belong to the same attempt, because this one is in a
    /// Bundle of several.
    [[nodiscard]] bool in_bundle() const noexcept { return shift_ != 0; }
    /// Returns whether messages of this connection are rejected until the other connections of a
    /// Bundle are open. Nothing is read meanwhile, so the silence of the peer proves nothing.
    [[nodiscard]] bool is_held() const noexcept {
        return in_bundle() && alive() && (box_->held_lanes >> (lane_ % 32U) & 1U) != 0;
    }

    /// Reports a measurement, with its time, to the observer. For decorators.
    driver::Post report(part::Report what, Duration time) const {
        if (!alive()) return driver::Post::gone;
        part::Event<M> event = make(part::EventKind::report);
        event.code = static_cast<std::uint32_t>(what);
        event.failure.retry_after = time;
        return box_->post_control(std::move(event));
    }

    /// Returns the link for the connection inside a decorator. A decorator with several connections
    /// gives each one its index, in `bits` bits of the lane.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): "index, in so many bits"
    [[nodiscard]] Link child(unsigned index = 0, unsigned bits = 0) const noexcept {
        Link below = *this;
        below.lane_ = static_cast<Lane>(lane_ | (index << shift_));
        below.shift_ = static_cast<std::uint8_t>(shift_ + bits);
        ++below.depth_;
        return below;
    }

private:
    [[nodiscard]] part::Event<M> make(part::EventKind kind) const noexcept {
        part::Event<M> event;
        event.kind = kind;
        event.proof = kind == part::EventKind::received || kind == part::EventKind::pong;
        event.depth = depth_;
        event.lane = lane_;
        event.epoch = epoch_;
        return event;
    }
    driver::Post end(part::Event<M>&& event) const noexcept {
        if (!box_) return driver::Post::gone;
        const bool lingers = box_->lingering.load(std::memory_order_acquire) == epoch_;
        return alive() || lingers ? box_->post_end(std::move(event)) : driver::Post::gone;
    }
    driver::Post control(part::EventKind kind, std::uint32_t code = 0) const {
        if (!alive()) return driver::Post::gone;
        part::Event<M> event = make(kind);
        event.code = code;
        return box_->post_control(std::move(event));
    }

    detail::Ref<detail::LinkBox<M>> box_;
    std::uint32_t epoch_ = 0;
    Lane lane_ = 0;
    std::uint8_t shift_ = 0;
    std::uint8_t depth_ = 0;
};

namespace detail {
/// Notifies the connection that has asked for something that it is answered. An attempt that is
/// over is not woken.
template <class M>
struct LinkWake {
    Link<M> link;
    void operator()(const auto&) const noexcept { link.wake(); }
};

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
    /// later with a copy that you have kept. The observer's on_unsent gets a message back that
    /// cannot be sent in that turn.
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
