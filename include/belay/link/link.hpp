// SPDX-License-Identifier: MIT
/// \file belay/link/link.hpp
/// Link: the handle by which a transport reports to its supervisor, from any thread.
#pragma once

#include <atomic>        // std::atomic
#include <cstddef>       // std::size_t
#include <new>           // std::bad_alloc
#include <system_error>  // std::make_error_code
#include <utility>       // std::move

#include <belay/core/mailbox.hpp>
#include <belay/link/event.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// The mailbox of whoever runs connections, with the epochs that are alive, and its published
/// status.
template <class M>
struct LinkBox : driver::Mailbox<part::Event<M>> {
    using Base = driver::Mailbox<part::Event<M>>;
    using Base::Base;

    /// The attempt whose events count; 0 for none. Written on the home thread.
    std::atomic<std::uint32_t> epoch{0};
    /// The closing connection whose `closed` is still awaited; 0 for none.
    std::atomic<std::uint32_t> lingering{0};
    /// The attempt whose end there was no memory to queue; 0 for none.
    std::atomic<std::uint32_t> unqueued_end{0};
    /// Under the mailbox's lock: how many attempts were a first, and the status.
    std::uint32_t first_attempts = 0;
    LinkStatus status{};

    /// Queues the end of a connection. Where there is no memory for it, it comes all the same,
    /// behind what is queued, and that is why; that of a goodbye does not.
    driver::Post post_end(part::Event<M>&& event) noexcept {
#if defined(__cpp_exceptions)
        try {
            return this->post_control(std::move(event));
        } catch (const std::bad_alloc&) {
            if (epoch.load(std::memory_order_acquire) == event.epoch) {
                unqueued_end.store(event.epoch, std::memory_order_release);
                this->wake();
            }
            return driver::Post::taken;
        }
#else
        return this->post_control(std::move(event));
#endif
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

    /// Two failures in one turn are one loss, of the more severe cause; a connection that has ended
    /// by itself says no goodbye.
    void join_ends(part::Event<M>& end) noexcept {
        for (std::size_t i = 0; i < this->size(); ++i) {
            const part::Event<M>& other = this->peek(i);
            if (other.kind != part::EventKind::closed || other.epoch != end.epoch) continue;
            end.failure = more_severe(end.failure, other.failure);
            end.goodbye = end.goodbye && other.goodbye;
        }
    }

    /// `dials`: with it an attempt begins.
    void publish(const LinkStatus& now, bool dials) noexcept {
        this->locked([&] {
            status = now;
            if (dials && now.attempt == 1) ++first_attempts;
        });
    }
};

}  // namespace detail

/// A transport's handle on the machine that opened it, for one attempt.
///
/// Copy it into every callback of the socket library. Its calls never run user code and never
/// destroy anything: they queue. Once the attempt is over, or the machine is gone, they answer
/// `gone` and do nothing; nobody needs to unregister anything.
///
/// Thread safety: any thread; distinct objects safe.   Size: 16 bytes.
/// Throws:        std::bad_alloc while a queue grows, but closed(), which says not_enough_memory
///                then; nothing else.
template <class M>
class Link {
public:
    Link() noexcept = default;
    Link(detail::Ref<detail::LinkBox<M>> box, std::uint32_t epoch) noexcept
        : box_{std::move(box)}, epoch_{epoch} {}

    /// Whether anybody still listens. False is final.
    [[nodiscard]] bool alive() const noexcept {
        return box_ && box_->epoch.load(std::memory_order_acquire) == epoch_;
    }

    /// The connection is usable.
    driver::Post opened() const { return control(part::EventKind::opened); }
    /// The connection ended, or could not be opened. Report it once; what follows is dropped.
    driver::Post closed(const Failure& failure = {}) const noexcept {
        if (!box_) return driver::Post::gone;
        const bool lingers = box_->lingering.load(std::memory_order_acquire) == epoch_;
        if (!alive() && !lingers) return driver::Post::gone;
        part::Event<M> event = make(part::EventKind::closed);
        event.failure = failure;
        if (event.failure.cause == Cause::none) event.failure.cause = Cause::lost;
        return box_->post_end(std::move(event));
    }
    /// A whole message. `message` is untouched unless it was taken. After `full` stop reading;
    /// resume_reading() of the connection follows exactly once.
    [[nodiscard]] driver::Post received(M&& message) const {
        if (!alive()) return driver::Post::gone;
        return box_->emplace_message([&]() -> part::Event<M> {
            part::Event<M> event = make(part::EventKind::received);
            event.message.emplace(std::move(message));
            return event;
        });
    }
    /// The peer has answered a ping. One that `answers` none is a sign of life of another kind:
    /// part of a message, or the peer's own ping.
    driver::Post pong(bool answers = true) const {
        if (!alive()) return driver::Post::gone;
        part::Event<M> event = make(part::EventKind::pong);
        event.code = answers ? 0 : 1;
        return box_->post_control(std::move(event));
    }
    /// There is room again after send() answered busy.
    driver::Post writable() const { return control(part::EventKind::writable); }
    /// For decorators: an event for the part that holds this very link.
    driver::Post note(std::uint32_t code) const {
        if (!alive()) return driver::Post::gone;
        part::Event<M> event = make(part::EventKind::note);
        event.code = code;
        return box_->post_control(std::move(event));
    }

    /// For decorators: their deadline is read again soon. Needs no memory, so it throws nothing.
    void wake() const noexcept {
        if (alive()) box_->wake();
    }

    /// Which attempt this is since the last success or start, from 1 on; 0 of an accepted
    /// connection. What was abandoned does not count.
    [[nodiscard]] std::uint32_t attempt() const noexcept {
        return box_ ? box_->locked([this] { return box_->status.attempt; }) : 0;
    }
    /// For decorators: how many attempts had the number 1, those included that ended further out,
    /// and were never seen here.
    [[nodiscard]] std::uint32_t first_attempts() const noexcept {
        return box_ ? box_->locked([this] { return box_->first_attempts; }) : 0;
    }
    /// A generator for the part that holds this link, by the seed of the machine; it seeds itself
    /// where no driver runs that.   Home thread.
    [[nodiscard]] Random bits() const noexcept {
        const Seed seed = box_ ? box_->waker().seed() : Seed{0};
        if (seed.value == 0) return Random{};
        const std::uint64_t part = (std::uint64_t{lane_} << 16) | (std::uint64_t{shift_} << 8);
        return Random{Seed{detail::mix64(seed.value ^ detail::mix64(part | depth_))}};
    }
    /// Whether others belong to the same attempt: the part is in a Bundle of several.
    [[nodiscard]] bool in_bundle() const noexcept { return shift_ != 0; }

    /// For decorators: something for the observer, with its time.
    driver::Post report(part::Report what, Duration time) const {
        if (!alive()) return driver::Post::gone;
        part::Event<M> event = make(part::EventKind::report);
        event.code = static_cast<std::uint32_t>(what);
        event.failure.retry_after = time;
        return box_->post_control(std::move(event));
    }

    /// For decorators: the link of the part below. A part with several children gives each its
    /// index in `bits` bits of the lane.
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
        event.depth = depth_;
        event.lane = lane_;
        event.epoch = epoch_;
        return event;
    }
    driver::Post control(part::EventKind kind) const {
        return alive() ? box_->post_control(make(kind)) : driver::Post::gone;
    }

    detail::Ref<detail::LinkBox<M>> box_;
    std::uint32_t epoch_ = 0;
    Lane lane_ = 0;
    std::uint8_t shift_ = 0;
    std::uint8_t depth_ = 0;
};

}}  // namespace belay
